"""Ways of asking: from what happened to what a model reads. The ways are those that the paper compares (section 7).

The paper prints the words of the interactive conversation alone; those of the other ways are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bench.domain import OPTIONS, Domain
from bench.errors import UsageError
from bench.language import words
from bench.language.dialogue import Dialogue
from bench.questionnaire import level_marginals, questionnaire_of


@dataclass(frozen=True)
class Asking:
    """How a model is asked.

    Parameters
    ----------
    history
        ``"interactive"``: a conversation, with the model's own recommendations in it; ``"whole"``: all rounds in one
        turn, as options and the user's choices.
    show
        ``"words"``: options as people read them; ``"numbers"``: features as the domain's model takes them, in [0, 1].
    given
        ``"nothing"``; ``"preferences"``: the user says what they want (the paper's upper bound; privileged);
        ``"posterior"``: the user says what an exact observer would believe about them by now.
    ending
        What follows a question's options: words that say how to answer, or nothing.

    >>> Asking(show="figures")
    Traceback (most recent call last):
    ...
    bench.errors.UsageError: show = figures; use words or numbers.
    """

    history: Literal["interactive", "whole"] = "interactive"
    show: Literal["words", "numbers"] = "words"
    given: Literal["nothing", "preferences", "posterior"] = "nothing"
    ending: str = ""

    def __post_init__(self) -> None:
        for name, known in (
            ("history", ("interactive", "whole")),
            ("show", ("words", "numbers")),
            ("given", ("nothing", "preferences", "posterior")),
        ):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} = {getattr(self, name)}; use {', '.join(known[:-1])} or {known[-1]}.")

    @property
    def privileged(self) -> bool:
        """Whether the truth about the users is needed."""
        return self.given == "preferences"

    def identity(self) -> dict[str, str]:
        """Return the ways that are not the paper's main one, as JSON values: runs that ask as it does stay the same."""
        return {
            name: value for name, value in vars(self).items() if value != type(self).__dataclass_fields__[name].default
        }


@dataclass(frozen=True)
class Conversations:
    """The state of agents that talk: for each user, what happened so far.

    options float[users, rounds, 3, features], recommended and chosen int[users, rounds], told: a text a user that the
    first turn holds, where the users say what they want.
    """

    domain: Domain
    asking: Asking
    options: np.ndarray
    recommended: np.ndarray
    chosen: np.ndarray
    told: tuple[str, ...]

    @classmethod
    def begin(
        cls, domain: Domain, asking: Asking, users: int, truth: Mapping[str, np.ndarray] | None = None
    ) -> Conversations:
        """Return the state of users who have seen nothing; ``truth`` where ``asking`` is privileged."""
        nothing = np.empty((users, 0), dtype=np.int64)
        told = _preferences(domain, truth) if asking.privileged and truth is not None else ("",) * users
        return cls(domain, asking, np.empty((users, 0, OPTIONS, len(domain.features))), nothing, nothing, told)

    def observe(self, options: np.ndarray, recommended: np.ndarray, chosen: np.ndarray) -> Conversations:
        """Return the state after a round: float[users, 3, features], int[users], int[users]."""
        return replace(
            self,
            options=np.concatenate([self.options, options[:, None]], axis=1),
            recommended=np.concatenate([self.recommended, recommended[:, None]], axis=1),
            chosen=np.concatenate([self.chosen, chosen[:, None]], axis=1),
        )

    def dialogues(self, options: np.ndarray) -> tuple[Dialogue, ...]:
        """Return what each user's model reads and is asked; options float[users, sets, 3, features]."""
        return tuple(
            Dialogue(*self._read(user), tuple(self._question(one) + self.asking.ending for one in sets))
            for user, sets in enumerate(options)
        )

    def _read(self, user: int) -> tuple[tuple[words.Turn, ...], str]:
        """Return a user's finished turns, and what they say next before the options."""
        item, rounds = self.domain.item, self.chosen.shape[1]
        first = "\n\n".join(filter(None, [words.instructions(item, self.domain.purpose), self.told[user]]))
        sets = [self._question(one) for one in self.options[user]]
        if self.asking.history == "whole":
            past = [
                words.past_round(item, number, *one)
                for number, one in enumerate(zip(sets, self.chosen[user], strict=True), 1)
            ]
            said = "\n\n".join([first, *past, *self._beliefs(user, rounds)])
            return (), words.opening(item, said)
        turns, said = [], first
        for number in range(rounds):
            recommended, chosen = int(self.recommended[user, number]), int(self.chosen[user, number])
            opening = words.opening(item, "\n\n".join([said, *self._beliefs(user, number)]))
            turns.append(words.Turn(opening, sets[number] + self.asking.ending, words.answer(item, recommended)))
            said = words.feedback(item, recommended, chosen)
        return tuple(turns), words.opening(item, "\n\n".join([said, *self._beliefs(user, rounds)]))

    def _beliefs(self, user: int, rounds: int) -> list[str]:
        """Return what an exact observer believes after some rounds, as a paragraph, where that is given."""
        if self.asking.given != "posterior":
            return []
        seen = self.options[user, :rounds], self.chosen[user, :rounds]
        marginals = level_marginals(self.domain, *seen, on_contradiction="ignore")
        return [words.posterior(questionnaire_of(self.domain).scales, marginals)]

    def _question(self, options: np.ndarray) -> str:
        return words.question(self.domain.item, [self._describe(option) for option in options])

    def _describe(self, option: np.ndarray) -> str:
        if self.asking.show == "words":
            return self.domain.describe(option)
        return ", ".join(f"{one.label}: {value:.6g}" for one, value in zip(self.domain.features, option, strict=True))


def _preferences(domain: Domain, truth: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Return what users say of themselves; truth {latent site: value[users]}."""
    form = questionnaire_of(domain)
    answers = np.asarray(form.answers(truth))
    return tuple(words.preferences(form.scales, form.levels, one) for one in answers)
