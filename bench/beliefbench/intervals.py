"""Confidence intervals over users. A user's answers are one cluster: they share a history and a person.

An interval speaks of new users of the domain, with new rounds, on the same held-out sets. There is none where its
coverage is known to leave 93% to 97%: with few users, or where few users decide. How often each covers the truth is
simulated from published runs (``tests/scoring/test_coverage.py``; docs/reliability.md has the figures).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

FEWEST = 24
"""With fewer users, there is no interval of a mean."""
MANY = 500
"""The users that an interval takes where a few of them decide: near 0 and 1, and for slopes."""
FEWEST_SETS = 30
"""The held-out sets that an interval for new users and new sets takes."""
NEAR = 0.06
"""Shares below this and above 1 minus this are near 0 and 1."""
SOME, SKEWED = 48, 0.2
"""The users that an interval takes for shares below `SKEWED` and above 1 minus it, where users are often skewed."""
FEWEST_OF_RATIO = 100
"""The users that an interval of a ratio takes."""
DIFFERENT = 10
"""An interval of a ratio or a slope rests on so many users at least that differ from it (`_different`)."""


def clustered_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float] | None:
    """Return the interval of the mean of a share over users, in [0, 1].

    Wilson's interval for the effective number of answers, with Student's t over users (Dean and Pagano, 2015). If every
    user has the same value, their spread carries no information, and each user counts as one answer. None with fewer
    than `FEWEST` users, for a mean within `SKEWED` of 0 or 1 with fewer than `SOME`, and within `NEAR` with fewer than
    `MANY`: there the spread depends on few users, who may not be in the sample.

    Parameters
    ----------
    values
        float[users]: each user's mean, in [0, 1].

    >>> low, high = clustered_interval(np.array([0.5, 0.7, 0.6, 0.6] * 6))
    >>> round(low, 3), round(high, 3)
    (0.569, 0.63)
    >>> clustered_interval(np.array([0.5, 0.7, 0.6])) is None, clustered_interval(np.ones(100)) is None
    (True, True)
    >>> [round(end, 3) for end in clustered_interval(np.ones(600))]
    [0.994, 1.0]
    """
    low, high = (float(end) for end in clustered_intervals(values, level))
    return None if math.isnan(low) else (low, high)


def clustered_intervals(values: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Return `clustered_interval` of many shares at once, float[users, ...] -> float[2, ...]: NaN where there is none.

    >>> clustered_intervals(np.array([[0.5, 1.0]] * 12 + [[0.7, 1.0]] * 12)).round(3).tolist()
    [[0.556, nan], [0.642, nan]]
    """
    users, mean = len(values), np.mean(values, axis=0)
    if users < FEWEST:
        return np.full((2, *mean.shape), np.nan)
    spread = np.std(values, axis=0, ddof=1)
    alike = spread < 1e-12
    ends = np.where(
        alike,
        _ends_of(mean, _normal(level) ** 2 / users),
        _wilson(mean, students_t(users - 1, level) ** 2 * spread**2 / users),
    )
    return np.where(_near(mean, users), np.nan, ends)


def _near(mean: np.ndarray | float, users: int) -> np.ndarray:
    """Return whether a share is too near to 0 or 1 for an interval from so many users."""
    return np.minimum(mean, np.subtract(1, mean)) < (SKEWED if users < SOME else NEAR if users < MANY else 0.0)


def _wilson(mean: np.ndarray | float, square: np.ndarray | float) -> np.ndarray:
    """Return the shares p with (mean - p)^2 = square p (1 - p) / (mean (1 - mean)): [2, ...].

    ``square`` is t^2 times the variance of the mean, which changes with p as that of a share does.
    """
    return _ends_of(mean, square / np.maximum(np.multiply(mean, np.subtract(1, mean)), 1e-12))


def _ends_of(mean: np.ndarray | float, square: np.ndarray | float) -> np.ndarray:
    """Return the shares p with (mean - p)^2 = square p (1 - p): float[2, ...]."""
    middle = np.add(mean, np.divide(square, 2))
    half = np.sqrt(np.multiply(square, mean) * np.subtract(1, mean) + np.square(square) / 4)
    return np.clip(np.stack([middle - half, middle + half]) / np.add(1, square), 0, 1)


def two_way_interval(right: np.ndarray, level: float = 0.95) -> tuple[float, float] | None:
    """Return the interval of the mean for new users and new held-out sets: the answers to one set are a cluster too.

    The variance is that over users plus that over sets minus that of single answers, and at least the larger of the
    first two (Cameron, Gelbach and Miller, 2011). The rest is as in `clustered_interval`, with degrees of freedom by
    Satterthwaite. Where each user has own sets, the last two parts cancel on average. None with fewer than
    `FEWEST` users or `FEWEST_SETS` sets, and near 0 and 1 as there.

    Parameters
    ----------
    right
        bool[users, sets].

    >>> right = np.random.default_rng(0).random((50, 40)) < np.linspace(0.3, 0.9, 40)  # some sets are easy
    >>> [round(end, 3) for end in two_way_interval(right)], [round(end, 3) for end in clustered_interval(right.mean(1))]
    ([0.536, 0.657], [0.576, 0.62])
    """
    users, sets = right.shape
    mean = float(right.mean())
    if users < FEWEST or sets < FEWEST_SETS or _near(mean, users):
        return None
    left = right - mean
    by_user = float((left.sum(axis=1) ** 2).sum()) / right.size**2 * users / (users - 1)
    by_set = float((left.sum(axis=0) ** 2).sum()) / right.size**2 * sets / (sets - 1)
    variance = max(by_user, by_set, by_user + by_set - float((left**2).sum()) / right.size**2)
    if variance < 1e-12:
        return clustered_interval(right.mean(axis=1), level)
    freedom = (by_user + by_set) ** 2 / (by_user**2 / (users - 1) + by_set**2 / (sets - 1))
    low, high = (float(end) for end in _wilson(mean, students_t(freedom, level) ** 2 * variance))
    return low, high


class Estimate(NamedTuple):
    """A number with its 95% interval; its ends are None if there is none."""

    value: float
    low: float | None
    high: float | None


def clustered_slope(x: np.ndarray, y: np.ndarray, level: float = 0.95) -> Estimate | None:
    """Return the slope of the least-squares line (with an intercept) of y on x, its interval clustered by user.

    The interval uses the variance CR3, which leaves out one user at a time, and Student's t with the degrees of freedom
    of Bell and McCaffrey (2002). It has no ends with fewer than `MANY` users, because in late rounds a few users decide
    the slope, and with fewer than `DIFFERENT` users who differ from the line. None if x does not vary, or with one
    user.

    Parameters
    ----------
    x, y
        float[users, answers].

    >>> x = np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 2.0]])
    >>> clustered_slope(x, 0.5 * x + 3)
    Estimate(value=0.5, low=None, high=None)
    >>> rng = np.random.default_rng(0)
    >>> x = rng.random((600, 5))
    >>> [round(one, 2) for one in clustered_slope(x, x + rng.normal(size=x.shape))]
    [0.91, 0.78, 1.03]
    """
    users = len(x)
    x, y = x - x.mean(), y - y.mean()
    spread = float((x * x).sum())
    if users < 2 or spread < 1e-12:
        return None
    slope = float((x * y).sum()) / spread
    error = _slope_error(x, y - slope * x, spread) if users >= MANY else None
    return Estimate(slope, None, None) if error is None else _around(slope, *error, level)


def _slope_error(x: np.ndarray, left: np.ndarray, spread: float) -> tuple[float, float] | None:
    """Return the standard error of a slope and its degrees of freedom; None if too few users differ from the line.

    ``x`` is centred, and ``left`` is what the line leaves. All is in terms of each user's moments, 2 x 2, because the
    line has two parameters.
    """
    users, answers = x.shape
    scores = np.stack([left.sum(axis=1), (x * left).sum(axis=1)], axis=1)
    if _different(scores[:, 1] * users / spread) < DIFFERENT:
        return None
    own = np.empty((users, 2, 2))  # each user's part of the design's square
    own[:, 0, 0], own[:, 0, 1], own[:, 1, 1] = answers, x.sum(axis=1), (x * x).sum(axis=1)
    own[:, 1, 0] = own[:, 0, 1]
    inverse = np.diag([1 / x.size, 1 / spread])  # x is centred
    rest = np.eye(2) - own @ inverse
    determinant = rest[:, 0, 0] * rest[:, 1, 1] - rest[:, 0, 1] * rest[:, 1, 0]
    if determinant.min() < 1e-6:  # without one user, there is no line
        return None
    weights = np.stack([-rest[:, 1, 0], rest[:, 0, 0]], axis=1) / determinant[:, None] / spread
    squares = float(((weights * scores).sum(axis=1) ** 2).sum())
    turned = (own @ weights[:, :, None])[:, :, 0]
    alone = (weights * turned).sum(axis=1)
    shared = (turned * (turned @ inverse)).sum(axis=1)
    between = inverse @ (turned.T @ turned)
    trace = float((alone - shared).sum())
    freedom = trace**2 / float((alone**2 - 2 * alone * shared).sum() + np.trace(between @ between))
    return math.sqrt(squares), freedom


def clustered_ratio(above: np.ndarray, below: np.ndarray, level: float = 0.95) -> Estimate | None:
    """Return the ratio of two means over users with its interval (delta method, Student's t).

    The interval has no ends with fewer than `FEWEST_OF_RATIO` users, or if fewer than `DIFFERENT` differ from the
    ratio. None if the mean of ``below`` is 0, or with one user.

    Parameters
    ----------
    above, below
        float[users]: each user's means.

    >>> clustered_ratio(np.array([0.1, 0.3]), np.array([0.2, 0.6]))
    Estimate(value=0.5, low=None, high=None)
    >>> [round(one, 3) for one in clustered_ratio(np.tile([0.1, 0.2, 0.3], 40), np.tile([0.4, 0.4, 0.6], 40))]
    [0.429, 0.409, 0.448]
    """
    if len(above) < 2 or abs(below.mean()) < 1e-12:
        return None
    ratio, low, high = (float(one) for one in clustered_ratios(above, below, level))
    return Estimate(ratio, None, None) if math.isnan(low) else Estimate(ratio, low, high)


def clustered_ratios(above: np.ndarray, below: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Return `clustered_ratio` of many pairs at once, float[users, ...] -> float[3, ...]: the ratio and the ends of its
    interval, NaN where there is none.

    >>> clustered_ratios(np.array([[0.1], [0.3]]), np.array([[0.2], [0.6]])).round(3).tolist()
    [[0.5], [nan], [nan]]
    """
    users, mean = len(above), below.mean(axis=0)
    ratio = above.mean(axis=0) / mean
    left = above - ratio * below
    error = np.std(left, axis=0, ddof=1) / math.sqrt(users) / np.abs(mean)
    error = np.where((_different(left) < DIFFERENT) | (users < FEWEST_OF_RATIO), np.nan, error)
    half = students_t(users - 1, level) * error
    return np.stack([ratio, ratio - half, ratio + half])


def _different(left: np.ndarray) -> np.ndarray:
    """Return how many users differ from 0 by half the root mean square or more: float[users, ...] -> int[...]."""
    return (np.abs(left) > np.maximum(1e-9, 0.5 * np.sqrt((left**2).mean(axis=0)))).sum(axis=0)


def _around(value: float, error: float, freedom: float, level: float) -> Estimate:
    half = students_t(freedom, level) * error
    return Estimate(value, value - half, value + half)


def _normal(level: float) -> float:
    """Return the quantile of the normal distribution that an interval of this level ends at."""
    from scipy import special  # takes half a second to load

    return float(special.ndtri((1 + level) / 2))


@lru_cache(maxsize=256)  # the users of a run are the same after each round
def students_t(freedom: float, level: float) -> float:
    """Return the quantile of Student's t that an interval of this level ends at, in standard errors."""
    from scipy import special  # takes half a second to load

    return float(special.stdtrit(freedom, (1 + level) / 2))
