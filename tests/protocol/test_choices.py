"""Simulated choices by chi-square: they are made with the probabilities that NumPy computes from the users' weights."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import chisquare

import beliefbench as bb
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol

PEOPLE = np.array([weights for weights in product((-2, -1, 0, 1, 2), repeat=2) if any(weights)])  # in halves
FALSE_ALARMS = 1e-6
RULES = {
    "": (0.0, 0.0, "any"),
    "temperature=0.3": (0.3, 0.0, "any"),
    "lapse=0.2": (0.0, 0.2, "any"),
    "lapse=0.3,lapse_to=other": (0.0, 0.3, "other"),
    "temperature=0.5,lapse=0.1,lapse_to=other": (0.5, 0.1, "other"),
}


def probs(options: np.ndarray, person: np.ndarray, temperature: float, lapse: float, lapse_to: str) -> np.ndarray:
    """P(choice) of users, float[users, sets, 3], of options float[users, sets, 3, 2] on the grid of tenths."""
    rewards = (np.rint(10 * options).astype(int) * PEOPLE[person][:, None, None]).sum(axis=-1)  # in twentieths
    best = rewards == rewards.max(axis=-1, keepdims=True)
    own = best / best.sum(axis=-1, keepdims=True)
    if temperature:
        odds = np.exp((rewards - rewards.max(axis=-1, keepdims=True)) / 20 / temperature)
        own = odds / odds.sum(axis=-1, keepdims=True)
    pool = ~best if lapse_to == "other" else np.ones_like(best)
    size = pool.sum(axis=-1, keepdims=True)
    return np.where(size > 0, (1 - lapse) * own + lapse * pool / np.maximum(size, 1), own)


def p_value(episodes: Episodes, rule: tuple[float, float, str], seed: int) -> float:
    """The p-value of the choices in rounds and held-out sets: their randomised ranks, from the likeliest option to the
    least likely, are uniform if the probabilities are right (Pearson's chi-square, 20 bins)."""
    heldout = np.broadcast_to(episodes.heldout, (len(episodes.users), *episodes.heldout.shape))
    options = np.concatenate([episodes.options, heldout], axis=1)
    chosen = np.concatenate([episodes.chosen, episodes.truth], axis=1)
    share = probs(options, np.asarray(episodes.latents["person"]), *rule)
    order = np.argsort(-share, axis=-1, kind="stable")
    share, place = np.take_along_axis(share, order, axis=-1), (order == chosen[..., None]).argmax(axis=-1)[..., None]
    taken = np.take_along_axis(share, place, axis=-1)[..., 0]
    if (taken == 0).any():
        return 0.0
    before = np.take_along_axis(share.cumsum(axis=-1), place, axis=-1)[..., 0] - taken
    rank = before + np.random.default_rng(seed).random(taken.shape) * taken
    return chisquare(np.histogram(rank, 20, (0, 1))[0]).pvalue


def episodes_of(rule: str, seed: int) -> Episodes:
    return Episodes(bb.load_domain(f"flights-2,{rule}" if rule else "flights-2"), Protocol(24, 60, 300, seed))


@pytest.mark.parametrize("rule", RULES)
def test_choices_are_made_with_the_probabilities_of_the_rule(rule, draw_seed):
    """8,640 choices; the declared failure rate is 1e-6 for each rule. No failure at seeds 0 to 9."""
    assert p_value(episodes_of(rule, draw_seed), RULES[rule], draw_seed) > FALSE_ALARMS


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        ("", (0.0, 0.05, "any")),
        ("temperature=0.3", (0.42, 0.0, "any")),
        ("lapse=0.2", (0.0, 0.3, "any")),
        ("lapse=0.3,lapse_to=other", (0.0, 0.3, "any")),
        ("temperature=0.5,lapse=0.1,lapse_to=other", (0.8, 0.1, "other")),
    ],
)
def test_choices_by_another_rule_are_caught(rule, wrong, draw_seed):
    """The test above has teeth: a rule that is a little off is rejected at every one of the seeds 0 to 9."""
    assert p_value(episodes_of(rule, draw_seed), wrong, draw_seed) < FALSE_ALARMS
