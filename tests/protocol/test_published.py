"""What was published is drawn again: the users, their rounds and held-out sets never change between versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.running.store import find_runs

PUBLISHED = Path(__file__).parents[2] / "results" / "published"


@pytest.mark.parametrize(
    ("domain", "heldout"), [("flights-2", 100), ("webshop-headphones", 50)], ids=["shared sets", "sets of their own"]
)
def test_users_truth_and_exact_answers_are_the_published_ones(domain, heldout):
    """Six users, two rounds and five sets are the first of those that were published."""
    (store,) = find_runs(PUBLISHED / domain / "oracle")
    rows = store.rows().to_pandas()
    episodes = Episodes(bb.load_domain(domain), Protocol(users=6, rounds=2, heldout=5))
    for place, user in enumerate(episodes.users):
        own = rows[(rows.user == user) & (rows.question == -1)].sort_values("stage")
        assert own.truth.tolist()[:2] == episodes.chosen[place].tolist()
        for stage in range(3):
            asked = rows[(rows.user == user) & (rows.stage == stage) & (rows.question >= 0)].sort_values("question")
            assert len(asked) == heldout
            assert asked.truth.tolist()[:5] == episodes.truth[place].tolist()
            exact = asked[["exact_0", "exact_1", "exact_2"]].to_numpy()[:5]
            np.testing.assert_allclose(exact, episodes.exact[place, stage], atol=3e-4)  # published in 11 bits
