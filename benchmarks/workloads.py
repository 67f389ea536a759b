"""The workload of exact inference: users, the options that they saw, their choices, and shared held-out sets.

Features lie on tenths and weights on halves, so all scores are multiples of .05 and ties are exact in single precision
too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ROUNDS = 5
SLICE = 100_000  # people whose probabilities the reference has in memory at once


class Workload(NamedTuple):
    """people int8[hypotheses, features], twice the weights of each, since ten million people of doubles take 800 MB;
    options float[users, rounds, 3, features]; chosen int[users, rounds]; heldout float[sets, 3, features]."""

    people: np.ndarray
    options: np.ndarray
    chosen: np.ndarray
    heldout: np.ndarray


def people_of(features: int) -> np.ndarray:
    """Return twice the weights of all people but the one who wants nothing, int8[people, features], from -2 to 2."""
    grid = np.indices((5,) * features, np.int8).reshape(features, -1).T - np.int8(2)
    return grid[(grid != 0).any(axis=1)]


def workload(features: int, users: int | None, sets: int = 100) -> Workload:
    """Return the workload of some users, or of every person once."""
    rng = np.random.default_rng(features)
    people = people_of(features)
    who = np.arange(len(people)) if users is None else rng.integers(0, len(people), users)
    options = rng.integers(0, 11, (len(who), ROUNDS, 3, features)) / 10
    heldout = rng.integers(0, 11, (sets, 3, features)) / 10
    scores = (options @ people[who][:, None, :, None] / 2)[..., 0].round(9)
    best = scores == scores.max(axis=-1, keepdims=True)
    return Workload(people, options, (best * rng.random(best.shape)).argmax(axis=-1), heldout)


JOBS = {"gold": (4, None), "scale": (8, 64)}
"""{name: (features, users)}. gold: 624 people, each once. scale: 390,624 hypotheses."""


def reference(work: Workload, users: int = 8) -> np.ndarray:
    """Return the predictive of the first users by a loop in double precision, float64[users, rounds + 1, sets, 3]."""
    mass = np.zeros(users * (ROUNDS + 1))
    sums = np.zeros((len(mass), 3 * len(work.heldout)))
    for start in range(0, len(work.people), SLICE):
        people = work.people[start : start + SLICE] / 2

        def probs(options: np.ndarray, people: np.ndarray = people) -> np.ndarray:
            scores = (options @ people.T).round(9)
            best = scores == scores.max(axis=-2, keepdims=True)
            return best / best.sum(axis=-2, keepdims=True)

        weights = np.ones((users, ROUNDS + 1, len(people)))
        for user in range(users):
            for round_, (options, chosen) in enumerate(zip(work.options[user], work.chosen[user], strict=True)):
                weights[user, round_ + 1] = weights[user, round_] * probs(options)[chosen]
        weights = weights.reshape(len(mass), -1)
        mass += weights.sum(axis=1)
        sums += weights @ probs(work.heldout).reshape(-1, len(people)).T
    return (sums / mass[:, None]).reshape(users, ROUNDS + 1, -1, 3)
