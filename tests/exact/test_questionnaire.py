"""Answers to the questionnaire: what the exact posterior would say, and what answers mean for choices."""

from __future__ import annotations

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.exact import questionnaire
from beliefbench.exact.questionnaire import choices_of_levels, level_marginals
from beliefbench.protocol.protocol import Protocol
from beliefbench.scoring.beliefs import belief_distance

LEVELS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])


def probs(person: np.ndarray, options: np.ndarray) -> np.ndarray:
    """P(choice) of the best option, ties at random, float[sets, 3], in plain NumPy."""
    reward = options @ person
    best = reward > reward.max(axis=-1, keepdims=True) - 1e-9
    return best / best.sum(axis=-1, keepdims=True)


def test_marginals_are_those_of_the_people_who_would_have_chosen_so(flights, people):
    episodes = bb.Episodes(flights, Protocol(users=3, rounds=3, heldout=1))
    for options, chosen in zip(episodes.options, episodes.chosen, strict=True):
        alive = np.array([probs(person, options)[np.arange(3), chosen].prod() for person in people])
        alive /= alive.sum()
        expected = [[alive[people[:, feature] == level].sum() for level in LEVELS] for feature in range(4)]
        np.testing.assert_allclose(level_marginals(flights, options, chosen), expected, atol=1e-12)


def test_stated_answers_are_weighed_by_their_product(flights, people):
    rng = np.random.default_rng(0)
    stated, queries = rng.dirichlet(np.ones(5), 4), rng.integers(0, 3, (20, 3, 4)) / 2
    weight = np.array([np.prod([stated[f, person[f] == LEVELS][0] for f in range(4)]) for person in people])
    expected = np.einsum("h,hqk->qk", weight / weight.sum(), [probs(person, queries) for person in people])
    np.testing.assert_allclose(choices_of_levels(flights, stated, queries), expected, atol=1e-12)


def test_one_who_says_what_they_want_is_read_as_that_person(flights, people):
    queries = np.random.default_rng(1).integers(0, 3, (20, 3, 4)) / 2
    for person in people[::100]:
        stated = (person[:, None] == LEVELS).astype(float)
        np.testing.assert_allclose(choices_of_levels(flights, stated, queries), probs(person, queries), atol=1e-12)


def test_answers_that_nobody_gives_say_nothing(flights, people):
    """All "no strong preference" is no person of the domain."""
    stated = np.tile([0.0, 0.0, 1.0, 0.0, 0.0], (4, 1))
    queries = np.random.default_rng(2).integers(0, 3, (5, 3, 4)) / 2
    expected = np.mean([probs(person, queries) for person in people], axis=0)
    np.testing.assert_allclose(choices_of_levels(flights, stated, queries), expected, atol=1e-12)


def test_hypotheses_beyond_one_block_count_too():
    large = bb.load_domain("flights-6")  # 15,624
    stated = np.full((6, 5), 0.2)
    stated[5] = [0, 0, 0, 0, 1]  # the dearest, and whatever else
    sets = np.zeros((1, 3, 6))
    sets[0, :, 5] = [0.0, 1.0, 0.5]
    np.testing.assert_allclose(choices_of_levels(large, stated, sets), [[0, 1, 0]], atol=1e-12)


def test_distance_is_total_variation():
    exact = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    assert belief_distance(exact, exact).tolist() == [0, 0]
    assert belief_distance(np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), exact).tolist() == [1, 1]
    assert belief_distance(np.array([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]), exact).tolist() == [0.5, 0]


def test_wrong_shapes_and_domains_are_refused(flights):
    with pytest.raises(bb.UsageError, match=r"answers have shape \[4, 3\]; expected \[4, 5\]"):
        choices_of_levels(flights, np.ones((4, 3)), np.zeros((1, 3, 4)))
    shop = bb.load_domain("webshop-backpacks")
    with pytest.raises(bb.UsageError, match="webshop-backpacks has no questionnaire"):
        level_marginals(shop, np.empty((0, 3, len(shop.features))), np.empty(0, int))


@pytest.mark.parametrize("block", [100, 623, 624, 1000])
def test_the_last_block_holds_the_last_people_once(flights, people, monkeypatch, block):
    """Person 623 is all +1: whoever says so is read as that person, and 622 as the one before."""
    monkeypatch.setattr(questionnaire, "BLOCK", block)
    queries = np.random.default_rng(3).integers(0, 3, (20, 3, 4)) / 2
    for number in (0, 99, 100, 199, 622, 623):
        stated = (people[number][:, None] == LEVELS).astype(float)
        expected = probs(people[number], queries)
        np.testing.assert_allclose(choices_of_levels(flights, stated, queries), expected, atol=1e-12)
    uniform = choices_of_levels(flights, np.full((4, 5), 0.2), queries)
    expected = np.mean([probs(person, queries) for person in people], axis=0)
    np.testing.assert_allclose(uniform, expected, atol=1e-12)
