"""A language model as an agent: how it is asked, and how its answers become predictions.

`Model` is the only interface to the model; it may run anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from beliefbench.agent import Brief, Cost, Prediction
from beliefbench.domain import Domain
from beliefbench.exact.questionnaire import questionnaire_of
from beliefbench.language.questions.conversations import Conversations, PromptStyle
from beliefbench.language.questions.dialogue import Dialogue
from beliefbench.language.replies.alternatives import Alternatives, levels_of, options_of


@dataclass(frozen=True)
class Responses:
    """The responses of a language model.

    Parameters
    ----------
    probs
        float64[users, questions, alternatives], summing to 1; NaN if the answer cannot be used.
    tokens
        int[users, questions]: tokens read and written for the question alone; None if they are not counted.
    text
        object[users, questions]: the written text; None if the model does not write.
    seconds
        float[users, questions]: the time for each question; None if it is not measured.
    bounded
        bool[users, questions]: True if the probability of some alternative is only an upper bound, because the server
        returned too few tokens; None if all probabilities are exact.
    counts
        {word: number}: what the model's note counts in these responses (its ``noted``); None if it counts nothing.
    """

    probs: np.ndarray
    tokens: np.ndarray | None = None
    text: np.ndarray | None = None
    seconds: np.ndarray | None = None
    bounded: np.ndarray | None = None
    counts: Mapping[str, int] | None = None


class Model(Protocol):
    """A language model that can be asked, and how its answers are read.

    A model whose answers cost money also has ``cost(dialogues, alternatives) -> Cost``: the estimated cost of `ask`. A
    model whose note counts answers also has ``noted(counts) -> str``: its note after these counts.
    """

    @property
    def probabilistic(self) -> bool:
        """False if it only chooses."""
        ...

    @property
    def users_per_call(self) -> int:
        """The number of users per call."""
        ...

    @property
    def note(self) -> str:
        """A few words for its row."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """Return everything its answers depend on, as JSON values."""
        ...

    def ask(self, dialogues: Sequence[Dialogue], alternatives: Alternatives) -> Responses:
        """Ask every question of every dialogue; all dialogues have the same number of questions."""
        ...


class Assistant:
    """It recommends the likeliest option, with ties broken at random; -1 if the model's answer cannot be used."""

    def __init__(
        self,
        name: str,
        version: str,
        domain: Domain,
        model: Model,
        asking: PromptStyle,
        quick_users: int | None = None,
    ) -> None:
        """Take a model and a way of asking; ``quick_users``: the number of users in the quick preset, None for all.

        Raises
        ------
        UsageError
            If the domain lacks what the way of asking needs.
        """
        if asking.given != "nothing" or asking.beliefs != "no":
            questionnaire_of(domain)
        self.name, self.version, self.domain, self.model, self.asking = name, version, domain, model, asking
        self.probabilistic = model.probabilistic or asking.beliefs == "only"
        self.privileged, self.users_per_call = asking.privileged, model.users_per_call
        self.quick_users = quick_users
        self.cost = self._cost if hasattr(model, "cost") else None
        self.noted = self._noted if hasattr(model, "noted") else None

    @property
    def note(self) -> str | None:
        """A few words for its row. There may be more of them once the model has answered."""
        return ", ".join(filter(None, [self.model.note, self.asking.note()])) or None

    @property
    def server(self) -> str | None:
        """The address of the server that answers, without its secret parts; None for a model in this process."""
        return getattr(self.model, "address", None)

    def _noted(self, counts: Mapping[str, int]) -> str:
        model: Any = self.model
        return ", ".join(filter(None, [model.noted(counts), self.asking.note()]))

    def identity(self) -> Mapping[str, Any]:
        return {**self.model.identity(), **self.asking.identity()}

    def begin(self, brief: Brief, keys: Any, truth: Mapping[str, np.ndarray] | None = None) -> Conversations:
        return Conversations.begin(self.domain, self.asking, keys, truth)

    def predict(self, state: Conversations, options: np.ndarray) -> Prediction:
        heard, about = self._ask(state, options)
        shape, more = options.shape[:2], about or Responses(np.empty(0))
        tokens = _together(shape, heard.tokens, more.tokens)
        return Prediction(
            state.likeliest(heard.probs),
            heard.probs if self.probabilistic else None,
            text=heard.text,
            tokens=None if tokens is None else tokens.astype(np.int64),
            seconds=_together(shape, heard.seconds, more.seconds),
            bounded=heard.bounded,
            beliefs=about.probs if about else None,
            counts=_summed(heard.counts, more.counts),
        )

    def _ask(self, state: Conversations, options: np.ndarray) -> tuple[Responses, Responses | None]:
        """Return answers to the option sets, and to the questionnaire about the users if it is asked."""
        about = None
        if self.asking.beliefs != "no":
            about = self.model.ask(state.questionnaires(), levels_of(questionnaire_of(self.domain).levels))
            if self.asking.beliefs == "only":
                return _implied(state.implied(about.probs, options), about), about
        return self.model.ask(state.dialogues(options), options_of(self.domain.item)), about

    def _cost(self, state: Conversations, options: np.ndarray) -> Cost:
        model: Any = self.model
        cost = Cost()
        if self.asking.beliefs != "no":
            cost += model.cost(state.questionnaires(), levels_of(questionnaire_of(self.domain).levels))
        if self.asking.beliefs != "only":
            cost += model.cost(state.dialogues(options), options_of(self.domain.item))
        return cost

    def observe(
        self, state: Conversations, options: np.ndarray, recommended: np.ndarray, chosen: np.ndarray
    ) -> Conversations:
        return state.observe(options, recommended, chosen)


def _implied(probs: np.ndarray, about: Responses) -> Responses:
    """Return answers computed from beliefs; the responses about the user are stored with the first answer of the
    stage."""
    shape, text, bounded = probs.shape[:2], None, None
    if about.text is not None:
        text = np.full(shape, None, dtype=object)
        text[:, 0] = ["\n".join(one) for one in about.text]
    if about.bounded is not None:
        bounded = np.repeat(about.bounded.any(axis=1, keepdims=True), shape[1], axis=1)
    return Responses(probs, text=text, bounded=bounded)


def _summed(*counts: Mapping[str, int] | None) -> Mapping[str, int] | None:
    given = [one for one in counts if one is not None]
    return sum((Counter(one) for one in given), Counter()) if given else None


def _together(shape: tuple[int, ...], answers: np.ndarray | None, about: np.ndarray | None) -> np.ndarray | None:
    """Return the tokens or seconds of each answer; those of the questionnaire are added to the first answer of the
    stage."""
    if answers is None and about is None:
        return None
    total = np.zeros(shape) if answers is None else answers.astype(np.float64)
    if about is not None:
        total[:, 0] += about.sum(axis=1)
    return total
