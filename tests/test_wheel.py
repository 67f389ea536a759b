"""What is shipped: a wheel of ``bench``, ``bench/domains`` and ``bench/agents``, which runs outside the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source")
    # From a copy, so that no earlier build leaves files in it.
    for folder in ("bench", "domains", "agents"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    # With the setuptools that is here, so that the test needs no network.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = out.glob("*.whl")
    return file


@pytest.mark.slow
def test_the_wheel_holds_only_the_three_packages(wheel):
    files = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert {"bench/harness.py", "bench/domains/flights.py", "bench/agents/bayesian.py"} <= set(files)
    packages = ("bench", "bench/language", "bench/domains", "bench/agents")
    assert {str(Path(name).parent) for name in files} == set(packages)
    assert all(name.endswith((".py", "py.typed")) for name in files)


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
