"""Questions and their answers as rows of tokens: the tokens, the attention masks, and the positions that are scored.

Answers share their first tokens ("The best option is Flight "). So a question and its answers are read as one row: the
question, the tokens that the answers share, then the remaining tokens of each answer side by side, hidden from each
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Branch:
    """The unread part of a question and its answers: ``common`` tokens, then the tokens of each answer."""

    common: list[int]
    endings: list[list[int]]

    @classmethod
    def of(cls, candidates: Sequence[list[int]]) -> Branch:
        """Split the tokens of whole texts, one per answer, at the token where the answers differ."""
        # An answer that begins another one must keep a token of its own to be scored by.
        length = min(len(common_prefix(candidates)), min(len(tokens) for tokens in candidates) - 1)
        return cls(candidates[0][:length], [tokens[length:] for tokens in candidates])

    def after(self, read: int) -> Branch:
        """Return the branch without its first tokens, which are read already."""
        return Branch(self.common[read:], self.endings)

    @property
    def longest(self) -> int:
        """The number of tokens of the question with its longest answer."""
        return len(self.common) + max((len(ending) for ending in self.endings), default=0)

    @property
    def tokens(self) -> list[int]:
        """The row that is read. The last token of an answer is never read, only predicted."""
        return [*self.common, *(token for ending in self.endings for token in ending[:-1])]


@dataclass(frozen=True)
class Rows:
    """Branches as one batch, padded at the front so that all rows end together.

    tokens, positions int[rows, width]; sees bool[rows, width, width]: what each token attends to in its own row; tail:
    how many last places of a row predict answers.
    """

    tokens: np.ndarray
    positions: np.ndarray
    sees: np.ndarray
    tail: int

    @classmethod
    def of(cls, branches: Sequence[Branch], past: int) -> Rows:
        """Return the rows that follow a prefix of ``past`` tokens."""
        width = max(len(branch.tokens) for branch in branches)
        tail = max(len(branch.tokens) - len(branch.common) for branch in branches) + 1
        tokens, positions, sees = zip(*(_row(branch, past, width) for branch in branches), strict=True)
        return cls(np.array(tokens), np.array(positions), np.stack(sees), tail)


def common_prefix(rows: Sequence[list[int]]) -> list[int]:
    """Return the longest list of tokens that all rows begin with.

    >>> common_prefix([[1, 2, 3], [1, 2], [1, 2, 4]])
    [1, 2]
    """
    lowest, highest = min(rows), max(rows)  # what these two share, all between them share
    length = next((at for at, token in enumerate(lowest) if token != highest[at]), len(lowest))
    return list(lowest[:length])


def predictions(branch: Branch, tail: int) -> tuple[list[int], list[int]]:
    """Return the positions among the last ``tail`` of a row at which each answer's tokens are predicted, and these
    tokens."""
    own = tail - sum(len(ending) - 1 for ending in branch.endings)
    last_common = own - 1
    places, tokens = [], []
    for ending in branch.endings:
        places += [last_common, *range(own, own + len(ending) - 1)]
        tokens += ending
        own += len(ending) - 1
    return places, tokens


def _row(branch: Branch, past: int, width: int) -> tuple[list[int], list[int], np.ndarray]:
    common = len(branch.common)
    fill = width - len(branch.tokens)
    positions = [past] * fill + list(range(past, past + common))
    sees = np.tril(np.ones((width, width), dtype=bool))
    sees[:, :fill] = False
    sees[:fill, :fill] = np.eye(fill, dtype=bool)  # a softmax over nothing is no number
    at = fill + common
    for ending in branch.endings:
        length = len(ending) - 1
        sees[at : at + length, fill + common : at] = False
        positions += range(past + common, past + common + length)
        at += length
    return [0] * fill + branch.tokens, positions, sees
