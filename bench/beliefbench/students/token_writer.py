"""Interactions as a student's tokens: the same tokens as from the words, but without making the words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from beliefbench.domain import OPTIONS, Domain
from beliefbench.students.interactions import Interactions
from beliefbench.students.vocabulary import ANSWER, END, PhraseVocabulary


@dataclass(frozen=True)
class Tokens:
    """Conversations as tokens, with the positions of their parts.

    ids int64[users, tokens], padded with `END`; asks int64[users, sets]: the last token before each answer; questions
    int64[users, sets]: the first token of each question; ends int64[users, sets, 3]: the last token of each option.
    """

    ids: np.ndarray
    asks: np.ndarray
    questions: np.ndarray
    ends: np.ndarray


class Writer:
    """Writes a domain's interactions in the tokens of a vocabulary."""

    def __init__(self, domain: Domain, tokenizer: Any) -> None:
        book = PhraseVocabulary.of(domain)
        self.known = {
            kind: np.array(book.ids(tokenizer, kind)) for kind in dict.fromkeys(one.kind for one in book.phrases)
        }
        self.values = [self.known[feature.name] for feature in domain.features]
        self.answer, self.end = tokenizer.convert_tokens_to_ids([ANSWER, END])

    def write(self, interactions: Interactions) -> Tokens:
        """Return conversations in which every set but the last has a recommendation and a choice."""
        chosen, recommended = interactions.chosen, interactions.recommended
        users, sets = chosen.shape
        features = len(self.values)
        # One row a set: what the user says (two places), the question, the options, and the answer; -1: no token.
        rows = np.full((users, sets, 3 + OPTIONS * (1 + features) + 3), -1)
        right = (chosen == recommended)[:, :-1]
        said = np.where(right, self.known["right"][chosen[:, :-1]], self.known["wrong"][recommended[:, :-1]])
        rows[:, 0, 0] = self.known["instructions"]
        rows[:, 1:, 0] = said
        rows[:, 1:, 1] = np.where(right, -1, self.known["preferred"][chosen[:, :-1]])
        rows[:, :, 2] = self.known["question"]
        heads = 3 + np.arange(OPTIONS) * (1 + features)
        rows[:, :, heads] = self.known["option"]
        for feature, tokens in enumerate(self.values):
            rows[:, :, heads + 1 + feature] = tokens[interactions.levels[..., feature]]
        rows[:, :, -3:] = np.stack(
            [np.full_like(chosen, self.answer), self.known["answer"][recommended], np.full_like(chosen, self.end)], -1
        )
        rows[:, -1, -2:] = -1
        used = (rows >= 0).reshape(users, -1)
        place = (used.cumsum(axis=1) - 1).reshape(rows.shape)
        order = np.argsort(~used, axis=1, kind="stable")[:, : used.sum(axis=1).max()]
        ids = np.take_along_axis(rows.reshape(users, -1), order, axis=1)
        return Tokens(np.where(ids < 0, self.end, ids), place[:, :, -3], place[:, :, 2], place[:, :, heads + features])
