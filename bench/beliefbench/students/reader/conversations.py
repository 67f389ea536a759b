"""Interactions as conversations: their tokens, and the targets at some tokens.

The tokens are those of a reader's chat template. The tables of the finished rounds are one sequence. The question of
each round continues the rounds before it and is hidden from all else, as when a model is asked. So one sequence teaches
the answers after every number of rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beliefbench.domain import OPTIONS
from beliefbench.language.questions import words
from beliefbench.language.questions.dialogue import messages
from beliefbench.language.questions.words import Turn
from beliefbench.students.reader.tables import (
    ANSWER,
    END,
    IS,
    LINES,
    ROUND,
    SET,
    START,
    Row,
    Tables,
    in_order,
    line_token,
)
from beliefbench.students.synthetic.interactions import Interaction
from beliefbench.students.synthetic.lines import magnitude

IGNORED = -100
"""The target of a cross-entropy where there is none."""
COLUMN_SCALE = 2.5
"""With it, the differences of columns between the options of a set have about unit variance, as other targets have."""
PART_SCALE = 3
"""The same for what a row adds to the rewards of the options, in standard deviations of the reward."""


@dataclass(frozen=True)
class AnnotatedConversation:
    """A conversation's tokens, and the targets of the answers and of the auxiliary heads.

    In ``asks``, ``values``, ``compared``, ``worths`` and ``parts`` a row begins with the index of its token. Those of
    the last three are the last ones of rows of tables.

    Parameters
    ----------
    ids, positions
        int[tokens]: the tokens; the position of each in the text that ends with it.
    branches
        int[tokens]: 0 for the finished rounds; n for the question after n - 1 rounds and its answer.
    reads
        int[tokens]: how many of the finished rounds' tokens the token can attend to.
    labels
        int[tokens]: the token that the assistant writes next; -100 outside the answer to the last set.
    asks
        float[sets, 1 + 3 + 3]: the token before an option's number in an answer; the teacher's answer; the reward that
        the teacher expects from each option, compared with the set's mean, in standard deviations.
    values
        float[numbers, 1 + 1]: the token after a number; how large the number is (`magnitude`).
    compared
        float[rows of ordered numbers, 1 + 3]: how much more of the number each option has than the set on average; in
        the table of a finished round the chosen option is first.
    worths
        float[rows, 1 + 1]: the reward that the teacher expects from the row's item, or from a unit of its number, after
        the rounds so far; the round of the table itself counts if it is finished.
    parts
        float[rows of questions, 1 + 3]: the reward that the teacher expects from the row for each option, compared with
        the set's mean.
    """

    ids: np.ndarray
    positions: np.ndarray
    branches: np.ndarray
    reads: np.ndarray
    labels: np.ndarray
    asks: np.ndarray
    values: np.ndarray
    compared: np.ndarray
    worths: np.ndarray
    parts: np.ndarray


def chat_of(interaction: Interaction) -> list[dict[str, str]]:
    """Return the conversation as chat messages; its last message is the answer to the last set.

    >>> from beliefbench.students.synthetic.domains import SyntheticDomain
    >>> rng = np.random.default_rng(0)
    >>> chat = chat_of(Interaction.draw(SyntheticDomain.draw(rng), rng, rounds=1))
    >>> [message["role"] for message in chat]
    ['user', 'assistant', 'user', 'assistant']
    """
    domain = interaction.domain
    turns, before = [], words.instructions(domain.item, domain.purpose)
    for options, recommended, chosen in zip(
        interaction.options, interaction.recommended.tolist(), interaction.chosen.tolist(), strict=True
    ):
        question = words.question(domain.item, [domain.describe(option) for option in options])
        turns.append(Turn(words.opening(domain.item, before), question, words.answer(domain.item, recommended)))
        before = words.feedback(domain.item, recommended, chosen)
    return messages(turns, "", "")[:-1]


class Annotator:
    """Turns interactions into tokens and targets, for a tokenizer of `tokenizer_of`."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.inner = tokenizer, tokenizer.backend_tokenizer
        self.known: dict[str, list[int]] = {}
        self.lines = np.array(tokenizer.convert_tokens_to_ids([line_token(number) for number in range(LINES)]))

    def encode(self, pieces: Sequence[str]) -> list[int]:
        """Return the tokens of special tokens and of the texts between them."""
        found = []
        for piece in pieces:
            if piece not in self.known:
                if len(self.known) > 100_000:  # texts of domains that are long gone
                    self.known.clear()
                self.known[piece] = self.inner.encode(piece, add_special_tokens=False).ids
            found += self.known[piece]
        return found

    def annotate(self, interaction: Interaction, rng: np.random.Generator | None = None) -> AnnotatedConversation:
        """Return a conversation as tokens and targets; ``rng`` numbers the rows of its tables at random."""
        draft = _Draft(self, interaction)
        for number in range(len(interaction.options) - 1):
            draft.ask(number)
            draft.finish(number)
        draft.ask(len(interaction.options) - 1)
        found = draft.conversation()
        if rng is not None:
            places = np.flatnonzero(np.isin(found.ids, self.lines))
            found.ids[places] = rng.permutation(self.lines)[found.ids[places] - self.lines[0]]
        return found


class _Draft:
    """A conversation in the making: the tokens of finished rounds, those of questions, and targets."""

    def __init__(self, annotator: Annotator, interaction: Interaction) -> None:
        self.encode, self.interaction = annotator.encode, interaction
        domain = interaction.domain
        self.texts = [[domain.describe(option) for option in options] for options in interaction.options]
        self.places = {line.label: at for at, line in enumerate(domain.lines)}
        self.tables = Tables()
        self.rounds = self.encode([START])
        self.questions: list[int] = []
        self.labels: list[np.ndarray] = []
        self.branches: list[np.ndarray] = []
        self.reads: list[int] = []
        # Each row: 1 in a question, otherwise 0; the token's index in the questions or in the rounds; the target.
        self.asks: list[list[float]] = []
        self.values: list[list[float]] = []
        self.compared: list[list[float]] = []
        self.worths: list[list[float]] = []
        self.parts: list[list[float]] = []

    def ask(self, number: int) -> None:
        """Add the question of a set, and its answer."""
        one, start = self.interaction, len(self.questions)
        believed = one.believed[number] / one.domain.reward_sd
        self.questions += self.encode([SET, one.domain.item, IS])
        for row in Tables(self.tables.keys).rows(self.texts[number]):
            self._write(row.pieces(), self.questions, 1)
            parts = self._add(row, number, believed, [1, len(self.questions) - 1])
            self.parts.append([1, len(self.questions) - 1, *_centred(parts, PART_SCALE)])
        self.questions += self.encode([ANSWER])
        first = len(self.questions)
        self.questions += self.encode([words.answer(one.domain.item, int(one.recommended[number])), END])
        labels = np.full(len(self.questions) - start, IGNORED)
        if number + 1 == len(one.options):
            labels[first - 1 - start : -1] = self.questions[first:]
        ask = len(self.questions) - 4  # before the number, the full stop and the end
        rewards = one.domain.expand(one.options[number]) @ believed
        self.asks.append([1, ask, *one.answers[number], *(rewards - rewards.mean())])
        self.labels.append(labels)
        self.branches.append(np.full(len(labels), number + 1))
        self.reads.append(len(self.rounds))

    def finish(self, number: int) -> None:
        """Add the table of a finished round."""
        one = self.interaction
        believed = one.believed[number + 1] / one.domain.reward_sd
        self.rounds += self.encode([ROUND])
        for row in self.tables.rows(self.texts[number]):
            self._write(row.pieces(int(one.chosen[number])), self.rounds, 0)
            self._add(row, number, believed, [0, len(self.rounds) - 1])

    def conversation(self) -> AnnotatedConversation:
        """Return the conversation: the finished rounds, then the questions."""
        past = len(self.rounds)

        def placed(rows: list[list[float]], width: int) -> np.ndarray:
            found = np.array(rows, dtype=float).reshape(-1, 2 + width)
            return np.column_stack([found[:, 1] + past * found[:, 0], found[:, 2:]])

        lengths = [len(branch) for branch in self.branches]
        own = np.concatenate([read + np.arange(length) for read, length in zip(self.reads, lengths, strict=True)])
        return AnnotatedConversation(
            ids=np.array(self.rounds + self.questions),
            positions=np.concatenate([np.arange(past), own]),
            branches=np.concatenate([np.zeros(past, dtype=int), *self.branches]),
            reads=np.concatenate([np.zeros(past, dtype=int), np.repeat(self.reads, lengths)]),
            labels=np.concatenate([np.full(past, IGNORED), *self.labels]),
            asks=placed(self.asks, 2 * OPTIONS),
            values=placed(self.values, 1),
            compared=placed(self.compared, OPTIONS),
            worths=placed(self.worths, 1),
            parts=placed(self.parts, OPTIONS),
        )

    def _write(self, pieces: Sequence[str], tokens: list[int], question: int) -> None:
        """Add a row's tokens, and the sizes of its numbers, each at the token after it."""
        for before, piece in zip(["", *pieces], pieces, strict=False):
            tokens += self.encode([piece])
            if before and not before.startswith("<"):
                self.values.append([question, len(tokens) - 1, magnitude(before)])

    def _add(self, row: Row, number: int, believed: np.ndarray, at: list[float]) -> list[float]:
        """Add the targets that the tables of questions and of finished rounds have in common.

        Returns what the row adds to the reward of each option.
        """
        line = self.interaction.domain.lines[self.places[row.label]]
        weights = believed[self._columns(row)]
        if row.place < 0:
            worth = float(line.item_columns(row.item) @ weights)
            self.worths.append([*at, worth])
            return [worth if cell else 0.0 for cell in row.cells]
        options = self.interaction.options[number]
        columns = line.number_columns(row.cells, options[:, self._features(row)])
        if line.ordered:
            values = _centred(columns[:, 0].tolist(), COLUMN_SCALE)
            if not at[0]:
                values = list(in_order(tuple(values), int(self.interaction.chosen[number])))
            self.compared.append([*at, *values])
            self.worths.append([*at, float(weights[0])])
        return (columns @ weights).tolist()

    def _columns(self, row: Row) -> slice:
        return self.interaction.domain.columns[self.places[row.label]]

    def _features(self, row: Row) -> slice:
        return self.interaction.domain.features[self.places[row.label]]


def _centred(values: list[float], scale: float) -> list[float]:
    """Return how much larger each value is than their mean, times a scale."""
    mean = sum(values) / len(values)
    return [scale * (value - mean) for value in values]
