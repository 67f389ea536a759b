"""What several benchmarks share: processes of their own, a folder of runs, and a yardstick for the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.domain import Domain

HERE = Path(__file__).parent
COMMAND = Path(sys.executable).with_name("beliefbench")


@pytest.fixture(scope="session")
def flights() -> Domain:
    return bb.load_domain("flights")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache and data folders of commands: empty when the benchmarks begin."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def command(home: Path, benchmark: Callable[..., object]) -> Callable[..., None]:
    """Time a command line in a fresh process."""

    def timed(*arguments: object) -> None:
        folders = {"XDG_CACHE_HOME": str(home / "cache"), "BELIEFBENCH_DATA": str(home / "data")}
        given = {**os.environ, **folders}
        given.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled once, as they are for most people

        def call() -> None:
            subprocess.run([str(one) for one in arguments], env=given, check=True, capture_output=True)

        benchmark.pedantic(call, rounds=1)  # type: ignore[attr-defined]

    return timed


@pytest.fixture
def process(home: Path) -> Callable[..., dict[str, float]]:
    """Run ``benchmarks/peers.py`` in a process of its own, with nothing compiled before; return what it prints."""

    def run(*arguments: object) -> dict[str, float]:
        given = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
        words = [sys.executable, HERE / "peers.py", *(str(one) for one in arguments)]
        done = subprocess.run(words, env=given, check=True, capture_output=True, text=True)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found

    return run


def yardstick() -> float:
    """Return the seconds that fixed work takes: a product of matrices and a sort. Figures of a machine are in it."""
    rng = np.random.default_rng(0)
    left, right, numbers = rng.random((1200, 1200)), rng.random((1200, 1200)), rng.random(2_000_000)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        left @ right
        np.sort(numbers)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, object]) -> None:
    machine_info["yardstick_s"] = yardstick()
