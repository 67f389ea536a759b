"""Small real runs and where they lie: as they are left, published, and published false."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.publishing.evidence import is_unchanged
from beliefbench.publishing.publish import publish

from .tampering import AGENTS, attest


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a few agents, as `beliefbench run` leaves them; nobody changes them."""
    results = tmp_path_factory.mktemp("local")
    for agent in ("bayesian", "random", "bayesian-mean"):
        bb.run("flights", agent, users=6, rounds=2, heldout=10, results=results)
    return results


@pytest.fixture(scope="session")
def folder_of() -> Callable[[Path, str], Path]:
    """``folder_of(results, agent)``: where its run on flights lies."""

    def run_check(results: Path, agent: str) -> Path:
        (folder,) = (results / "flights" / agent).iterdir()
        return folder

    return run_check


@pytest.fixture(scope="session")
def sound(local, folder_of, tmp_path_factory) -> Path:
    """The runs, published; nobody changes them."""
    out = tmp_path_factory.mktemp("published")
    for agent in AGENTS:
        publish(folder_of(local, agent), out)
    return out


@pytest.fixture
def published(sound, tmp_path) -> Path:
    """A copy of the published runs, in another folder."""
    return Path(shutil.copytree(sound, tmp_path / "elsewhere"))


@pytest.fixture
def forged(published, folder_of) -> Callable[..., Path]:
    """``forged(agent, change)``: a published run, changed with care: everything that can be made anew is."""

    def forge(agent: str, change: Callable[[Path], None]) -> Path:
        folder = folder_of(published, agent)
        for other in AGENTS:
            if other != agent:
                shutil.rmtree(published / "flights" / other)
        change(folder)
        folder = attest(folder)
        assert is_unchanged(folder)
        return folder

    return forge
