"""The agent contract: explicit state, many users at once, a random key for each user.

An agent is anything with the members of `Agent`; no base class. It is made by a factory
registered in the entry-point group ``beliefbench.agents``: ``factory(domain)``, or for a SPEC that names them
``factory(domain, model=MODEL, key=value, ...)``, all as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from beliefbench.domain import OPTIONS, Domain, Feature


@dataclass(frozen=True)
class Brief:
    """What a person in the assistant's place would be told: the item word, what the items are wanted for
    (``"for my trips"``, or nothing), the features, and how an option reads.
    """

    item: str
    features: tuple[Feature, ...]
    describe: Callable[[np.ndarray], str]
    purpose: str = ""

    @classmethod
    def of(cls, domain: Domain) -> Brief:
        """Return the brief of a domain."""
        return cls(domain.item, domain.features, domain.describe, domain.purpose)


@dataclass(frozen=True)
class Prediction:
    """An agent's answers to every set of every user.

    Parameters
    ----------
    choice
        int[users, sets]: the option it thinks the user wants, 0, 1 or 2; -1 where it gave no usable answer.
    probs
        float[users, sets, 3], rows summing to 1; None for an agent that only chooses.
    text
        object[users, sets]: what it said, where it said something.
    tokens
        int[users, sets]: tokens read and written for the answer alone, where there are any.
    seconds
        float[users, sets]: time spent on the answer alone, where it can be told.
    bounded
        bool[users, sets]: whether an option has the most probability that it could have, since no more is known; None
        where all is known.
    beliefs
        float[users, scales, levels]: what it says the user wants, by the domain's questionnaire, the last axis summing
        to 1; NaN for scales without a usable answer; None where it is not asked.
    """

    choice: np.ndarray
    probs: np.ndarray | None = None
    text: np.ndarray | None = None
    tokens: np.ndarray | None = None
    seconds: np.ndarray | None = None
    bounded: np.ndarray | None = None
    beliefs: np.ndarray | None = None


@dataclass(frozen=True)
class Cost:
    """What answers take: ``requests`` to a server, ``tokens`` read and written, and ``seconds``; about."""

    requests: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.requests + other.requests, self.tokens + other.tokens, self.seconds + other.seconds)

    def times(self, factor: float) -> Cost:
        """Return the cost of so many times the answers.

        >>> Cost(10, 2000, 5.0).times(2.5)
        Cost(requests=25, tokens=5000, seconds=12.5)
        """
        return Cost(round(self.requests * factor), round(self.tokens * factor), self.seconds * factor)


@dataclass(frozen=True)
class History:
    """The state of an agent that needs no more than what happened: its users' keys, and their rounds so far.

    keys key[users], options float[users, rounds, 3, features], chosen int[users, rounds].

    >>> import jax
    >>> seen = History.begin(features=4, keys=jax.random.split(jax.random.key(0), 2))
    >>> seen.observe(np.zeros((2, 3, 4)), np.array([0, 2])).chosen.tolist()
    [[0], [2]]
    """

    keys: Any
    options: np.ndarray
    chosen: np.ndarray

    @classmethod
    def begin(cls, features: int, keys: Any) -> History:
        """Return the history of users who have seen nothing."""
        return cls(keys, np.empty((len(keys), 0, OPTIONS, features)), np.empty((len(keys), 0), dtype=np.int64))

    @property
    def stage(self) -> int:
        """Rounds seen so far."""
        return self.chosen.shape[1]

    def observe(self, options: np.ndarray, chosen: np.ndarray) -> History:
        """Return the history with one more round: float[users, 3, features], int[users]."""
        return replace(
            self,
            options=np.concatenate([self.options, options[:, None]], axis=1),
            chosen=np.concatenate([self.chosen, chosen[:, None]], axis=1),
        )


class Agent(Protocol):
    """Something that recommends options and learns from what it is told.

    Four more members are optional: ``note`` (a few words that stand in its leaderboard row, such as "4-bit weights");
    ``users_per_call`` (how many users a call should hold, 1024 by default; no answer may depend on it);
    ``quick_users`` (for a slow agent: how many users the quick preset asks it about, all of them by default); and
    ``cost(state, options) -> Cost``, if asking costs money: what `predict` would take, told without asking.
    """

    name: str
    version: str
    probabilistic: bool
    """False: it only chooses; its ``probs`` are None."""
    privileged: bool
    """True: ``begin`` is handed the truth, and the leaderboard marks it."""

    def identity(self) -> Mapping[str, Any]:
        """Return everything its answers depend on beside name and version, as JSON values: weights, words, dtype."""
        ...

    def begin(self, brief: Brief, keys: Any, truth: Mapping[str, np.ndarray] | None = None) -> Any:
        """Return the state before anything is seen.

        Parameters
        ----------
        keys
            JAX random keys, key[users]; fold in the stage and the set before drawing.
        truth
            {latent site: value[users]} of the users, for privileged agents only; None for all others.
        """
        ...

    def predict(self, state: Any, options: np.ndarray) -> Prediction:
        """Answer option sets, float[users, sets, 3, features]; leave the state as it is."""
        ...

    def observe(self, state: Any, options: np.ndarray, recommended: np.ndarray, chosen: np.ndarray) -> Any:
        """Return the state after a round.

        Parameters
        ----------
        options
            float[users, 3, features]: the round's set.
        recommended
            int[users]: what the agent answered for it; -1 where it gave no usable answer.
        chosen
            int[users]: what the user wanted.
        """
        ...


def break_ties(scores: np.ndarray, keys: Any, stage: int, tolerance: float = 1e-9) -> np.ndarray:
    """Return the best option of each set, ties broken at random by user, stage and set: int[users, sets].

    Parameters
    ----------
    scores
        float[users, sets, 3], larger is better.
    keys
        key[users], as handed to ``begin``.
    stage
        Rounds seen so far.
    tolerance
        Scores this close to the best tie with it.

    >>> import jax
    >>> keys = jax.random.split(jax.random.key(0), 1)
    >>> break_ties(np.array([[[0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]]), keys, stage=0).tolist()
    [[1, 2]]
    """
    from beliefbench.draws import uniform_per_set

    noise = uniform_per_set(keys, stage, scores.shape[1], OPTIONS)
    best = scores >= scores.max(axis=-1, keepdims=True) - tolerance
    return np.where(best, noise, -1.0).argmax(axis=-1)
