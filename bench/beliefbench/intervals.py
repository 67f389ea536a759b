"""Confidence intervals over users. A user's answers are one cluster: they share a history and a person."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np


def clustered_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of the mean of a share over users, clipped to [0, 1].

    Student's t on the users' means, which is the cluster-robust interval for clusters of equal size. If every user has
    the same value, their spread carries no information, and the Wilson interval for that many trials is returned. With
    one user the interval is (0, 1).

    Parameters
    ----------
    values
        float[users]: each user's mean, in [0, 1].

    >>> low, high = clustered_interval(np.array([0.5, 0.7, 0.6, 0.6]))
    >>> round(low, 3), round(high, 3)
    (0.47, 0.73)
    >>> [round(end, 3) for end in clustered_interval(np.ones(100))]
    [0.963, 1.0]
    """
    users, mean = len(values), float(np.mean(values))
    if users < 2:
        return 0.0, 1.0
    spread = float(np.std(values, ddof=1))
    if spread < 1e-12:
        from scipy import special

        z = float(special.ndtri((1 + level) / 2))
        centre = (mean + z * z / (2 * users)) / (1 + z * z / users)
        half = z * math.sqrt(mean * (1 - mean) / users + (z / (2 * users)) ** 2) / (1 + z * z / users)
    else:
        centre = mean
        half = _students_t(users, level) * spread / math.sqrt(users)
    return max(0.0, centre - half), min(1.0, centre + half)


class Estimate(NamedTuple):
    """A number with its 95% interval."""

    value: float
    low: float
    high: float


def clustered_slope(x: np.ndarray, y: np.ndarray, level: float = 0.95) -> Estimate | None:
    """Return the slope of the least-squares line (with an intercept) of y on x, its interval clustered by user.

    The interval uses the cluster-robust sandwich variance (Liang and Zeger, 1986) times users / (users - 1), and
    Student's t. None if x does not vary, or with one user.

    Parameters
    ----------
    x, y
        float[users, answers].

    >>> x = np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 2.0]])
    >>> tuple(round(float(value), 6) for value in clustered_slope(x, 0.5 * x + 3))
    (0.5, 0.5, 0.5)
    """
    users = len(x)
    x, y = x - x.mean(), y - y.mean()
    spread = float((x * x).sum())
    if users < 2 or spread < 1e-12:
        return None
    slope = float((x * y).sum()) / spread
    scores = (x * (y - slope * x)).sum(axis=1)
    return _around(slope, math.sqrt(users / (users - 1) * float((scores**2).sum())) / spread, users, level)


def clustered_ratio(above: np.ndarray, below: np.ndarray, level: float = 0.95) -> Estimate | None:
    """Return the ratio of two means over users with its interval (delta method, Student's t).

    None if the mean of ``below`` is 0, or with one user.

    Parameters
    ----------
    above, below
        float[users]: each user's means.

    >>> tuple(round(float(value), 6) for value in clustered_ratio(np.array([0.1, 0.3]), np.array([0.2, 0.6])))
    (0.5, 0.5, 0.5)
    """
    users, mean = len(above), float(below.mean())
    if users < 2 or abs(mean) < 1e-12:
        return None
    ratio = float(above.mean()) / mean
    error = float(np.std(above - ratio * below, ddof=1)) / math.sqrt(users) / abs(mean)
    return _around(ratio, error, users, level)


def _around(value: float, error: float, users: int, level: float) -> Estimate:
    half = _students_t(users, level) * error
    return Estimate(value, value - half, value + half)


@lru_cache(maxsize=256)  # the users of a run are the same after each round
def _students_t(users: int, level: float) -> float:
    """Return the quantile of Student's t that an interval of this level ends at, in standard errors."""
    from scipy import special  # takes half a second to load

    return float(special.stdtrit(users - 1, (1 + level) / 2))
