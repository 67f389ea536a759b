"""Intervals of a mean over users cover the truth as often as they say, also where a user's answers are alike."""

import numpy as np
import pytest
from scipy import stats

from beliefbench.intervals import clustered_interval


def covers(rng: np.random.Generator, users: int, sets: int, spread: float, mean: float, level: float = 0.95) -> bool:
    """Simulate users whose own rates differ (beta-distributed), each answering ``sets`` sets; is the mean covered?"""
    rates = rng.beta(mean * spread, (1 - mean) * spread, users) if spread else np.full(users, mean)
    low, high = clustered_interval(rng.binomial(sets, rates) / sets, level)
    return low <= mean <= high


@pytest.mark.parametrize(
    ("users", "sets", "spread", "mean"),
    [(624, 100, 6.0, 0.8), (50, 100, 4.0, 0.5), (24, 100, 20.0, 0.9), (100, 20, 0, 1 / 3)],
    ids=["flights", "very different users", "few users near 1", "no clusters at all"],
)
def test_the_interval_covers_the_truth_95_times_in_100(users, sets, spread, mean):
    """93% to 97% of 2,000 simulations; at a coverage of 95% a count leaves that range with probability 5e-5."""
    rng = np.random.default_rng(0)
    covered = np.mean([covers(rng, users, sets, spread, mean) for _ in range(2_000)])
    assert 0.93 <= covered <= 0.97


def test_a_naive_interval_would_not():
    """What clustering is for: taking every answer as independent covers the truth far less often."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2_000):
        rates = rng.beta(2, 2, 50)
        share = rng.binomial(100, rates).sum() / 5_000
        hits += abs(share - 0.5) < 1.96 * np.sqrt(share * (1 - share) / 5_000)
    assert hits / 2_000 < 0.5


def test_by_hand():
    # Mean .6; deviations -.1, .1, 0, 0: standard deviation sqrt(.02 / 3), over sqrt(4); t(3) = 3.1824.
    low, high = clustered_interval(np.array([0.5, 0.7, 0.6, 0.6]))
    half = 3.182446 * np.sqrt(0.02 / 3) / 2
    assert (low, high) == (pytest.approx(0.6 - half, abs=1e-6), pytest.approx(0.6 + half, abs=1e-6))


def test_other_levels_nest():
    values = np.random.default_rng(0).random(30)
    intervals = [clustered_interval(values, level) for level in (0.5, 0.9, 0.99)]
    lows, highs = zip(*intervals, strict=True)
    assert list(lows) == sorted(lows, reverse=True)
    assert list(highs) == sorted(highs)


def test_one_user_tells_nothing():
    assert clustered_interval(np.array([0.7])) == (0, 1)


@pytest.mark.parametrize(("share", "users"), [(1.0, 100), (0.0, 100), (0.5, 30)])
def test_users_who_are_all_alike_get_the_wilson_interval(share, users):
    expected = stats.binomtest(round(share * users), users).proportion_ci(method="wilson")
    assert clustered_interval(np.full(users, share)) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_the_interval_stays_in_zero_to_one():
    assert clustered_interval(np.array([1, 1, 1, 0.0]))[1] == 1
    assert clustered_interval(np.array([0, 0, 0, 1.0]))[0] == 0
