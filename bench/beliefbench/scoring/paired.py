"""Two agents on the same questions: paired differences, with intervals clustered by user.

The users and the questions are the same, so what makes a question hard for both agents cancels. A user's answers are
one cluster. How often the intervals cover the truth is simulated from published runs
(``tests/scoring/test_paired.py``; docs/reliability.md has the figures).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from beliefbench.intervals import MANY, students_t
from beliefbench.scoring.heldout import HeldOut
from beliefbench.scoring.metrics import METRICS

PAIRED = ("accuracy", "agreement", "log_score", "brier", "kl_exact")
"""The metrics that are a mean over users, so that they have a difference for each user."""
SHARES = ("accuracy", "agreement")
FEWEST = 24
"""With fewer users, there is no interval of a difference of shares. Other metrics take `intervals.MANY`: one sure and
wrong answer weighs so much in them that a few users decide, who may not be in a small sample."""
DIFFERENT = 10
"""Nor with fewer users whose difference is as large as half the root mean square: then few users decide."""
POWER, LEVEL = 0.8, 0.95


class Difference(NamedTuple):
    """A mean over users of the differences of one metric after one round.

    low and high are the ends of its 95% interval, and p is that of a difference of 0; None if there are none.
    smallest: the difference that so many users would show with a power of 80%, in the metric's unit; None likewise.
    """

    value: float
    users: int
    low: float | None
    high: float | None
    p: float | None
    smallest: float | None


def common(one: HeldOut, other: HeldOut) -> tuple[HeldOut, HeldOut]:
    """Return the answers to the users that both were asked about.

    >>> from beliefbench.scoring.metrics import accuracy
    >>> def answers(*users):
    ...     shape = (len(users), 1, 2)
    ...     return HeldOut(np.array(users), None, np.zeros(shape, int), np.zeros(shape, int), np.ones((*shape, 3)) / 3)
    >>> [found.users.tolist() for found in common(answers(0, 2, 5), answers(2, 3, 5))]
    [[2, 5], [2, 5]]
    """
    users = np.intersect1d(one.users, other.users)
    return _only(one, users), _only(other, users)


def _only(answers: HeldOut, users: np.ndarray) -> HeldOut:
    kept = np.isin(answers.users, users)
    return HeldOut(*(None if values is None else values[kept] for values in answers))  # type: ignore[arg-type]


def differences(one: HeldOut, other: HeldOut) -> dict[str, np.ndarray]:
    """Return the first's metrics minus the second's, for each user after each round: {metric: float[users, stages]}.

    Both have the same users. Metrics of probabilities are left out if one of them only chooses.
    """
    found = {}
    for name in PAIRED:
        values = [METRICS[name](*answers[1:]) for answers in (one, other)]
        if values[0] is not None and values[1] is not None:
            found[name] = values[0] - values[1]
    return found


def difference(values: np.ndarray, metric: str = "accuracy") -> Difference:
    """Return the mean difference of a metric with Student's interval over users; values float[users].

    There is no interval with fewer users than the metric takes (`FEWEST`), nor if few users decide (`DIFFERENT`).

    >>> values = np.tile([0.1, 0.3, -0.1, 0.2], 12)
    >>> found = difference(values)
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3), round(found.smallest, 3)
    (0.125, 0.082, 0.168, 0.062)
    >>> difference(values[:20]).low is None
    True
    """
    users, mean = len(values), float(np.mean(values))
    few = np.abs(values) > max(1e-9, 0.5 * math.sqrt(float(np.mean(values**2))))
    if users < (FEWEST if metric in SHARES else MANY) or few.sum() < DIFFERENT:
        return Difference(mean, users, None, None, None, None)
    error = float(np.std(values, ddof=1)) / math.sqrt(users)
    if error < 1e-12:  # all users differ by the same: their spread carries no information
        return Difference(mean, users, None, None, None, None)
    half = students_t(users - 1, LEVEL) * error
    return Difference(mean, users, mean - half, mean + half, _p_value(mean / error, users), _needed(users) * error)


def _p_value(t: float, users: int) -> float:
    from scipy import special  # takes half a second to load

    return float(2 * special.stdtr(users - 1, -abs(t)))


@lru_cache(maxsize=256)
def _needed(users: int) -> float:
    """Return how many standard errors a difference must have to be shown with `POWER`, by the noncentral t."""
    from scipy import optimize, stats

    end = students_t(users - 1, LEVEL)
    return float(optimize.brentq(lambda shift: stats.nct.sf(end, users - 1, shift) - POWER, 0.1, 10))


def users_for(values: np.ndarray, size: float) -> int | None:
    """Return how many users would show a difference of ``size`` with a power of 80%, if they differ as these do.

    None if `difference` has no interval.

    >>> users_for(np.tile([0.1, 0.3, -0.1, 0.2], 12), 0.02)
    441
    """
    if difference(values).low is None:
        return None
    spread = float(np.std(values, ddof=1))
    least, most = FEWEST, 10**7
    while least < most:
        middle = (least + most) // 2
        if _needed(middle) * spread / math.sqrt(middle) <= size:
            most = middle
        else:
            least = middle + 1
    return least


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted by Holm's rule (1979), which keeps the chance of any false alarm among them all.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])], holm([None, 0.5])
    ([0.03, 0.06, 0.06], [None, 0.5])
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        adjusted[place] = largest
    return adjusted
