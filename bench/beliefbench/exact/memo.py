"""One sweep for everything that a run asks about its users, stage by stage.

An agent that answers with the exact predictive asks for it after each round, and a run records the exact predictive of
all stages. Both are the same numbers to the last bit (tests/exact/test_many_users.py), so they are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from hashlib import sha256

import numpy as np

from beliefbench.domain import Domain


class StageMemo:
    """The predictives that a run asks for: at each stage, of the held-out sets and the next round's own set.

    Parameters
    ----------
    domain
    options, choices, heldout
        float[users, rounds, 3, features], int[users, rounds], float[users, heldout, 3, features].
    sweep
        Returns the predictive of the held-out sets, then of the rounds' own sets, at every stage: float64[users, rounds
        + 1, heldout + rounds, 3]. It is called when something is first asked.
    """

    def __init__(
        self,
        domain: Domain,
        options: np.ndarray,
        choices: np.ndarray,
        heldout: np.ndarray,
        sweep: Callable[[], np.ndarray],
    ) -> None:
        self.domain = domain
        self._options, self._choices, self._heldout, self._sweep = options, choices, heldout, sweep
        self._places = lru_cache(maxsize=1)(self._places_at)

    def recall(
        self, domain: Domain, options: np.ndarray, choices: np.ndarray, queries: np.ndarray
    ) -> np.ndarray | None:
        """Return the predictive after the last of some rounds, float64[users, queries, 3], if that is what the run asks
        of these users; None otherwise. Arguments as in `beliefbench.predictives`."""
        rounds, most = choices.shape[1], self._choices.shape[1]
        if domain is not self.domain or rounds > most or queries.ndim != 4 or not len(choices):
            return None
        if queries.shape[1] != self._heldout.shape[1] + (rounds < most):
            return None
        places = self._places(rounds)
        digests = _digests(options, choices, queries)
        if not places.keys() >= {*digests}:
            return None
        found = [places[digest] for digest in digests]
        sets = self._heldout.shape[1]
        asked = [*range(sets), *([sets + rounds] if rounds < most else [])]
        return self._sweep()[found, rounds][:, asked]

    def _places_at(self, stage: int) -> dict[bytes, int]:
        """Return the position of each user by what is asked about them at a stage."""
        asked = np.concatenate([self._heldout, self._options[:, stage : stage + 1]], axis=1)
        digests = _digests(self._options[:, :stage], self._choices[:, :stage], asked)
        return {digest: place for place, digest in enumerate(digests)}


_CURRENT: ContextVar[StageMemo | None] = ContextVar("memo", default=None)


@contextmanager
def remembering(memo: StageMemo) -> Iterator[None]:
    """Answer from a memo what it knows, until the end of the context."""
    token = _CURRENT.set(memo)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def recall(domain: Domain, options: np.ndarray, choices: np.ndarray, queries: np.ndarray) -> np.ndarray | None:
    """Return what `StageMemo.recall` of the current memo returns; None if there is none."""
    memo = _CURRENT.get()
    return None if memo is None else memo.recall(domain, options, choices, queries)


def _digests(options: np.ndarray, choices: np.ndarray, queries: np.ndarray) -> list[bytes]:
    """Return a digest of what is asked about each user."""
    parts = [np.ascontiguousarray(part) for part in (options, choices, queries)]
    return [sha256(b"".join(part[user].tobytes() for part in parts)).digest() for user in range(len(choices))]
