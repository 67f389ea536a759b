"""Reliability diagrams have no band: one from resampling users would cover too seldom.

.venv/bin/pytest -m reference tests/scoring/test_bands.py --report FILE
"""

from __future__ import annotations

import numpy as np
import pytest

from beliefbench.scoring.reliability import confidence_of, diagram

from .test_coverage import pool

RUNS = (
    "flights/posterior-taught",
    "flights/oracle-taught",
    "flights/bayesian",
    "hotels/bayesian",
    "flights-6/bayesian",
)


def covered(confidence: np.ndarray, right: np.ndarray, users: int, samples: int = 40, draws: int = 200) -> float:
    """Return at which share of the answers of samples the band contains the curve of all users."""
    rng, whole, inside = np.random.default_rng(0), diagram(confidence, right), []
    for _ in range(samples):
        who = rng.integers(len(confidence), size=users)
        found = diagram(confidence[who], right[who])
        again = []
        for _ in range(draws):
            some = who[rng.integers(users, size=users)]
            one = diagram(confidence[some], right[some])
            again.append(np.interp(found.confidence, one.confidence, one.share))
        low, high = np.quantile(again, [0.025, 0.975], axis=0)
        truth = np.interp(found.confidence, whole.confidence, whole.share)
        inside.append(np.average((low - 1e-9 <= truth) & (truth <= high + 1e-9), weights=found.answers))
    return float(np.mean(inside))


@pytest.mark.reference
@pytest.mark.timeout(900)
@pytest.mark.parametrize("users", [24, 100])
def test_a_band_from_resampling_users_would_cover_too_seldom(users, record_property):
    found = []
    for name in RUNS:
        answers = pool(name)
        for stage in (1, 5):
            values = confidence_of(*(one[:, stage] for one in (answers.probs, answers.choice, answers.truth)))
            found.append(covered(*values, users))
    said = f"{100 * min(found):.1f} / {100 * np.mean(found):.1f} / {100 * max(found):.1f}%"
    record_property(f"band of a reliability diagram, {users} users", said)
    assert min(found) < 0.93
