"""Scoring answers with a causal language model: a conversation is read once, and all questions branch off from it.

The log-probability of an answer is the sum over its tokens, in the text that the model would have seen had it said so.
Answers share their first tokens ("The best option is Flight "), so a question and its answers are read as one row: the
question, what the answers share, then each answer's remaining tokens side by side, hidden from each other by the
attention mask.

Reading depends on the conversation alone: its stems (the text up to each question) are read one after the other in the
same steps whether a run is fresh or goes on, so the same conversation always gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from bench.language.words import Turn

ROWS_BYTES = 2**30  # key-value cache that one forward pass over questions may hold

Render = Callable[[Sequence[Turn], str, str], str]
"""(turns so far, opening, question) -> the text that the model answers."""
Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class Scores:
    """log_probs float64[questions, answers], natural logarithms; tokens int[questions], those read for it alone."""

    log_probs: np.ndarray
    tokens: np.ndarray


@dataclass(frozen=True)
class Branch:
    """A question and its answers beyond what all questions share: ``common`` tokens, then each answer's own."""

    common: list[int]
    endings: list[list[int]]

    @classmethod
    def of(cls, candidates: Sequence[list[int]]) -> Branch:
        """Split the tokens of whole texts, one an answer, where the answers part."""
        # An answer that begins another one must keep a token of its own to be scored by.
        length = min(len(common_prefix(candidates)), min(len(tokens) for tokens in candidates) - 1)
        return cls(candidates[0][:length], [tokens[length:] for tokens in candidates])

    def after(self, read: int) -> Branch:
        """Return the branch without its first tokens, which are read already."""
        return Branch(self.common[read:], self.endings)

    @property
    def tokens(self) -> list[int]:
        """The row that is read. The last token of an answer is never read, only predicted."""
        return [*self.common, *(token for ending in self.endings for token in ending[:-1])]


def common_prefix(rows: Sequence[list[int]]) -> list[int]:
    """Return the longest list of tokens that all rows begin with.

    >>> common_prefix([[1, 2, 3], [1, 2], [1, 2, 4]])
    [1, 2]
    """
    lowest, highest = min(rows), max(rows)  # what these two share, all between them share
    length = next((at for at, token in enumerate(lowest) if token != highest[at]), len(lowest))
    return list(lowest[:length])


class SharedPrefixScorer:
    """Scores answers to many questions about one conversation; keeps the last conversation's key-value cache."""

    def __init__(self, model: Any, encode: Encode, render: Render) -> None:
        self.model, self.encode, self.render = model, encode, render
        self._stems: list[list[int]] = []
        self._read: list[int] = []
        self._cache: list[tuple[torch.Tensor, torch.Tensor]] = []

    @torch.inference_mode()
    def score(self, turns: Sequence[Turn], opening: str, questions: Sequence[str], answers: Sequence[str]) -> Scores:
        """Return the log-probability of each answer to each question, each asked right after ``turns``.

        Parameters
        ----------
        turns
            The conversation so far.
        opening
            What the user says before the options.
        questions, answers
            The options as text, and what the model might say: every question is asked with all answers.
        """
        openings = [*(turn.opening for turn in turns), opening]
        self._read_stems([self._stem(turns[:at], one) for at, one in enumerate(openings)])
        texts = [self.render(turns, opening, question) for question in questions]
        whole = [Branch.of([self.encode(text + answer) for answer in answers]) for text in texts]
        shared = common_prefix([branch.common for branch in whole])
        # Each row keeps one token to read: what follows it is predicted from there.
        self._read_on(shared[: min(len(branch.common) for branch in whole) - 1])
        branches = [branch.after(len(self._read)) for branch in whole]
        size = self._rows_at_once(max(len(branch.tokens) for branch in branches))
        scores = [self._score_rows(branches[at : at + size]) for at in range(0, len(branches), size)]
        return Scores(np.concatenate(scores), np.array([len(branch.tokens) for branch in branches]))

    def _stem(self, turns: Sequence[Turn], opening: str) -> list[int]:
        """Return the tokens up to a question that do not depend on the question, found with two that share nothing."""
        return common_prefix([self.encode(self.render(turns, opening, probe)) for probe in ("A", "0")])

    def _read_stems(self, stems: list[list[int]]) -> None:
        known = 0
        while known < min(len(stems), len(self._stems)) and stems[known] == self._stems[known]:
            known += 1
        last = stems[known - 1] if known else []
        if last != self._read[: len(last)]:  # a question whose tokens begin before the stem's end cut it off
            known, last = 0, []
        self._forget_after(len(last))
        for stem in stems[known:]:
            self._read_on(stem)
        self._stems = stems

    def _read_on(self, tokens: list[int]) -> None:
        """Make ``tokens`` what the cache holds, reading only what it does not hold yet."""
        kept = len(common_prefix([self._read, tokens]))
        self._forget_after(kept)
        if kept == len(tokens):
            return
        cache = self._expanded(1)
        self.model(input_ids=self._tensor([tokens[kept:]]), past_key_values=cache, use_cache=True, logits_to_keep=1)
        layers: list[Any] = cache.layers
        self._cache = [(layer.keys, layer.values) for layer in layers]
        self._read = list(tokens)

    def _forget_after(self, length: int) -> None:
        if length < len(self._read):
            self._read = self._read[:length]
            self._cache = [(keys[..., :length, :], values[..., :length, :]) for keys, values in self._cache]

    def _expanded(self, rows: int) -> DynamicCache:
        """Return the cache for several rows, without copying it."""
        cache = DynamicCache()
        for keys, values in self._cache:
            layer = DynamicLayer()
            layer.lazy_initialization(keys, values)
            layer.keys, layer.values = keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1)
            cache.layers.append(layer)
        return cache

    def _rows_at_once(self, longest: int) -> int:
        a_token = sum(2 * keys[0, :, 0].numel() * keys.element_size() for keys, _ in self._cache)
        return max(1, ROWS_BYTES // max(1, a_token * (len(self._read) + longest)))

    def _score_rows(self, branches: Sequence[Branch]) -> np.ndarray:
        """Read some branches as the rows of one batch, aligned at their ends: float64[questions, answers]."""
        past, width = len(self._read), max(len(branch.tokens) for branch in branches)
        tail = max(len(branch.tokens) - len(branch.common) for branch in branches) + 1
        tokens, positions, sees = zip(*(_row(branch, past, width) for branch in branches), strict=True)
        dtype = self.model.dtype
        blocked = torch.finfo(dtype).min
        mask = torch.zeros(len(branches), 1, width, past + width, dtype=dtype)
        mask[:, 0, :, past:].masked_fill_(~torch.stack(sees), blocked)
        logits = self.model(
            input_ids=self._tensor(tokens),
            position_ids=self._tensor(positions),
            attention_mask=mask.to(self.model.device),
            past_key_values=self._expanded(len(branches)),
            use_cache=True,
            logits_to_keep=tail,
        ).logits
        log_probs = torch.log_softmax(logits.float(), dim=-1).double().cpu()
        return np.array([_ending_scores(branch, row) for branch, row in zip(branches, log_probs, strict=True)])

    def _tensor(self, rows: Any) -> torch.Tensor:
        return torch.tensor(rows, device=self.model.device)


def _row(branch: Branch, past: int, width: int) -> tuple[list[int], list[int], torch.Tensor]:
    """Return a row's tokens, positions and what sees what, bool[width, width], filled up in front to ``width``."""
    common = len(branch.common)
    fill = width - len(branch.tokens)
    positions = [past] * fill + list(range(past, past + common))
    sees = torch.ones(width, width, dtype=torch.bool).tril()
    sees[:, :fill] = False
    sees[:fill, :fill] = torch.eye(fill, dtype=torch.bool)
    at = fill + common
    for ending in branch.endings:
        length = len(ending) - 1
        sees[at : at + length, fill + common : at] = False
        positions += range(past + common, past + common + length)
        at += length
    return [0] * fill + branch.tokens, positions, sees


def _ending_scores(branch: Branch, log_probs: torch.Tensor) -> list[float]:
    """Sum the log-probabilities of each ending's tokens; those at a row's last places are float[tail, vocabulary]."""
    own = len(log_probs) - sum(len(ending) - 1 for ending in branch.endings)
    last_common = own - 1
    scores = []
    for ending in branch.endings:
        places = [last_common, *range(own, own + len(ending) - 1)]
        scores.append(float(sum(log_probs[place, token] for place, token in zip(places, ending, strict=True))))
        own += len(ending) - 1
    return scores
