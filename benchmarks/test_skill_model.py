"""How long the skill model takes for 10 agents on 3 domains of 624 users: under a minute on 2 cores, and sound."""

from pathlib import Path

import numpy as np
import pytest

from beliefbench.skill.counts import Comparable, Counts
from beliefbench.skill.summary import skills

pytestmark = pytest.mark.timeout(600)
AGENTS, DOMAINS, USERS, STAGES, HELDOUT = 10, 3, 624, 6, 100


def test_ten_agents_on_three_domains(benchmark, tmp_path: Path):
    rng = np.random.default_rng(0)
    names = [f"agent {number}" for number in range(AGENTS)]
    groups = []
    for _ in range(DOMAINS):
        level, hard = rng.normal(0, 0.05), rng.normal(0, 0.08, size=(USERS, 1))
        best = np.clip(np.linspace(0.4, 0.8, STAGES) + level + hard, 0.01, 0.99)
        exact = rng.binomial(HELDOUT, best)
        runs = []
        for number in range(AGENTS):
            curve = 0.35 + 0.04 * number + level + np.linspace(0, 0.2, STAGES) * (number % 2)
            share = np.clip(curve + hard + rng.normal(0, 0.05, size=(USERS, 1)), 0.01, 0.99)
            runs.append(Counts(np.arange(USERS), rng.binomial(HELDOUT, share), HELDOUT, exact))
        groups.append(Comparable(names, runs))
    labels = [[f"{number}/{name}" for name in names] for number in range(DOMAINS)]
    found = benchmark.pedantic(skills, args=(groups, labels, tmp_path), rounds=1)
    seconds = benchmark.stats.stats.max
    print(f"\n{AGENTS} agents, {DOMAINS} domains, {USERS} users: fitted, diagnosed and compared in {seconds:.0f} s")
    assert seconds < 60
    assert all(skill is not None and not skill.problems for group in found for skill in group)
