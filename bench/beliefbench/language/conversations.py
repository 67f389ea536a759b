"""Ways of asking: from the rounds so far to the text that a model reads. The paper compares these ways (section 7).

The paper prints the words of the interactive conversation only. The words of the other ways are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args, get_type_hints

import numpy as np

from beliefbench.agent import Brief, break_ties
from beliefbench.domain import OPTIONS, Domain
from beliefbench.errors import UsageError
from beliefbench.exact.questionnaire import choices_of_levels, level_marginals, questionnaire_of, usable_beliefs
from beliefbench.language import words
from beliefbench.language.dialogue import Dialogue


@dataclass(frozen=True)
class PromptStyle:
    """How a model is asked.

    Parameters
    ----------
    history
        ``"interactive"``: a conversation, with the model's own recommendations in it; ``"whole"``: all rounds in one
        turn, as options and the user's choices.
    show
        ``"words"``: options as people read them; ``"numbers"``: features as the domain's model takes them, in [0, 1].
    given
        ``"nothing"``; ``"preferences"``: the user states their preferences (the paper's upper bound; privileged);
        ``"posterior"``: the user states what an exact observer believes about them so far.
    think
        ``"yes"``: the model is asked to think before it answers.
    form
        ``"paper"``: the paper's words, which end with the options; ``"sentence"``: the question also says the form of
        the answer, for answers that are written.
    beliefs
        ``"no"``; ``"yes"``: the model also answers the domain's questionnaire about the user; ``"only"``: it answers
        the questionnaire alone, and its recommendations are computed from these answers.

    >>> PromptStyle(show="figures")
    Traceback (most recent call last):
    ...
    beliefbench.errors.UsageError: show=figures is not known; use words or numbers.
    """

    history: Literal["interactive", "whole"] = "interactive"
    show: Literal["words", "numbers"] = "words"
    given: Literal["nothing", "preferences", "posterior"] = "nothing"
    think: Literal["no", "yes"] = "no"
    form: Literal["paper", "sentence"] = "paper"
    beliefs: Literal["no", "yes", "only"] = "no"

    def __post_init__(self) -> None:
        for name, annotation in get_type_hints(type(self)).items():
            known, value = get_args(annotation), getattr(self, name)
            if value not in known:
                raise UsageError(f"{name}={value} is not known; use {', '.join(known[:-1])} or {known[-1]}.")

    @classmethod
    def of(cls, written: bool = False, form: str | None = None, **ways: str) -> PromptStyle:
        """Return the way of asking for the settings of a SPEC; ``written``: the model writes its choice in words.

        If it does, the question says the form of the answer, unless ``form="paper"``.

        Raises
        ------
        UsageError
            If a value is not known, or ``form`` is given where the question says the form of the answer in any case
            (``think="yes"``) or asks for no such answer.

        >>> PromptStyle.of(written=True).form, PromptStyle.of(written=True, form="paper").form, PromptStyle.of().form
        ('sentence', 'paper', 'paper')
        """
        way = cls(**cast(Any, ways if form is None else {**ways, "form": form}))
        asked = written and way.think == "no" and way.beliefs != "only"
        if form is not None and not asked:
            why = (
                "think=yes asks for the sentence already"
                if way.think == "yes"
                else "no choice is written in words here"
            )
            raise UsageError(f"form={form} is for a choice that is written in words; {why}: leave form out.")
        return replace(way, form="sentence") if asked and form is None else way

    @property
    def privileged(self) -> bool:
        """True if it needs the users' true latents."""
        return self.given == "preferences"

    def identity(self) -> dict[str, str]:
        """Return the settings that differ from the defaults, as JSON values, so that the identity of default runs does
        not change."""
        return {
            name: value for name, value in vars(self).items() if value != type(self).__dataclass_fields__[name].default
        }

    def note(self) -> str:
        """Return the settings that differ from the defaults, as a note for the row.

        >>> PromptStyle(history="whole", beliefs="only").note()
        'history=whole, beliefs=only'
        """
        return ", ".join(f"{name}={value}" for name, value in self.identity().items())


@dataclass(frozen=True)
class Conversations:
    """The state of agents that use language: the rounds so far of each user.

    keys key[users], for ties; options float[users, rounds, 3, features]; recommended and chosen int[users, rounds];
    told: a text per user in the first turn, if the users state their preferences.
    """

    domain: Domain | Brief
    asking: PromptStyle
    keys: Any
    options: np.ndarray
    recommended: np.ndarray
    chosen: np.ndarray
    told: tuple[str, ...]

    @classmethod
    def begin(
        cls, domain: Domain | Brief, asking: PromptStyle, keys: Any, truth: Mapping[str, np.ndarray] | None = None
    ) -> Conversations:
        """Return the state of users who have seen nothing; ``truth`` if ``asking`` is privileged."""
        users = len(keys)
        nothing = np.empty((users, 0), dtype=np.int64)
        told = _preferences(cast(Domain, domain), truth) if asking.privileged and truth is not None else ("",) * users
        return cls(domain, asking, keys, np.empty((users, 0, OPTIONS, len(domain.features))), nothing, nothing, told)

    @property
    def whole_domain(self) -> Domain:
        """The domain. Every way of asking needs it, except the default one, which only needs a brief."""
        assert isinstance(self.domain, Domain)
        return self.domain

    def observe(self, options: np.ndarray, recommended: np.ndarray, chosen: np.ndarray) -> Conversations:
        """Return the state after a round: float[users, 3, features], int[users], int[users]."""
        return replace(
            self,
            options=np.concatenate([self.options, options[:, None]], axis=1),
            recommended=np.concatenate([self.recommended, recommended[:, None]], axis=1),
            chosen=np.concatenate([self.chosen, chosen[:, None]], axis=1),
        )

    def dialogues(self, options: np.ndarray) -> tuple[Dialogue, ...]:
        """Return the dialogue of each user: the conversation and its questions; options float[users, sets, 3,
        features]."""
        item = self.domain.item
        ending = words.sentence_wanted(item) if self.asking.form == "sentence" else ""
        if self.asking.think == "yes":
            ending = words.think(item)
        return tuple(
            Dialogue(turns, words.opening(item, said), tuple(self._question(one) + ending for one in sets))
            for sets, (turns, said) in zip(options, map(self._read, range(len(options))), strict=True)
        )

    def questionnaires(self) -> tuple[Dialogue, ...]:
        """Return the dialogue of each user with the questionnaire: one question per scale."""
        form = questionnaire_of(self.whole_domain)
        questions = tuple(words.belief_question(scale, form.levels) for scale in form.scales)
        return tuple(
            Dialogue(turns, f"{said}\n\n", questions) for turns, said in map(self._read, range(len(self.told)))
        )

    def implied(self, beliefs: np.ndarray, options: np.ndarray) -> np.ndarray:
        """Return the choice probabilities of users with the stated beliefs, by the domain's own model.

        Parameters
        ----------
        beliefs
            float[users, scales, levels]; NaN for scales without an answer. Without any, the result is NaN.
        options
            float[users, sets, 3, features]; the result is float[users, sets, 3].
        """
        probs = np.full(options.shape[:3], np.nan)
        for user, stated in enumerate(beliefs):
            if (known := usable_beliefs(stated)) is not None:
                probs[user] = choices_of_levels(self.whole_domain, known, options[user])
        return probs

    def likeliest(self, probs: np.ndarray) -> np.ndarray:
        """Return the likeliest options, int[users, sets], with ties broken at random; -1 if probs are NaN."""
        none = np.isnan(probs).any(axis=-1)
        return np.where(none, -1, break_ties(np.where(none[..., None], 0, probs), self.keys, self.chosen.shape[1]))

    def _read(self, user: int) -> tuple[tuple[words.Turn, ...], str]:
        """Return a user's finished turns, and their next words before a question."""
        item, rounds = self.domain.item, self.chosen.shape[1]
        first = "\n\n".join(filter(None, [words.instructions(item, self.domain.purpose), self.told[user]]))
        sets = [self._question(one) for one in self.options[user]]
        if self.asking.history == "whole":
            past = [
                words.past_round(item, number, *one)
                for number, one in enumerate(zip(sets, self.chosen[user], strict=True), 1)
            ]
            return (), "\n\n".join([first, *past, *self._posterior(user, rounds)])
        turns, said = [], first
        for number in range(rounds):
            recommended, chosen = int(self.recommended[user, number]), int(self.chosen[user, number])
            opening = words.opening(item, "\n\n".join([said, *self._posterior(user, number)]))
            turns.append(words.Turn(opening, sets[number], words.answer(item, recommended)))
            said = words.feedback(item, recommended, chosen)
        return tuple(turns), "\n\n".join([said, *self._posterior(user, rounds)])

    def _posterior(self, user: int, rounds: int) -> list[str]:
        """Return the beliefs of an exact observer after some rounds, as a paragraph, if ``given=posterior``."""
        if self.asking.given != "posterior":
            return []
        seen = self.options[user, :rounds], self.chosen[user, :rounds]
        marginals = level_marginals(self.whole_domain, *seen, on_contradiction="ignore")
        return [words.posterior(questionnaire_of(self.whole_domain).scales, marginals)]

    def _question(self, options: np.ndarray) -> str:
        return words.question(self.domain.item, [self._describe(option) for option in options])

    def _describe(self, option: np.ndarray) -> str:
        if self.asking.show == "words":
            return self.domain.describe(option)
        return ", ".join(f"{one.label}: {value:.6g}" for one, value in zip(self.domain.features, option, strict=True))


def _preferences(domain: Domain, truth: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Return the users' statements of their preferences; truth {latent site: value[users]}."""
    form = questionnaire_of(domain)
    answers = np.asarray(form.answers(truth))
    return tuple(words.preferences(form.scales, form.levels, one) for one in answers)
