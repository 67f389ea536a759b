"""What is shipped: a wheel of ``bench``, ``bench/domains`` and ``bench/agents``, which runs outside the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLUGINS = ("domains", "agents")


@pytest.mark.slow
def test_the_wheel_holds_code_catalogues_and_students(wheel):
    files = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    modules = {f"bench/{file.relative_to(ROOT / 'bench')}" for file in (ROOT / "bench").rglob("*.py")}
    modules |= {f"bench/{file.relative_to(ROOT)}" for part in PLUGINS for file in (ROOT / part).rglob("*.py")}
    assert {"bench/harness.py", "bench/domains/flights.py", "bench/agents/bayesian.py"} <= modules
    catalogues = [name for name in files if name.startswith("bench/domains/catalogues/")]
    students = [name for name in files if name.startswith("bench/agents/taught/")]
    templates = [name for name in files if name.startswith("bench/page/templates/")]
    code = set(files) - set(catalogues) - set(students) - set(templates)
    assert {name for name in code if not name.endswith(("py.typed", ".csv"))} == modules
    assert all(name.endswith((".json", "README.md")) for name in catalogues)
    assert {"page.html", "page.css", "page.js"} <= {Path(name).name for name in templates}
    assert len({Path(name).parent for name in students}) == 3
    assert all(name.endswith((".json", ".jsonl", ".jinja", "README.md", "model.safetensors")) for name in students)


@pytest.mark.slow
def test_it_runs_from_the_wheel_in_an_empty_directory(wheel, tmp_path):
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    # -P and PYTHONPATH put the wheel's files before the editable install of the tests' own environment.
    code = "import sys, bench; assert 'site/bench' in bench.__file__; from bench.cli import main; main()"
    arguments = ["run", "--domain", "flights", "--agent", "bayesian", "--users", "3", "--heldout", "4"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "bayesian" in done.stdout
    assert len(list(empty.rglob("rows.parquet"))) == 1
