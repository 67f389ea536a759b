"""Exact inference beside its peers, and its cost against the numbers of hypotheses, users and sets.

Each figure is of a process of its own. ``steady_s`` is the median of later answers, ``first_s`` the first one.
"""

from __future__ import annotations

import pytest
from peers import SYSTEMS
from workloads import JOBS

pytestmark = pytest.mark.timeout(1200)


def timed(benchmark, process, *arguments):
    benchmark.extra_info.update(benchmark.pedantic(process, args=arguments, rounds=1))


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("job", JOBS)
def test_beside_peers(benchmark, process, job, system):
    features, users = JOBS[job]
    timed(benchmark, process, system, features, users or 0)
    assert benchmark.extra_info["error"] < (1e-9 if system == "beliefbench" else 1e-4)
    assert system != "beliefbench" or benchmark.extra_info["memory_mb"] < 600


@pytest.mark.parametrize("features", [6, 7, 8])
def test_hypotheses(benchmark, process, features):
    timed(benchmark, process, "beliefbench", features, 64)
    benchmark.extra_info["size"] = 5**features - 1


@pytest.mark.parametrize("system", ["jax_scan", "numpyro_grid"])
@pytest.mark.parametrize("features", [6, 7])
def test_hypotheses_of_peers(benchmark, process, features, system):
    timed(benchmark, process, system, features, 64)
    benchmark.extra_info["size"] = 5**features - 1


@pytest.mark.parametrize("users", [256, 512, 1024])
def test_users(benchmark, process, users):
    timed(benchmark, process, "beliefbench", 6, users)
    benchmark.extra_info["size"] = users


@pytest.mark.parametrize("sets", [200, 400, 800])
def test_sets(benchmark, process, sets):
    timed(benchmark, process, "beliefbench", 6, 64, sets)
    benchmark.extra_info["size"] = sets


def test_ten_million_hypotheses(benchmark, process):
    timed(benchmark, process, "beliefbench", 10, 64)
    assert benchmark.extra_info["memory_mb"] < 1500
