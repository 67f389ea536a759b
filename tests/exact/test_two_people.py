"""Exact inference of two people against cases worked by hand, also where they contradict themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import beliefbench as bb

HIGH_TO_LOW = np.array([[1.0], [0.5], [0.0]])
LOW_TO_HIGH = np.array([[0.0], [0.5], [1.0]])


# --- what they choose -----------------------------------------------------------------------------
#
# Person 0 (prior 3/4) likes shine, person 1 (prior 1/4) dislikes it; each names the favourite with 8/10, any other
# option with 1/10. Options are shown from the lowest shine to the highest.


def test_prior_predictive_by_hand(coins):
    # P(lowest) = 3/4 * 1/10 + 1/4 * 8/10 = 11/40; P(middle) = 1/10 = 4/40;
    # P(highest) = 3/4 * 8/10 + 1/4 * 1/10 = 25/40.
    probs = bb.predictive(coins, np.empty((0, 3, 1)), np.empty(0, int), LOW_TO_HIGH[None])
    np.testing.assert_allclose(probs, [[11 / 40, 4 / 40, 25 / 40]], atol=1e-12)


def test_posterior_and_predictive_after_a_round_by_hand(coins):
    # The lowest was wanted: joint 3/4 * 1/10 = 3/40 and 1/4 * 8/10 = 8/40, so the posterior is 3/11, 8/11.
    seen = LOW_TO_HIGH[None], np.array([0])
    np.testing.assert_allclose(bb.posterior(coins, *seen), [3 / 11, 8 / 11], atol=1e-12)
    # P(lowest) = 3/11 * 1/10 + 8/11 * 8/10 = 67/110; P(middle) = 11/110;
    # P(highest) = 3/11 * 8/10 + 8/11 * 1/10 = 32/110.
    probs = bb.predictive(coins, *seen, np.stack([LOW_TO_HIGH, HIGH_TO_LOW]))
    np.testing.assert_allclose(probs, np.array([[67, 11, 32], [32, 11, 67]]) / 110, atol=1e-12)


def test_posterior_after_two_rounds_by_hand(coins):
    # The lowest, then the highest: 3/4 * 1/10 * 8/10 and 1/4 * 8/10 * 1/10, 3 to 1 again. The middle says nothing.
    options = np.stack([LOW_TO_HIGH, HIGH_TO_LOW, LOW_TO_HIGH])
    np.testing.assert_allclose(bb.posterior(coins, options, np.array([0, 0, 1])), [3 / 4, 1 / 4], atol=1e-12)


def test_expected_reward_by_hand(coins):
    # After the lowest was wanted: E[sign] = 3/11 - 8/11 = -5/11, times the shine.
    rewards = bb.expected_rewards(coins, LOW_TO_HIGH[None, None], np.array([[0]]), LOW_TO_HIGH[None])
    np.testing.assert_allclose(rewards, [[[0, -5 / 22, -5 / 11]]], atol=1e-12)


def test_two_hundred_rounds_do_not_underflow(coins):
    # 130 times the highest and 70 times the lowest: the likelihoods are about 1e-100, their odds 3 * 8**60.
    chosen = np.array([2] * 130 + [0] * 70)
    options = np.broadcast_to(LOW_TO_HIGH, (200, 3, 1))
    posterior = bb.posterior(coins, options, chosen)
    assert posterior[1] == pytest.approx(1 / (3 * 8.0**60), rel=1e-9)
    # 100 of each: the prior comes back.
    balanced = np.array([0, 2] * 100)
    np.testing.assert_allclose(bb.posterior(coins, options, balanced), [3 / 4, 1 / 4], rtol=1e-9)
    probs = bb.predictive(coins, options, balanced, LOW_TO_HIGH[None])
    np.testing.assert_allclose(probs, [[11 / 40, 4 / 40, 25 / 40]], rtol=1e-9)
    # A thousand rounds: each likelihood is below 1e-700, beyond the range of float64.
    long = np.broadcast_to(LOW_TO_HIGH, (1000, 3, 1)), np.tile([0, 2, 1, 1], 250)
    np.testing.assert_allclose(bb.posterior(coins, *long), [3 / 4, 1 / 4], rtol=1e-9)


# --- contradictions -------------------------------------------------------------------------------

CONTRADICTORY = np.stack([LOW_TO_HIGH] * 4), np.array([2, 2, 0, 2])  # the highest, and the lowest in round 3


def test_a_contradiction_names_the_round(sure_coins):
    with pytest.raises(bb.ContradictionError, match=r"round 3: .*option 1"):
        bb.posterior(sure_coins, *CONTRADICTORY)
    with pytest.raises(bb.ContradictionError, match=r"round 3: .*option 1"):
        bb.predictive(sure_coins, *CONTRADICTORY, LOW_TO_HIGH[None])
    with pytest.raises(bb.ContradictionError, match=r"round 1: .*option 2"):  # nobody wants the middle
        bb.posterior(sure_coins, LOW_TO_HIGH[None], np.array([1]))


def test_a_contradiction_names_the_user_where_there_are_several(sure_coins):
    options = np.broadcast_to(LOW_TO_HIGH, (3, 2, 3, 1))
    with pytest.raises(bb.ContradictionError, match=r"round 2 of user 1\b"):
        bb.predictives(sure_coins, options, np.array([[2, 2], [0, 2], [0, 0]]), LOW_TO_HIGH[None])


def test_ignoring_a_contradiction_equals_leaving_its_round_out(sure_coins):
    options, choices = CONTRADICTORY
    kept = np.array([0, 1, 3])
    queries = np.stack([LOW_TO_HIGH, HIGH_TO_LOW])
    ignoring = bb.predictive(sure_coins, options, choices, queries, on_contradiction="ignore")
    np.testing.assert_array_equal(ignoring, bb.predictive(sure_coins, options[kept], choices[kept], queries))
    np.testing.assert_array_equal(ignoring, [[0, 0, 1], [1, 0, 0]])
    assert bb.posterior(sure_coins, options, choices, on_contradiction="ignore").tolist() == [1, 0]


@settings(max_examples=30, deadline=None)
@given(choices=st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_ignoring_contradictions_never_gives_nan(sure_coins, choices):
    # By hand: rounds are taken in turn; the middle is left out, and so is what differs from the first that was kept.
    kept, likes = [], None
    for at, choice in enumerate(choices):
        if choice != 1 and likes in (None, choice):
            kept, likes = [*kept, at], choice
    options, chosen = np.stack([LOW_TO_HIGH] * 4), np.array(choices)
    stages = bb.predictives(
        sure_coins, options[None], chosen[None], LOW_TO_HIGH[None], stages="all", on_contradiction="ignore"
    )[0, :, 0]
    for stage, probs in enumerate(stages):
        before = [at for at in kept if at < stage]
        expected = [0.25, 0, 0.75] if not before else [1, 0, 0] if choices[before[0]] == 0 else [0, 0, 1]
        np.testing.assert_allclose(probs, expected, atol=1e-12)


def test_a_contradiction_of_one_user_leaves_the_others_alone(sure_coins):
    options = np.broadcast_to(LOW_TO_HIGH, (2, 2, 3, 1))
    probs = bb.predictives(
        sure_coins, options, np.array([[1, 0], [2, 2]]), LOW_TO_HIGH[None], on_contradiction="ignore"
    )
    np.testing.assert_allclose(probs[:, 0, 0], [[1, 0, 0], [0, 0, 1]], atol=1e-12)
