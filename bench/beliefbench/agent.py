"""The agent contract: explicit state, many users at once, a random key for each user.

An agent is any object with the members of `Agent`; it needs no base class. A factory makes it. The factory is
registered in the entry-point group ``beliefbench.agents`` and is called as ``factory(domain)``, or as ``factory(domain,
model=MODEL, key=value, ...)`` if the SPEC gives a model or settings. All values are text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from beliefbench.domain import OPTIONS, Domain, Feature


@dataclass(frozen=True)
class Brief:
    """What the assistant knows before the first round: the word for an item, the purpose of the items (``"for my
    trips"``, or an empty text), the features, and the text of an option.
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
        int[users, sets]: the option it thinks the user wants, 0, 1 or 2; -1 if it gave no usable answer.
    probs
        float[users, sets, 3], rows summing to 1; None for an agent that only chooses.
    text
        object[users, sets]: the text that it wrote; None if it writes none.
    tokens
        int[users, sets]: tokens read and written for this answer alone; None if it counts none.
    seconds
        float[users, sets]: time spent on this answer alone; None if it is not measured.
    bounded
        bool[users, sets]: True if the probability of some option is only an upper bound; None if all probabilities are
        exact.
    beliefs
        float[users, scales, levels]: its stated beliefs about the user, as answers to the domain's questionnaire. The
        last axis sums to 1. NaN for scales without a usable answer; None if it is not asked.
    counts
        {word: number}: what the agent's note counts in these answers (`Agent.noted`); None if it counts nothing.
    """

    choice: np.ndarray
    probs: np.ndarray | None = None
    text: np.ndarray | None = None
    tokens: np.ndarray | None = None
    seconds: np.ndarray | None = None
    bounded: np.ndarray | None = None
    beliefs: np.ndarray | None = None
    counts: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Cost:
    """The estimated cost of answers: ``requests`` to a server, ``tokens`` read and written, ``seconds``, and how many
    of the tokens are ``written``, for which servers charge more."""

    requests: int = 0
    tokens: int = 0
    seconds: float = 0.0
    written: int = 0

    def __add__(self, other: Cost) -> Cost:
        requests, tokens = self.requests + other.requests, self.tokens + other.tokens
        return Cost(requests, tokens, self.seconds + other.seconds, self.written + other.written)

    def times(self, factor: float) -> Cost:
        """Return the cost of ``factor`` times these answers.

        >>> Cost(10, 2000, 5.0).times(2.5)
        Cost(requests=25, tokens=5000, seconds=12.5, written=0)
        """
        requests, tokens, written = (round(factor * count) for count in (self.requests, self.tokens, self.written))
        return Cost(requests, tokens, self.seconds * factor, written)


@dataclass(frozen=True)
class History:
    """A state for agents that only need the past: the users' random keys, and their rounds so far.

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
    """The agent contract: an agent recommends options and learns from users' choices.

    Six more members are optional. ``exact``: True if its probabilities are the exact ones, as those of `bayesian`
    are (default: False; `verify` flags other agents that equal the exact answer). ``note``: a few words for its
    leaderboard row, such as "4-bit weights". ``noted(counts) -> str``: its note after answers whose ``counts`` sum
    to these; the run adds up the counts of all its answers, of earlier sessions and other processes too.
    ``users_per_call``: the number of users in a call (default 1024); no answer may depend on it. ``quick_users``:
    for a slow agent, the number of users in the quick preset (default: all of them). ``cost(state, options) ->
    Cost``: what `predict` would cost, estimated without asking; for agents that cost money.
    """

    name: str
    version: str
    probabilistic: bool
    """False if the agent only chooses; then its ``probs`` are None."""
    privileged: bool
    """True if ``begin`` needs the users' true latents; the leaderboard marks such an agent."""

    def identity(self) -> Mapping[str, Any]:
        """Return everything that its answers depend on besides name and version, as JSON values: weights, words,
        dtype."""
        ...

    def begin(self, brief: Brief, keys: Any, truth: Mapping[str, np.ndarray] | None = None) -> Any:
        """Return the state before the first round.

        Parameters
        ----------
        keys
            JAX random keys, key[users]. Fold in the stage and the set before you draw.
        truth
            {latent site: value[users]} of the users, for privileged agents only; None for all others.
        """
        ...

    def predict(self, state: Any, options: np.ndarray) -> Prediction:
        """Answer option sets, float[users, sets, 3, features]. Does not change the state."""
        ...

    def observe(self, state: Any, options: np.ndarray, recommended: np.ndarray, chosen: np.ndarray) -> Any:
        """Return the state after a round.

        Parameters
        ----------
        options
            float[users, 3, features]: the round's set.
        recommended
            int[users]: what the agent answered for it; -1 if it gave no usable answer.
        chosen
            int[users]: the option that the user chose.
        """
        ...


def break_ties(scores: np.ndarray, keys: Any, stage: int, tolerance: float = 1e-9) -> np.ndarray:
    """Return the best option of each set, ties broken at random by user, stage and set: int[users, sets].

    Parameters
    ----------
    scores
        float[users, sets, 3], larger is better.
    keys
        key[users], as given to ``begin``.
    stage
        Rounds seen so far.
    tolerance
        Scores that are at most this much below the best tie with it.

    >>> import jax
    >>> keys = jax.random.split(jax.random.key(0), 1)
    >>> break_ties(np.array([[[0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]]), keys, stage=0).tolist()
    [[1, 2]]
    """
    from beliefbench.draws import uniform_per_set

    noise = uniform_per_set(keys, stage, scores.shape[1], OPTIONS)
    best = scores >= scores.max(axis=-1, keepdims=True) - tolerance
    return np.where(best, noise, -1.0).argmax(axis=-1)
