"""The package that docs/plugins.md walks through: installed beside a wheel of ours, and as files not packaged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.checking.cross_check import compare_log_joint, simulated_histories
from beliefbench.plugins.sources import add_plugin_folder, forget_plugin_folders

EXAMPLE = Path(__file__).parents[2] / "examples" / "restaurants-plugin"
SOURCES = EXAMPLE / "src" / "beliefbench_restaurants"


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our wheel and the plugin installed in it by pip; what they need comes from the tests' own."""
    site, copy = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("copy") / "plugin"
    unbuilt = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    shutil.copytree(EXAMPLE, copy, ignore=unbuilt)  # a build leaves files where it is made
    # Without its own isolated environment, so that the test needs no network.
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-compile",
    ]
    command = [*pip, "--no-build-isolation", "--target", site, wheel, copy]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return site


def beliefbench_in(site: Path, cwd: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run beliefbench as it was installed in a folder."""
    # -P and PYTHONPATH put the installed files before the editable install of the tests' own environment.
    code = (
        f"import beliefbench; assert beliefbench.__file__.startswith({str(site)!r}); "
        "from beliefbench.cli.main import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}
    command = [sys.executable, "-P", "-c", code, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


RUN = ("run", "--domain", "restaurants", "--users", "4", "--rounds", "2", "--heldout", "4", "--agent", "regular")


@pytest.fixture
def from_files() -> Iterator[list[str]]:
    """The arguments by which the plugin's files are read, in this process."""
    yield ["--plugins", str(SOURCES)]
    forget_plugin_folders()


def test_the_domain_takes_less_than_60_lines():
    assert len((SOURCES / "domain.py").read_text().splitlines()) < 60


@pytest.mark.reference
@pytest.mark.parametrize(("name", "last"), [("restaurants", "PyMC, sampling, rounds: 5"), ("regular", "replay")])
def test_installed_it_passes_its_check(site, tmp_path, name, last):
    done = beliefbench_in(site, tmp_path, "check", name)
    assert done.returncode == 0, done.stdout + done.stderr
    passes(tmp_path / "results" / "local" / "checks" / f"{name}.json", last)


@pytest.mark.slow
def test_the_agent_passes_its_check(call, from_files, tmp_path):
    status, out, err = call("check", "regular", *from_files)
    assert status == 0, out + err
    passes(tmp_path / "results" / "local" / "checks" / "regular.json", "replay")


def passes(file: Path, last: str) -> None:
    """See that a check found nothing, and came to its end."""
    record = json.loads(file.read_text())
    assert all(finding["passed"] for finding in record["findings"])
    assert record["findings"][-1]["check"] == last


@pytest.mark.reference
def test_its_two_models_have_the_same_log_joint():
    """Sampling, a minute more, is left to `test_installed_it_passes_its_check`."""
    add_plugin_folder(SOURCES)
    try:
        domain = bb.load_domain("restaurants")
        for options, choices in simulated_histories(domain, seed=0):
            said, _ = compare_log_joint(domain, options, choices, seed=0)
            assert "the same for 45 hypotheses" in said
    finally:
        forget_plugin_folders()


@pytest.mark.reference
def test_installed_it_is_listed_and_run_and_not_packaged_it_gives_the_same_answers(site, call, from_files, tmp_path):
    """Not packaged: in this process, which does not have the plugin, and whose files ``--plugins`` names."""
    listed = beliefbench_in(site, tmp_path, "list")
    assert listed.returncode == 0, listed.stderr
    rows = [line.split() for line in listed.stdout.splitlines()]
    assert ["restaurants", "1", "cuisine,", "price,", "distance", "45"] in rows
    assert "regular" in {row[0] for row in rows if row}

    done = beliefbench_in(site, tmp_path, *RUN, "--agent", "bayesian", "--results", "package")
    assert done.returncode == 0, done.stderr
    assert "restaurants (version 1): 4 users, 2 rounds, 4 held-out sets, seed 0" in done.stdout
    package = {file.parent.parent.name: file for file in tmp_path.rglob("rows.parquet")}
    assert set(package) == {"bayesian", "regular"}

    status, _, err = call(*RUN, *from_files, "--results", "files")
    assert status == 0, err
    (file,) = (tmp_path / "files").rglob("rows.parquet")
    assert file.parent.name == package["regular"].parent.name  # the run's key
    assert file.read_bytes() == package["regular"].read_bytes()


def test_the_agent_says_why_it_refuses_a_domain_and_serves_it_by_another_feature(call, from_files):
    small = ("run", "--domain", "flights-2", "--users", "2", "--heldout", "2", *from_files)
    status, out, err = call(*small, "--agent", "regular")
    assert (status, out) == (2, "")
    assert err == (
        "beliefbench: error: agent 'regular' cannot be made: it counts the cuisine of what was chosen, and flights-2 "
        "has only duration, price.\n"
    )
    status, out, err = call(*small, "--agent", "regular:price")
    assert status == 0, err
    assert "regular:price" in out
