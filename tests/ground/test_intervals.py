"""Intervals of a mean over users cover the truth as often as they say, also where a user's answers are alike."""

import numpy as np
import pytest
from scipy import stats

from beliefbench.intervals import (
    DIFFERENT,
    FEWEST,
    FEWEST_OF_RATIO,
    MANY,
    SOME,
    clustered_interval,
    clustered_ratio,
    clustered_slope,
)


def covers(rng: np.random.Generator, users: int, sets: int, spread: float, mean: float, level: float = 0.95) -> bool:
    """Simulate users whose own rates differ (beta-distributed), each answering ``sets`` sets; is the mean covered?"""
    rates = rng.beta(mean * spread, (1 - mean) * spread, users) if spread else np.full(users, mean)
    low, high = clustered_interval(rng.binomial(sets, rates) / sets, level)
    return low <= mean <= high


@pytest.mark.parametrize(
    ("users", "sets", "spread", "mean"),
    [(624, 100, 6.0, 0.8), (50, 100, 4.0, 0.5), (48, 100, 20.0, 0.9), (100, 20, 0, 1 / 3)],
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
    """The ends are the shares p with (mean - p)^2 = t^2 p (1 - p) / n, n the effective number of answers."""
    values = np.array([0.5, 0.7, 0.6, 0.6] * 6)
    # Mean .6; of 24 deviations twelve are .1: variance .12 / 23; t(23) = 2.068658.
    answers = 0.6 * 0.4 / (0.12 / 23 / 24)
    ends = clustered_interval(values)
    assert ends is not None
    for end in ends:
        assert (0.6 - end) ** 2 == pytest.approx(2.068658**2 * end * (1 - end) / answers, abs=1e-9)
    assert ends[0] < 0.6 < ends[1]


def test_other_levels_nest():
    values = np.random.default_rng(0).random(30)
    intervals = [clustered_interval(values, level) for level in (0.5, 0.9, 0.99)]
    lows, highs = zip(*intervals, strict=True)
    assert list(lows) == sorted(lows, reverse=True)
    assert list(highs) == sorted(highs)


@pytest.mark.parametrize("users", [1, 2, FEWEST - 1])
def test_few_users_have_no_interval(users):
    assert clustered_interval(np.linspace(0.4, 0.6, users)) is None


@pytest.mark.parametrize("share", [0.1, 0.81, 0.93])
def test_shares_where_users_are_skewed_take_some_users(share):
    values = np.clip(share + np.tile([-0.01, 0.01], SOME), 0, 1)
    assert clustered_interval(values[: SOME - 2]) is None
    assert clustered_interval(values[:SOME]) is not None
    assert clustered_interval(np.where(np.arange(24) % 2, 0.78, 0.8)) is not None


@pytest.mark.parametrize("share", [0.0, 0.05, 0.95, 1.0])
def test_near_0_and_1_only_many_users_have_one(share):
    values = np.clip(share + np.tile([-0.01, 0.01], MANY), 0, 1)
    assert clustered_interval(values[: MANY - 2]) is None
    low, high = clustered_interval(values)
    assert 0 <= low <= values.mean() <= high <= 1


@pytest.mark.parametrize(("share", "users"), [(1.0, 600), (0.0, 600), (0.5, 30)])
def test_users_who_are_all_alike_get_the_wilson_interval(share, users):
    expected = stats.binomtest(round(share * users), users).proportion_ci(method="wilson")
    assert clustered_interval(np.full(users, share)) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_the_interval_stays_in_zero_to_one():
    assert clustered_interval(np.array([1.0] * 590 + [0.0] * 10))[1] <= 1
    assert clustered_interval(np.array([0.0] * 590 + [1.0] * 10))[0] >= 0


def test_the_error_of_a_slope_is_that_of_leaving_out_one_user_at_a_time():
    """CR3 is the jackknife over users, and its degrees of freedom are Bell and McCaffrey's, from whole matrices."""
    rng = np.random.default_rng(0)
    x = rng.random((MANY, 3)) ** 3 * rng.random((MANY, 1))
    y = x + rng.normal(size=x.shape) * rng.random((MANY, 1))
    value, low, high = clustered_slope(x, y)
    without = [np.polyfit(np.delete(x, user, 0).ravel(), np.delete(y, user, 0).ravel(), 1)[0] for user in range(MANY)]
    error = np.sqrt(((np.array(without) - value) ** 2).sum())
    design = np.stack([np.ones(x.size), x.ravel()], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    left = np.eye(x.size) - design @ inverse @ design.T
    columns = []
    for user in range(MANY):
        own = slice(3 * user, 3 * user + 3)
        columns.append(left[:, own] @ np.linalg.inv(left[own, own]) @ (design[own] @ inverse[:, 1]))
    both = np.array(columns) @ np.array(columns).T
    freedom = np.trace(both) ** 2 / (both**2).sum()
    half = stats.t.ppf(0.975, freedom) * error
    assert (low, high) == (pytest.approx(value - half), pytest.approx(value + half))


def test_slopes_of_fewer_users_or_of_users_on_the_line_have_no_interval():
    rng = np.random.default_rng(0)
    x = rng.random((MANY, 3))
    assert clustered_slope(x[1:], rng.random((MANY - 1, 3)))[1:] == (None, None)
    assert clustered_slope(x, 2 * x + 1) == (pytest.approx(2), None, None)
    lone = np.zeros((MANY, 3))
    lone[0] = [1, 2, 3]  # without this user, x does not vary
    assert clustered_slope(lone, rng.random((MANY, 3)))[1:] == (None, None)


def test_a_ratio_rests_on_users_who_differ_from_it():
    below = np.linspace(0.2, 0.6, FEWEST_OF_RATIO)
    above = 0.5 * below
    assert clustered_ratio(above, below) == (pytest.approx(0.5), None, None)
    few, enough = (np.where(np.arange(FEWEST_OF_RATIO) < number, 0.3, 0.0) for number in (DIFFERENT - 1, DIFFERENT))
    assert clustered_ratio(few, few + 0.1 * (few > 0)).low is None
    assert clustered_ratio(np.abs(enough - 0.1), np.where(enough > 0, 0.5, 0.1)).low is not None
    assert clustered_ratio(above, np.zeros(FEWEST_OF_RATIO)) is None
    assert clustered_ratio(above[:1], below[:1]) is None
    rng = np.random.default_rng(0)
    assert clustered_ratio(below + rng.normal(size=below.size), below).low is not None
    assert clustered_ratio(*rng.random((2, FEWEST_OF_RATIO - 1)))[1:] == (None, None)
