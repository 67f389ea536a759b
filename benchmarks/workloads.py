"""The workload of exact inference: users, the options that they saw, their choices, and shared held-out sets.

Features lie on tenths and weights on halves, so all scores are multiples of .05 and ties are exact in single precision
too.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

WEIGHTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
ROUNDS = 5


class Workload(NamedTuple):
    """people float[hypotheses, features], the weights of each; options float[users, rounds, 3, features]; chosen
    int[users, rounds]; heldout float[sets, 3, features]."""

    people: np.ndarray
    options: np.ndarray
    chosen: np.ndarray
    heldout: np.ndarray


def people_of(features: int) -> np.ndarray:
    """Return the weights of all people but the one who wants nothing, float[people, features]."""
    grid = np.array(np.meshgrid(*[np.array(WEIGHTS)] * features, indexing="ij")).reshape(features, -1).T
    return grid[(grid != 0).any(axis=1)]


def workload(features: int, users: int | None, sets: int = 100) -> Workload:
    """Return the workload of some users, or of every person once."""
    rng = np.random.default_rng(features)
    people = people_of(features)
    who = np.arange(len(people)) if users is None else rng.integers(0, len(people), users)
    options = rng.integers(0, 11, (len(who), ROUNDS, 3, features)) / 10
    heldout = rng.integers(0, 11, (sets, 3, features)) / 10
    scores = (options @ people[who][:, None, :, None])[..., 0].round(9)
    best = scores == scores.max(axis=-1, keepdims=True)
    return Workload(people, options, (best * rng.random(best.shape)).argmax(axis=-1), heldout)


JOBS = {"gold": (4, None), "scale": (8, 64)}
"""{name: (features, users)}. gold: 624 people, each once. scale: 390,624 hypotheses."""


def reference(work: Workload, users: int = 8) -> np.ndarray:
    """Return the predictive of the first users by a loop in double precision, float64[users, rounds + 1, sets, 3]."""

    def probs(options: np.ndarray) -> np.ndarray:
        scores = (options @ work.people.T).round(9)
        best = scores == scores.max(axis=-2, keepdims=True)
        return best / best.sum(axis=-2, keepdims=True)

    asked = probs(work.heldout)
    found = np.empty((users, ROUNDS + 1, *asked.shape[:2]))
    for user, stage in product(range(users), range(ROUNDS + 1)):
        if stage == 0:
            weight = np.full(len(work.people), 1 / len(work.people))
        else:
            weight = weight * probs(work.options[user, stage - 1])[work.chosen[user, stage - 1]]
        found[user, stage] = asked @ (weight / weight.sum())
    return found
