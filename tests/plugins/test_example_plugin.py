"""The package that CONTRIBUTING walks through: installed beside a wheel of ours, and as files not packaged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.checking.cross_check import compare_log_joint, simulated_histories
from beliefbench.plugins.sources import add_plugin_folder, forget_plugin_folders

EXAMPLE = Path(__file__).parents[2] / "examples" / "restaurants-plugin"
SOURCES = EXAMPLE / "src" / "beliefbench_restaurants"

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our wheel and the plugin installed in it by pip; what they need comes from the tests' own."""
    site, copy = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("copy") / "plugin"
    unbuilt = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    shutil.copytree(EXAMPLE, copy, ignore=unbuilt)  # a build leaves files where it is made
    # Without its own isolated environment, so that the test needs no network.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command = [*pip, "--no-build-isolation", "--target", site, wheel, copy]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return site


@pytest.fixture
def call(site: Path, tmp_path: Path) -> Call:
    """``call("list")``: beliefbench as it was installed, in an empty directory."""
    # -P and PYTHONPATH put the installed files before the editable install of the tests' own environment.
    code = (
        f"import beliefbench; assert beliefbench.__file__.startswith({str(site)!r}); "
        "from beliefbench.cli.main import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-c", code, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


def rows_of(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    return [line.split() for line in done.stdout.splitlines()]


def test_the_domain_takes_less_than_60_lines():
    assert len((SOURCES / "domain.py").read_text().splitlines()) < 60


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "last"),
    [pytest.param("restaurants", "PyMC, sampling, rounds: 5", marks=pytest.mark.reference), ("regular", "replay")],
)
def test_installed_it_passes_its_check(call, tmp_path, name, last):
    done = call("check", name)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "results" / "checks" / f"{name}.json").read_text())
    assert all(finding["passed"] for finding in record["findings"])
    assert record["findings"][-1]["check"] == last


@pytest.mark.slow
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


@pytest.mark.slow
def test_installed_it_is_listed_and_run(call, tmp_path):
    domains = call("list", "domains")
    assert domains.returncode == 0, domains.stderr
    assert ["restaurants", "1", "cuisine,", "price,", "distance", "45"] in rows_of(domains)
    assert "regular" in {row[0] for row in rows_of(call("list", "agents")) if row}

    agents = ("--agent", "bayesian", "--agent", "regular")
    run = call("run", "--domain", "restaurants", *agents, "--users", "4", "--heldout", "4")
    assert run.returncode == 0, run.stderr
    assert "restaurants (version 1): 4 users, 5 rounds, 4 held-out sets, seed 0" in run.stdout
    assert {file.parent.parent.name for file in tmp_path.rglob("rows.parquet")} == {"bayesian", "regular"}


@pytest.mark.slow
def test_the_agent_says_why_it_refuses_a_domain_and_serves_it_by_another_feature(call):
    small = ("run", "--domain", "flights", "--users", "2", "--heldout", "2")
    refused = call(*small, "--agent", "regular")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "beliefbench: error: agent 'regular' cannot be made: it counts the cuisine of what was chosen, and flights has "
        "only departure_time, duration, number_of_stops, price.\n"
    )
    served = call(*small, "--agent", "regular:price")
    assert served.returncode == 0, served.stderr
    assert "regular:price" in served.stdout


@pytest.mark.slow
def test_not_packaged_it_gives_the_same_answers(call, wheel, tmp_path):
    """From an environment without the plugin, whose files ``--plugins`` names."""
    bare = tmp_path / "bare"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", bare, wheel], check=True)
    arguments = ["run", "--domain", "restaurants", "--users", "4", "--heldout", "4", "--agent", "regular"]
    code = (
        f"import beliefbench; assert beliefbench.__file__.startswith({str(bare)!r}); "
        "from beliefbench.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments, "--plugins", SOURCES, "--results", "results/files"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(bare), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    installed = call(*arguments, "--results", "results/package")
    assert installed.returncode == 0, installed.stderr
    (one,), (other,) = (list((tmp_path / "results" / name).rglob("rows.parquet")) for name in ("files", "package"))
    assert one.parent.name == other.parent.name  # the run's key
    assert one.read_bytes() == other.read_bytes()
