"""Running shoes whose sizes have the number first ("8 US"), for a comparison in docs/students.md, "Transfer".

beliefbench run --plugins examples/number-first-shoes --domain number-first-shoes --users 200 --heldout 10 \
    --agent bayesian --agent posterior-reader
"""

import tempfile
from pathlib import Path

import beliefbench
from beliefbench import read_catalogue, shopping

text = (Path(beliefbench.__file__).parent / "domains/catalogues/running-shoes.json").read_text()
for size in range(8, 12):
    text = text.replace(f'"US {size}"', f'"{size} US"')
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "running-shoes.json"
    file.write_text(text)
    DOMAINS = {"number-first-shoes": shopping("number-first-shoes", version="1", catalogue=read_catalogue(file))}
