"""Runs that ask some of the users: a sample of a fixed size, or until the interval of the final accuracy is narrow.

Either way, users are asked in one fixed random order.

The interval is checked after a few fixed numbers of users only, because each check may stop a run whose users happen to
look similar. Where it stops, the interval covers the mean of all users about as often as without a rule, and the
accuracy is off by less than 0.2 points on average. ``tests/scoring/test_coverage.py`` simulates this from published
runs, and docs/reliability.md has the figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from beliefbench.draws import key, permutation
from beliefbench.errors import UsageError
from beliefbench.intervals import clustered_interval

FIRST_LOOK, GROWTH = 48, 1.5


@dataclass(frozen=True)
class UntilWidth:
    """Stop once the 95% interval of the accuracy after the last round is narrower than ``width``, a share in (0, 1).

    >>> UntilWidth(0.05).looks(624)
    (48, 72, 108, 162, 243, 365, 548, 624)
    """

    width: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.width) and 0 < self.width < 1):
            raise UsageError(f"a width is a share above 0 and below 1, such as 0.05; got {self.width}.")

    def looks(self, users: int) -> tuple[int, ...]:
        """Return the numbers of users after which the interval is checked: 48, then 1.5 times as many each time, and
        all."""
        numbers = []
        number = FIRST_LOOK
        while number < users:
            numbers.append(number)
            number = math.ceil(number * GROWTH)
        return (*numbers, users)

    def enough(self, accuracy: np.ndarray) -> bool:
        """Return True if these users are enough; accuracy float[users], each user's after the last round.

        They are not where there is no interval.
        """
        interval = clustered_interval(accuracy)
        return interval is not None and interval[1] - interval[0] < self.width

    def identity(self) -> dict[str, str | float]:
        """Return the rule as JSON values."""
        return {"rule": "Wilson interval width", **asdict(self), "first": FIRST_LOOK, "growth": GROWTH}


@dataclass(frozen=True)
class SampleOf:
    """Stop after ``users`` users, which are a random sample of all.

    >>> SampleOf(3).looks(8), SampleOf(3).looks(2)
    ((3,), (2,))
    """

    users: int

    def __post_init__(self) -> None:
        if self.users < 1:
            raise UsageError(f"a sample has 1 user or more; got {self.users}.")

    def looks(self, users: int) -> tuple[int, ...]:
        """Return after how many of the users the run ends."""
        return (min(self.users, users),)

    def enough(self, accuracy: np.ndarray) -> bool:
        """Return True: the sample was asked."""
        return True

    def identity(self) -> dict[str, str | int]:
        """Return the rule as JSON values."""
        return {"rule": "sample", **asdict(self)}


StoppingRule = UntilWidth | SampleOf


def stopping_rule(sample: int | None, until_width: float | None) -> StoppingRule | None:
    """Return the rule that is asked for: one of the two, or none.

    Raises
    ------
    UsageError
        If both are given, or a number is out of range.

    >>> stopping_rule(3, None)
    SampleOf(users=3)
    """
    if sample is not None and until_width is not None:
        raise UsageError("a sample of users and a width to stop at exclude each other; give one of them.")
    if sample is not None:
        return SampleOf(sample)
    return None if until_width is None else UntilWidth(until_width)


def read_stopping_rule(identity: Mapping[str, Any] | None) -> StoppingRule | None:
    """Return the rule whose ``identity()`` this is; None if there is none.

    >>> read_stopping_rule(SampleOf(3).identity()), read_stopping_rule(UntilWidth(0.05).identity())
    (SampleOf(users=3), UntilWidth(width=0.05))
    """
    if identity is None:
        return None
    return SampleOf(int(identity["users"])) if "users" in identity else UntilWidth(float(identity["width"]))


def order_of_users(seed: int, domain: str, users: int) -> np.ndarray:
    """Return the positions of users in the order in which they are asked: a permutation of 0 .. users - 1.

    >>> sorted(order_of_users(0, "flights", 5).tolist())
    [0, 1, 2, 3, 4]
    """
    return permutation(key(seed, domain, "order"), users)
