"""Small real runs, and where they lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import beliefbench as bb


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
