"""Exact inference of many users at once gives each user the numbers that the user alone would have."""

import numpy as np
import pytest

import beliefbench as bb


@pytest.fixture(scope="module")
def crowd(simulator):
    """All 624 people: rounds of their own, and queries that all share and queries of their own."""
    rng = np.random.default_rng(7)
    options = simulator.options(rng, 624, 3)
    chosen = simulator.choose(rng, np.arange(624)[:, None], options)
    return options, chosen, simulator.options(rng, 5), simulator.options(rng, 624, 2)


@pytest.mark.parametrize("shard", [1, 7, 64])
def test_a_users_numbers_are_the_same_bits_in_any_shard(flights, crowd, shard):
    options, chosen, shared, own = crowd
    mixed = np.concatenate([np.broadcast_to(shared, (624, *shared.shape)), own], axis=1)
    for queries in (shared, own, mixed):
        together = bb.predictives(flights, options, chosen, queries)
        for at in list(range(0, 624, shard))[:: max(1, 60 // shard)]:
            part = slice(at, at + shard)
            alone = bb.predictives(
                flights, options[part], chosen[part], queries if queries is shared else queries[part]
            )
            np.testing.assert_array_equal(alone, together[part])


def test_rewards_are_the_same_bits_in_any_shard(flights, crowd):
    options, chosen, shared, _ = crowd
    together = bb.expected_rewards(flights, options, chosen, shared)
    np.testing.assert_array_equal(bb.expected_rewards(flights, options[5:12], chosen[5:12], shared), together[5:12])


def test_all_stages_at_once_are_the_same_bits_as_each_stage_alone(flights, crowd):
    options, chosen, shared, own = crowd
    for queries in (shared, own):
        every = bb.predictives(flights, options, chosen, queries, stages="all")
        for stage in (0, 3):
            last = bb.predictives(flights, options[:, :stage], chosen[:, :stage], queries)
            np.testing.assert_array_equal(every[:, stage], last[:, 0])


def test_own_and_shared_queries_come_back_in_their_order(flights, crowd):
    options, chosen, shared, own = (part[:3] for part in crowd)
    everyone = np.broadcast_to(shared, (3, *shared.shape))
    mixed = np.concatenate([everyone[:, :1], own[:, :1], everyone[:, 1:], own[:, 1:]], axis=1)
    together = bb.predictives(flights, options, chosen, mixed)
    for user in range(3):
        alone = bb.predictive(flights, options[user], chosen[user], mixed[user])
        np.testing.assert_allclose(together[user, 0], alone, atol=1e-12)


def test_no_users_and_no_queries_are_answered(flights):
    assert bb.predictives(flights, np.empty((0, 2, 3, 4)), np.empty((0, 2)), np.zeros((5, 3, 4))).shape == (
        0,
        1,
        5,
        3,
    )
    nothing = np.empty((0, 3, 4)), np.empty(0, int)
    assert bb.predictive(flights, *nothing, np.empty((0, 3, 4))).shape == (0, 3)
