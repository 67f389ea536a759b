"""Stopping once the interval is narrow: the interval covers the truth about as often as it would without."""

from __future__ import annotations

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.intervals import clustered_interval
from beliefbench.protocol.stopping import SampleOf, UntilWidth, order_of_users, read_stopping_rule

SIMULATIONS, POPULATION, SETS = 2_000, 624, 100


def stopped(rule: UntilWidth, accuracy: np.ndarray) -> int:
    return next(
        number for number in rule.looks(len(accuracy)) if rule.enough(accuracy[:number]) or number == len(accuracy)
    )


@pytest.mark.parametrize("width", [0.04, 0.1])
@pytest.mark.parametrize(
    ("mean", "spread"),
    [
        (0.8, 6.0),
        (1 / 3, 0.0),
        *(pytest.param(*one, marks=pytest.mark.reference) for one in [(0.5, 4.0), (0.9, 20.0), (0.37, 1.5)]),
    ],
)
def test_where_it_stops_the_interval_covers_nearly_as_often_as_it_says(mean, spread, width, record_property):
    """92% of 2,000 simulations or more, of users whose own rates are beta-distributed: where the true coverage is 94%,
    chance alone falls below that at fewer than 1 seed in 5,000."""
    rng = np.random.default_rng(0)
    rule, covered = UntilWidth(width), 0
    for _ in range(SIMULATIONS):
        rates = rng.beta(mean * spread, (1 - mean) * spread, POPULATION) if spread else np.full(POPULATION, mean)
        accuracy = rng.binomial(SETS, rates) / SETS
        low, high = clustered_interval(accuracy[: stopped(rule, accuracy)])
        covered += low <= mean <= high
    record_property("share of 95% intervals that cover", covered / SIMULATIONS)
    assert covered / SIMULATIONS >= 0.92


def test_it_stops_at_the_first_look_that_is_narrow_enough():
    assert UntilWidth(0.2).looks(40) == (40,)
    accuracy = np.tile([0.4, 0.6], 312)
    assert stopped(UntilWidth(0.06), accuracy) == 48  # t(47) x .1 / sqrt(48) x 2 = .0587
    assert stopped(UntilWidth(0.05), accuracy) == 72
    assert stopped(UntilWidth(0.001), accuracy) == 624


def test_an_interval_of_just_the_width_is_not_narrower():
    accuracy = np.tile([0.4, 0.6], 24)
    low, high = clustered_interval(accuracy)
    assert not UntilWidth(high - low).enough(accuracy)
    assert UntilWidth(np.nextafter(high - low, 1)).enough(accuracy)
    assert not UntilWidth(0.99).enough(accuracy[:1])  # there is no interval


@pytest.mark.parametrize("width", [0, 1, 1.5, -0.1, float("nan"), float("inf")])
def test_a_width_is_a_share(width):
    with pytest.raises(bb.UsageError, match="a width is a share above 0 and below 1"):
        UntilWidth(width)


def test_users_are_asked_in_one_random_order_each_seed_and_domain():
    order = order_of_users(0, "flights", 624)
    assert sorted(order) == list(range(624))
    assert (order == order_of_users(0, "flights", 624)).all()
    assert (order != order_of_users(1, "flights", 624)).any()
    assert (order != order_of_users(0, "hotels", 624)).any()
    assert abs(np.corrcoef(order, np.arange(624))[0, 1]) < 0.17  # 4 standard errors


def test_a_sample_has_a_user_or_more():
    assert SampleOf(1).looks(8) == (1,)
    assert SampleOf(3).enough(np.array([0.1, 0.9, 0.5]))  # however much they differ
    for users in (0, -3):
        with pytest.raises(bb.UsageError, match=f"a sample has 1 user or more; got {users}"):
            SampleOf(users)


@pytest.mark.parametrize("rule", [SampleOf(3), UntilWidth(0.05)])
def test_rules_are_values(rule):
    assert {rule: 1}[read_stopping_rule(rule.identity())] == 1
