"""Paired differences: by hand, and how often their intervals cover, with pairs of published runs as the population.

The reference tests write the figures of docs/reliability.md:

    .venv/bin/pytest -m reference tests/scoring/test_paired.py --report FILE
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from beliefbench.scoring.heldout import HeldOut
from beliefbench.scoring.metrics import METRICS
from beliefbench.scoring.paired import PAIRED, SHARES, common, difference, differences, holm, users_for

from .test_coverage import coverage, held, pool, samples, told

AGENTS = ("bayesian", "bayesian-mean", "first", "random", "oracle")
PAIRS = [
    *(("flights/" + one, "flights/" + other) for one, other in combinations((*AGENTS, "posterior-taught"), 2)),
    *(("hotels/" + one, "hotels/" + other) for one, other in combinations(AGENTS, 2)),
]
"""The pairs that the least numbers of users were chosen with."""
UNSEEN = [
    *(("flights/posterior-taught", f"flights/{other}") for other in ("bayesian-taught", "oracle-taught", "cheapest")),
    ("flights/bayesian-taught", "flights/oracle-taught"),
    ("flights/lowest-duration", "flights/cheapest"),
    *((f"flights-6/{one}", f"flights-6/{other}") for one, other in combinations(AGENTS, 2)),
    *((f"webshop-desk-lamps/{one}", f"webshop-desk-lamps/{other}") for one, other in combinations(AGENTS, 2)),
    *((f"webshop-headphones/{one}", f"webshop-headphones/{other}") for one, other in combinations(AGENTS, 2)),
]
"""Pairs that nobody looked at before."""
ROUNDS = (0, 1, 5)


def answers(users, probs, choice, truth, exact):
    return HeldOut(np.array(users), None if probs is None else np.array(probs), *map(np.array, (choice, truth, exact)))


def test_by_hand():
    """Two users, one round, two sets: A is right on 2 and 1 of them, B on 1 and 1."""
    exact = np.full((2, 1, 2, 3), 1 / 3)
    sure = np.eye(3)
    one = answers([3, 7], sure[[[[0, 1]], [[2, 0]]]], [[[0, 1]], [[2, 0]]], [[[0, 1]], [[2, 1]]], exact)
    other = answers([3, 7], sure[[[[0, 2]], [[0, 1]]]], [[[0, 2]], [[0, 1]]], [[[0, 1]], [[2, 1]]], exact)
    found = differences(one, other)
    assert found["accuracy"].tolist() == [[0.5], [0.0]]
    assert found["agreement"].tolist() == [[0.0], [0.0]]
    miss, hit = (-math.log(value / (1 + 2e-6)) for value in (1e-6, 1.0))
    assert found["log_score"][0, 0] == pytest.approx((hit - miss) / 2, rel=1e-6)
    assert found["brier"].tolist() == [[-1.0], [0.0]]
    assert difference(found["accuracy"][:, 0])[:3] == (0.25, 2, None)


def test_by_plain_python():
    """Against an own loop over users, with Student's quantile from a table: t(0.975, 29) = 2.045."""
    rng = np.random.default_rng(0)
    values = rng.normal(0.05, 0.1, 30)
    found = difference(values)
    mean = sum(values) / 30
    error = math.sqrt(sum((value - mean) ** 2 for value in values) / 29 / 30)
    assert (found.low, found.high) == (
        pytest.approx(mean - 2.045 * error, abs=1e-4),
        pytest.approx(mean + 2.045 * error, abs=1e-4),
    )
    # The table of Cohen (1988): at 30 pairs, 80% power for an effect of 0.53 standard deviations.
    assert found.smallest / np.std(values, ddof=1) == pytest.approx(0.53, abs=0.01)


@pytest.mark.parametrize("users", [24, 25, 31, 60])
def test_interval_and_p_value_are_those_of_the_t_test(users):
    values = np.random.default_rng(users).normal(0.03, 0.1, users)
    found, expected = difference(values), stats.ttest_1samp(values, 0)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(interval.low, rel=1e-9), pytest.approx(interval.high, rel=1e-9))
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    # With so many users and this difference, the power of the two-sided test at its upper end is 80%.
    error = values.std(ddof=1) / math.sqrt(users)
    end = stats.t(users - 1).ppf(0.975)
    assert stats.nct(users - 1, found.smallest / error).sf(end) == pytest.approx(0.8, abs=1e-6)


def test_there_is_no_interval_of_few_users_or_few_who_decide():
    values = np.tile([0.1, 0.3, -0.1, 0.2], 12)
    assert difference(values[:23]).low is None
    assert difference(values[:24]).low is not None
    decide = np.zeros(60)
    for number, shown in ((9, False), (10, True)):
        decide[:number] = np.linspace(0.3, 0.4, number)
        assert (difference(decide).low is not None) == shown
    assert difference(np.full(60, 0.1)).low is None


def test_agents_that_only_choose_have_no_differences_of_probabilities():
    one = pool("flights/first")
    assert set(differences(one, pool("flights/bayesian"))) == {"accuracy", "agreement"}
    assert set(differences(pool("flights/random"), pool("flights/bayesian"))) == set(PAIRED)


def test_only_common_users_count():
    whole = pool("hotels/bayesian")
    some = HeldOut(*(None if values is None else values[::2] for values in whole))
    left, right = common(whole, some)
    assert left.users.tolist() == right.users.tolist() == some.users.tolist()
    assert all((values == 0).all() for values in differences(left, right).values())


def test_holm_is_that_of_the_literature():
    """Holm (1979), and the example of its article in Wikipedia: 0.01, 0.04, 0.03, 0.005 -> 0.03, 0.06, 0.06, 0.02."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, None, 0.8]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_holm_keeps_the_chance_of_any_false_alarm():
    """Of 2,000 comparisons of 10 lines without a difference, 5%: more than 6.5% at fewer than 1 seed in 1,000."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(2000):
        shared = rng.normal(size=(40, 1))
        values = shared + rng.normal(size=(40, 10))  # lines of one comparison depend on each other
        alarms += min(p for p in holm([difference(one).p for one in values.T]) if p is not None) < 0.05
    assert alarms / 2000 < 0.065


@pytest.mark.parametrize("users", [24, 100])
def test_the_smallest_difference_is_shown_in_80_of_100_cases(users):
    """78% to 82% of 10,000: outside at fewer than 1 seed in 100,000."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (10_000, users))
    smallest = difference(values[0]).smallest / np.std(values[0], ddof=1)
    means, errors = (values + smallest).mean(axis=1), values.std(axis=1, ddof=1) / math.sqrt(users)
    from scipy import stats

    assert 0.78 < (means - stats.t(users - 1).ppf(0.975) * errors > 0).mean() < 0.82


def test_so_many_users_show_it():
    values = np.random.default_rng(0).normal(0, 0.1, 200)
    needed = users_for(values, 0.02)
    spread = np.std(values, ddof=1)
    assert needed == pytest.approx((1.96 + 0.8416) ** 2 * spread**2 / 0.02**2, rel=0.02)
    assert users_for(values[:10], 0.02) is None


def of_difference(pair: tuple[str, str], metric: str, stage: int, users: int, repetitions: int) -> tuple[float, float]:
    """Return how often the interval of a published pair is shown, and covers the difference of the whole runs."""
    one, other = common(*(pool(name) for name in pair))
    first, second = (METRICS[metric](*kind[1:])[:, stage] for kind in (one, other))
    values = first - second
    ends = []
    for who in samples(users, len(values), repetitions).T:
        found = difference(values[who], metric)
        ends.append((np.nan, np.nan) if found.low is None else (found.low, found.high))
    return coverage(values.mean(), *np.array(ends, float).T)


@pytest.mark.reference
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("users", [8, 24, 100])
@pytest.mark.parametrize("metric", SHARES)
@pytest.mark.parametrize("kind", ["chosen with", "unseen"])
def test_a_paired_interval_that_is_shown_covers(kind, metric, users, record_property):
    """93% to 97% of 1,000 samples, but for 2 standard errors of simulation."""
    pairs = [pair for pair in (PAIRS if kind == "chosen with" else UNSEEN) if _has(pair, metric)]
    found = [of_difference(pair, metric, stage, users, 1000) for pair in pairs for stage in ROUNDS]
    record_property(f"{metric}, {users} users, {kind}, {len(found)} pairs x rounds", told(found))
    held(found, 1000)


@pytest.mark.reference
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("users", [500, 624])
@pytest.mark.parametrize("metric", [metric for metric in PAIRED if metric not in SHARES])
@pytest.mark.parametrize("kind", ["chosen with", "unseen"])
def test_paired_intervals_of_other_metrics_cover_where_all_users_are_asked(kind, metric, users, record_property):
    """93% to 97% of 1,000 samples, but for 2 standard errors of simulation; of 624 users, without the oracle, whose
    differences have no interval."""
    pairs = [pair for pair in (PAIRS if kind == "chosen with" else UNSEEN) if _has(pair, metric)]
    pairs = [pair for pair in pairs if len(pool(pair[0]).users) == 624]
    pairs = [pair for pair in pairs if not any(name.endswith("/oracle") for name in pair)]
    found = [of_difference(pair, metric, stage, users, 1000) for pair in pairs for stage in ROUNDS]
    record_property(f"{metric}, {users} users, {kind}, {len(found)} pairs x rounds", told(found))
    held(found, 1000)


def _has(pair: tuple[str, str], metric: str) -> bool:
    return metric in ("accuracy", "agreement") or all(pool(name).probs is not None for name in pair)


def test_the_interval_of_a_published_pair_covers():
    """93% to 97% of 2,000 samples: at a coverage of 95%, outside at fewer than 1 seed in 10,000."""
    shown, covered = of_difference(("flights/posterior-taught", "flights/bayesian"), "accuracy", 5, 24, 2000)
    assert shown > 0.85
    assert 0.93 <= covered <= 0.97
