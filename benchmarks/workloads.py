"""The workload of exact inference: users, the options that they saw, their choices, and shared held-out sets.

Features lie on tenths and weights on halves, so all scores are multiples of .05 and ties are exact in single precision
too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

WEIGHTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
ROUNDS = 5
SLICE = 100_000  # people whose probabilities the reference has in memory at once


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
    mass = np.zeros((users, ROUNDS + 1, 1, 1))
    sums = np.zeros((users, ROUNDS + 1, *work.heldout.shape[:2]))
    for start in range(0, len(work.people), SLICE):
        people = work.people[start : start + SLICE]

        def probs(options: np.ndarray, people: np.ndarray = people) -> np.ndarray:
            scores = (options @ people.T).round(9)
            best = scores == scores.max(axis=-2, keepdims=True)
            return best / best.sum(axis=-2, keepdims=True)

        asked = probs(work.heldout)
        for user in range(users):
            weight = np.ones(len(people))
            for stage in range(ROUNDS + 1):
                if stage:
                    weight = weight * probs(work.options[user, stage - 1])[work.chosen[user, stage - 1]]
                mass[user, stage] += weight.sum()
                sums[user, stage] += asked @ weight
    return sums / mass
