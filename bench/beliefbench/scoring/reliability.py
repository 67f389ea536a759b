"""Calibration of the probability of the chosen option: CORP, reliability diagrams, and the ECE that chance alone gives.

All functions take two arrays [users, answers]: the probability of the chosen option, and whether it was right.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from beliefbench.scoring.metrics import ECE_BINS, Array, bins_of, of_option, usable_probs

GRID = 1000
"""Diagrams round confidences to 1 / `GRID`."""

FEWEST_FOR_NULL = 48
"""With fewer users, there is no `ece_null`."""


class Corp(NamedTuple):
    """Brier score of the chosen option = miscalibration - discrimination + uncertainty, each at least 0.

    miscalibration: the gain from recalibration, range [0, 1], 0 is ideal. discrimination: the gain from telling easy
    questions from hard ones, range [0, 1/4], higher is better. uncertainty: the score of the mean accuracy alone, range
    [0, 1/4]. CORP: Dimitriadis, Gneiting and Jordan (PNAS, 2021).
    """

    miscalibration: float
    discrimination: float
    uncertainty: float


def confidence_of(probs: Array | None, choice: Array, truth: Array) -> tuple[Array, Array] | None:
    """Return the probability of each chosen option, and whether it was right; None if there are no probabilities.

    float and bool, in the shape of ``choice``. An unusable answer counts as wrong, with probability 1/3.
    """
    usable = usable_probs(probs, choice)
    if usable is None:
        return None
    return of_option(usable, np.maximum(choice, 0)), choice == truth


def recalibrated(confidence: Array, right: Array, weight: Array | None = None) -> Array:
    """Return the share right at each confidence, by pooling adjacent violators (PAV): float in the shape of ``right``.

    This is the least-squares fit among all functions that do not decrease with confidence. Answers with equal
    confidence have the same value.

    >>> recalibrated(np.array([0.4, 0.6, 0.8, 0.9]), np.array([0, 1, 0, 1])).tolist()
    [0.0, 0.5, 0.5, 1.0]
    """
    from scipy.optimize import isotonic_regression  # takes a second to load

    weight = np.ones(right.size) if weight is None else weight.ravel()
    _, which = np.unique(np.round(confidence.ravel(), 12), return_inverse=True)
    mass = np.bincount(which, weights=weight)
    share = np.divide(np.bincount(which, weights=weight * right.ravel()), mass, out=np.zeros(len(mass)), where=mass > 0)
    fitted = isotonic_regression(share, weights=np.maximum(mass, 1e-12)).x
    return fitted[which].reshape(right.shape)


def corp(confidence: Array, right: Array) -> Corp:
    """Brier score of the chosen option in parts: miscalibration, discrimination and uncertainty (CORP).

    confidence float[...], right bool[...].

    >>> parts = corp(np.array([0.9, 0.9, 0.9, 0.9]), np.array([True, True, False, False]))
    >>> [round(part, 3) for part in parts]
    [0.16, 0.0, 0.25]
    """

    def score(forecast: Array | float) -> float:
        return float(((forecast - right) ** 2).mean())

    best, mean = score(recalibrated(confidence, right)), score(float(right.mean()))
    return Corp(score(confidence) - best, mean - best, mean)


def ece_null(confidence: Array, right: Array, quantile: float = 0.95, draws: int = 1000, seed: int = 0) -> float | None:
    """The value that the ECE of a calibrated agent with these confidences stays below in 95 of 100 cases. Range [0, 1].

    A wild cluster bootstrap: the errors of each user keep or change their sign together. This keeps the dependence
    between the answers of a user and removes all miscalibration (Cameron, Gelbach and Miller, 2008). None with fewer
    than `FEWEST_FOR_NULL` users: it would be too low.

    Parameters
    ----------
    confidence, right
        float[users, answers] and bool[users, answers].

    >>> ece_null(np.full((48, 2), 0.5), np.array([[True, False]] * 48))
    0.0
    """
    return ece_nulls(confidence[:, None], right[:, None], quantile, draws, seed)[0]


def ece_nulls(
    confidence: Array, right: Array, quantile: float = 0.95, draws: int = 1000, seed: int = 0
) -> list[float | None]:
    """Return `ece_null` after each round, of float[users, stages, answers] and bool[users, stages, answers].

    >>> ece_nulls(np.full((48, 2, 2), 0.5), np.array([[[True, False]] * 2] * 48))
    [0.0, 0.0]
    """
    users, stages, answers = confidence.shape
    if users < FEWEST_FOR_NULL:
        return [None] * stages
    errors = np.empty((users, stages, ECE_BINS))
    for stage in range(stages):
        which = bins_of(confidence[:, stage].ravel()) + np.repeat(np.arange(users) * ECE_BINS, answers)
        gaps = (confidence[:, stage] - right[:, stage]).ravel()
        errors[:, stage] = np.bincount(which, gaps, users * ECE_BINS).reshape(users, ECE_BINS)
    # One product for all stages: one for each takes four times as long.
    resampled = (_signs(users, draws, seed) @ errors.reshape(users, -1)).reshape(draws, stages, ECE_BINS)
    found = np.abs(resampled).sum(axis=2) / (users * answers)
    return [float(np.quantile(of_stage, quantile)) for of_stage in found.T]


@lru_cache(maxsize=4)  # the users of a run are the same after each round, and to draw them takes longest
def _signs(users: int, draws: int, seed: int) -> Array:
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, users))


class Diagram(NamedTuple):
    """A reliability diagram: for each confidence, float[points], the recalibrated share of right answers, and the
    number of answers.

    It has no band: one from resampling users covers too seldom (``tests/scoring/test_bands.py``).
    """

    confidence: Array
    share: Array
    answers: Array


def diagram(confidence: Array, right: Array) -> Diagram:
    """Return the PAV reliability diagram of answers, float[users, answers] and bool[users, answers].

    >>> [values.round(2).tolist() for values in diagram(np.full((2, 2), 0.5), np.array([[True, False]] * 2))]
    [[0.5], [0.5], [4]]
    """
    rounded = np.round(confidence * GRID) / GRID
    level, first, answers = np.unique(rounded, return_index=True, return_counts=True)
    return Diagram(level, recalibrated(rounded, right).ravel()[first], answers)
