"""The digest of a plugin's code follows from its files: from all that count, and from nothing else."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.plugins import code
from beliefbench.plugins.code import code_of, code_of_name
from beliefbench.plugins.sources import Source, add_plugin_folder

OWN = f"beliefbench {bb.__version__}"
PLUGIN = """
import sys
sys.path.insert(0, {folder!r})
import numpy
import helping_0.deeper
import beliefbench as bb
from beliefbench.agents.first import First
from dataclasses import replace

def later():
    from helping_1 import name

DOMAINS = {{"trains": replace(bb.load_domain("flights-2"), name="trains")}}
AGENTS = {{"regular": First}}
"""
FILES = {
    "helping_0/__init__.py": "",
    "helping_0/deeper.py": "from .inner import *\nfrom . import beside\nimport cycle",
    "helping_0/inner.py": "",
    "helping_0/beside.py": "",
    "cycle.py": "import helping_0.deeper",
    "helping_1.py": "name = 1",
}


def written(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def changing(name: str, kind: str, files: list[Path]) -> list[Path]:
    """The files that the code of a plugin depends on, by changing each."""
    before, found = code_of_name(kind, name), []
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content + b"\n# changed\n")
        if code_of_name(kind, name) != before:
            found.append(file)
        file.write_bytes(content)
        assert code_of_name(kind, name) == before
    return found


def test_a_plugin_file_counts_with_all_that_it_imports_from_its_folder(plugin_folder, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    other = 'AGENTS = {"other": print}'
    written(plugin_folder, {"trains.py": PLUGIN.format(folder=str(plugin_folder)), **FILES, "other.py": other})
    add_plugin_folder(plugin_folder)
    (plugin_folder / "notes.txt").write_text("")
    every = sorted(plugin_folder.rglob("*.*"))
    counts = [file for file in every if file.name not in ("other.py", "notes.txt")]
    for name, kind in (("trains", "domain"), ("regular", "agent")):
        assert changing(name, kind, every) == counts
    assert code_of_name("domain", "trains") != code_of_name("agent", "other")
    counts[0].unlink()
    assert code_of_name("domain", "trains") is not None


@pytest.mark.parametrize("listed", [True, False])
def test_a_package_counts_whole_and_so_does_what_its_distribution_lists(plugin_path, listed):
    package = {
        "strangers/__init__.py": "",
        "strangers/domain.py": "import beliefbench as bb\ntrains = bb.load_domain('flights-2')",
        "strangers/inner/table.csv": "1,2",
        "strangers/inner/photo.png": "",
        "beside.py": "",
        "strangers-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n",
        "strangers-1.0.dist-info/entry_points.txt": "[beliefbench.domains]\ntrains = strangers.domain:trains\n",
    }
    record = {"strangers-1.0.dist-info/RECORD": "".join(f"{name},,\n" for name in package)}
    written(plugin_path, package | (record if listed else {}))
    counts = [
        plugin_path / name for name in ("strangers/__init__.py", "strangers/domain.py", "strangers/inner/table.csv")
    ]
    counts += [plugin_path / "beside.py"] * listed
    assert changing("trains", "domain", [plugin_path / name for name in package]) == counts
    assert changing("trains,user_lapse=0.2", "domain", counts) == counts


def test_what_comes_with_the_package_has_its_version():
    flights = bb.load_domain("flights-2")
    for kind, spec in (
        ("domain", "flights-n"),
        ("domain", "webshop-backpacks"),
        ("agent", "prompted:a/b,dtype=float32"),
    ):
        assert code_of_name(kind, spec) == OWN
    assert code_of("domain", flights) == code_of("agent", bb.load_agent("random", flights)) == OWN


def test_objects_count_with_the_files_of_their_class_and_their_functions(plugin_path, coins):
    written(
        plugin_path, {"answering.py": "import helping\ndef reply(messages):\n    return ''\nclass Agent:\n    pass\n"}
    )
    written(plugin_path, {"helping.py": "", "unused.py": ""})
    import answering

    chat = bb.chat_agent(answering.reply, name="mine")
    for thing in (answering.Agent(), chat):
        before = code_of("agent", thing)
        assert before not in (OWN, None)
        (plugin_path / "unused.py").write_text("# changed")
        assert code_of("agent", thing) == before
        (plugin_path / "helping.py").write_text(f"# changed for {type(thing)}")
        assert code_of("agent", thing) != before
    assert code_of("domain", coins) not in (OWN, None)


def test_functions_count_though_they_are_partial_and_files_though_they_are_no_python(plugin_path):
    source = "def reply(*given):\n    import broken"
    written(plugin_path, {"answering.py": source, "broken.py": "def"})
    import answering

    chat = bb.chat_agent(partial(partial(answering.reply, "slowly"), "well"), name="mine")
    before = code_of("agent", chat)
    (plugin_path / "broken.py").write_text("def changed")
    assert before not in (OWN, None, code_of("agent", chat))


def test_the_code_of_a_further_source_is_that_of_its_object(monkeypatch, coins):
    further = Source("coins", "from afar", lambda: coins, "afar")
    monkeypatch.setattr(code, "able_sources", lambda name, kind: [further])
    assert code_of_name("domain", "coins") is None
    assert code_of("domain", coins, "coins") == code_of("domain", coins)


def test_code_without_files_is_unknown():
    for module in ("nowhere", "nowhere.else"):
        space: dict = {"__name__": module}
        exec("class Agent:\n    pass", space)
        assert code_of("agent", space["Agent"]()) is None
    assert code_of_name("domain", "released/flights") is None
