"""Stopping early: users are asked in a fixed random order, until the interval of the final accuracy is narrow enough.

The interval is checked after a few fixed numbers of users only, because each check may stop a run whose users happen to
look similar. From 48 users on, this lowers the coverage of the 95% interval by less than 2 points (simulated in
``tests/protocol/test_stopping.py``).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import jax
import numpy as np

from beliefbench.draws import key
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
        """Return True if these users are enough; accuracy float[users], each user's after the last round."""
        low, high = clustered_interval(accuracy)
        return high - low < self.width

    def identity(self) -> dict[str, str | float]:
        """Return the rule as JSON values."""
        return {"rule": "interval width", **asdict(self), "first": FIRST_LOOK, "growth": GROWTH}


def order_of_users(seed: int, domain: str, users: int) -> np.ndarray:
    """Return the positions of users in the order in which they are asked: a permutation of 0 .. users - 1.

    >>> sorted(order_of_users(0, "flights", 5).tolist())
    [0, 1, 2, 3, 4]
    """
    return np.asarray(jax.random.permutation(key(seed, domain, "order"), users))
