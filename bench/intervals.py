"""Confidence intervals of a mean over users. A user's answers are one cluster: they share a history and a person."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats


def clustered_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of the mean of a share over users, clipped to [0, 1].

    Student's t on the users' means (the cluster-robust interval for clusters of equal size). Where every user has the
    same value their spread says nothing, and the Wilson interval for that many trials is given instead; where there is
    one user, nothing is known: (0, 1).

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
        z = float(stats.norm.ppf((1 + level) / 2))
        centre = (mean + z * z / (2 * users)) / (1 + z * z / users)
        half = z * math.sqrt(mean * (1 - mean) / users + (z / (2 * users)) ** 2) / (1 + z * z / users)
    else:
        centre = mean
        half = float(stats.t.ppf((1 + level) / 2, users - 1)) * spread / math.sqrt(users)
    return max(0.0, centre - half), min(1.0, centre + half)
