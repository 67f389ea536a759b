"""The alternatives of a question: the options of a set, or the answers to a question of the questionnaire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from beliefbench.domain import OPTIONS
from beliefbench.language import words
from beliefbench.language.parsing import find_level, find_option
from beliefbench.language.picks import Pick
from beliefbench.language.stated_probs import stated_probabilities


@dataclass(frozen=True)
class Alternatives:
    """The alternatives of one question.

    Parameters
    ----------
    labels
        Their names: ``"Flight 1"``, or ``"1"`` for the first answer to the questionnaire.
    sentences
        The assistant's answer that names each.
    question
        The question, in a sentence.
    in_words, in_json
        The text after the question that asks for one of the sentences, and the text that asks for probabilities.
    find
        ``find(text)``: the alternative that a text names, from 0, and the place of its number in the text; None if it
        is unclear.
    """

    labels: tuple[str, ...]
    sentences: tuple[str, ...]
    question: str
    in_words: str
    in_json: str
    find: Callable[[str], Pick | None]

    def named(self, text: str) -> int:
        """Return the alternative that a text names, from 0; -1 if it is unclear."""
        pick = self.find(text)
        return pick.option if pick else -1

    def chosen(self, text: str) -> np.ndarray | None:
        """Return the alternative that a text names as probabilities, 1 for it and 0 for the others; None if it names
        none."""
        number = self.named(text)
        return np.eye(len(self.labels))[number] if number >= 0 else None

    def stated(self, text: str) -> np.ndarray | None:
        """Return the probabilities that a text states in JSON, float64[alternatives]; None if it states none."""
        return stated_probabilities(text, self.labels)


def options_of(item: str) -> Alternatives:
    """Return the options of a set.

    >>> options_of("Flight").sentences[0]
    'The best option is Flight 1.'
    """
    labels = tuple(f"{item} {option + 1}" for option in range(OPTIONS))
    return Alternatives(
        labels,
        tuple(words.answer(item, option) for option in range(OPTIONS)),
        f"Which {item.lower()} is the best option?",
        "",  # the paper's words end with the options
        words.state(labels, "How likely is each to be the one that I prefer?"),
        lambda text: find_option(text, item),
    )


def levels_of(levels: int) -> Alternatives:
    """Return the answers to a question of the questionnaire.

    >>> answers = levels_of(5)
    >>> answers.sentences[4], answers.named("Your preference is 2.")
    ('Your preference is 5.', 1)
    """
    labels = tuple(str(level + 1) for level in range(levels))
    return Alternatives(
        labels,
        tuple(words.belief_answer(level) for level in range(levels)),
        "What is my preference?",
        words.level_wanted(),
        words.state(labels, "How likely is each answer?"),
        lambda text: find_level(text, levels),
    )
