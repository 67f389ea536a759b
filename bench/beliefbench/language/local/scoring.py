"""Scoring and writing answers with a causal language model: a conversation is read once, and all questions continue it.

The log-probability of an answer is the sum over its tokens, in the text as if the model had written it. Tokens that all
answers to a question share are not counted.

The computation for a user depends on that user's dialogue alone. The stems of a conversation (the text up to each
question) are read one after the other in the same steps, whether a run is new or continued, and whether they were
cached or dropped. No pass contains the questions of two users. So a user's answers do not depend on the other users, to
the bit. This costs no speed, because the questions of one stage fill a pass. Only if memory runs out does the number of
rows change, and with it the last bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from beliefbench.errors import BeliefBenchError
from beliefbench.language.local.branches import Branch, Rows, common_prefix, predictions
from beliefbench.language.local.chat_format import ChatFormat
from beliefbench.language.local.memory import (
    Prefix,
    PrefixCache,
    default_budget,
    map_in_batches,
    memory_told,
    rows_within,
    within_context,
)
from beliefbench.language.local.shared_attention import Layers, SharedPrefix, reading_shared, share
from beliefbench.language.questions.dialogue import Dialogue, messages


class TooLongToShareError(BeliefBenchError):
    """A text is longer than the reading of this model may be shared."""


@dataclass(frozen=True)
class Scores:
    """log_probs float64[users, questions, answers], natural logarithms; tokens int[users, questions], the tokens read
    for the question alone.

    Raises `BeliefBenchError` if the answers to a question have no numbers.
    """

    log_probs: np.ndarray
    tokens: np.ndarray

    def __post_init__(self) -> None:
        if np.isnan(self.log_probs).any() or np.isneginf(self.log_probs).all(axis=-1).any():
            raise BeliefBenchError(
                "the model computes no numbers for some answers (NaN or infinity); use dtype=float32, or another model."
            )


@dataclass(frozen=True)
class Replies:
    """text object[users, questions], the model's text; tokens int[users, questions], the tokens read for the question
    alone plus those written.
    """

    text: np.ndarray
    tokens: np.ndarray


class SharedPrefixScorer:
    """Asks many questions about one conversation, and caches the key-value caches of conversations within its budget.

    Half of the budget is for rows that are read together, and half for cached conversations.
    """

    note = ""

    def __init__(self, model: Any, speech: ChatFormat, budget: int | None = None, limit: int | None = None) -> None:
        """Take a model for which `beliefbench.language.local.architectures.scorer_of` chooses this scorer; ``limit``:
        the longest text whose reading may be shared, in tokens, None for any.
        """
        share(model)
        self.model, self.speech, self.limit = model, speech, limit
        self.budget = budget or default_budget(model)
        self.kept = PrefixCache(self.budget // 2)

    @torch.inference_mode()
    def score(self, dialogues: Sequence[Dialogue], answers: Sequence[str]) -> Scores:
        """Return the log-probability of each answer to each question; all dialogues have the same number of
        questions."""
        with memory_told():
            scores = [self._scores(dialogue, answers) for dialogue in dialogues]
        return Scores(np.stack([one.log_probs for one in scores]), np.stack([one.tokens for one in scores]))

    @torch.inference_mode()
    def write(self, dialogues: Sequence[Dialogue], longest: int) -> Replies:
        """Return the model's answer to each question, with the likeliest token at each step, at most ``longest``
        tokens."""
        with memory_told():
            replies = [self._replies(dialogue, longest) for dialogue in dialogues]
        return Replies(np.stack([one.text for one in replies]), np.stack([one.tokens for one in replies]))

    def _scores(self, dialogue: Dialogue, answers: Sequence[str]) -> Scores:
        whole = [Branch.of(coded) for coded in self.speech.with_answers(self.speech.asked(dialogue), answers)]
        prefix, branches = self._branched(dialogue, whole)
        found = self._by_pieces(branches, prefix, lambda piece: self._score_rows(piece, prefix))
        return Scores(np.array(found), np.array([len(branch.tokens) for branch in branches]))

    def _replies(self, dialogue: Dialogue, longest: int) -> Replies:
        texts = [self.speech.prompt(chat) for chat in self.speech.asked(dialogue)]
        prefix, branches = self._branched(
            dialogue, [Branch(tokens, []) for tokens in self.speech.encode(texts)], longest
        )
        written = self._by_pieces(branches, prefix, lambda piece: self._write_rows(piece, prefix, longest), longest)
        text = np.array([self.speech.reply(tokens) for tokens in written], dtype=object)
        read = zip(branches, written, strict=True)
        return Replies(text, np.array([len(branch.tokens) + len(tokens) for branch, tokens in read]))

    def _branched(self, dialogue: Dialogue, whole: Sequence[Branch], more: int = 0) -> tuple[Prefix, list[Branch]]:
        """Read the prefix that all questions share; return it, and the unread part of each question. ``more`` tokens
        are written after it.
        """
        longest = max(branch.longest for branch in whole)
        within_context(self.model, longest, more)
        if self.limit is not None and longest + more > self.limit:
            raise TooLongToShareError(f"a text of {longest + more:,} tokens is too long for the shared reading.")
        shared = common_prefix([branch.common for branch in whole])
        # Each row keeps one token to read: what follows it is predicted from there.
        shared = shared[: min(len(branch.common) for branch in whole) - 1]
        prefix = self._read_on(self._conversation(dialogue), shared)
        return prefix, [branch.after(len(shared)) for branch in whole]

    def _conversation(self, dialogue: Dialogue) -> Prefix:
        stems = self._stems(dialogue)
        known, prefix = self.kept.longest(stems)
        for read in range(known, len(stems)):
            prefix = self._read_on(prefix, list(stems[read]))
        self.kept.keep(stems, prefix)
        return prefix

    def _stems(self, dialogue: Dialogue) -> list[tuple[int, ...]]:
        """Return the tokens up to each question that do not depend on it, found with two that share nothing."""
        openings = [*(turn.opening for turn in dialogue.turns), dialogue.opening]
        texts = [
            self.speech.render(messages(dialogue.turns[:at], opening, probe))
            for at, opening in enumerate(openings)
            for probe in ("A", "0")
        ]
        coded = self.speech.encode(texts)
        return [tuple(common_prefix(coded[at : at + 2])) for at in range(0, len(coded), 2)]

    def _read_on(self, prefix: Prefix, tokens: list[int]) -> Prefix:
        """Return the prefix that contains ``tokens``; read only the part that is not cached."""
        known = len(common_prefix([prefix.tokens, tokens]))
        prefix = prefix.cut(known)
        if known == len(tokens):
            return prefix
        cache = _cache(prefix.layers)
        self.model(input_ids=self._tensor([tokens[known:]]), past_key_values=cache, use_cache=True, logits_to_keep=1)
        layers: list[Any] = cache.layers
        return Prefix(tokens, [(layer.keys, layer.values) for layer in layers])

    def _by_pieces(self, branches: list[Branch], prefix: Prefix, work: Any, more: int = 0) -> list[Any]:
        """Compute the branches in pieces that fit into the budget, with branches of similar length together."""
        order = sorted(range(len(branches)), key=lambda at: len(branches[at].tokens))
        longest = branches[order[-1]]
        tail = len(longest.tokens) - len(longest.common) + 1
        width, past = len(longest.tokens) + more, len(prefix.tokens)
        held = width * prefix.nbytes // max(1, past) if more else 0
        size = rows_within(self.model, self.budget // 2, width, past, tail, held)
        found = map_in_batches([branches[at] for at in order], size, work)
        return [found[place] for place in np.argsort(order)]

    def _score_rows(self, branches: Sequence[Branch], prefix: Prefix) -> list[np.ndarray]:
        rows = Rows.of(branches, len(prefix.tokens))
        positions, sees = self._tensor(rows.positions), self._tensor(rows.sees)
        shared = SharedPrefix(prefix.layers, positions, positions, sees)
        log_probs = torch.log_softmax(self._logits(rows.tokens, shared, rows.tail).float(), dim=-1)
        told = [predictions(branch, rows.tail) for branch in branches]
        at = [(row, place, token) for row, found in enumerate(told) for place, token in zip(*found, strict=True)]
        # One copy from the device for all rows: each copy waits for what the device computes.
        of_tokens = log_probs[tuple(self._tensor(np.array(at).T))].double().cpu().numpy()
        lengths = [len(ending) for branch in branches for ending in branch.endings]
        sums = np.add.reduceat(of_tokens, np.cumsum([0, *lengths[:-1]]))
        return np.split(sums, np.cumsum([len(branch.endings) for branch in branches])[:-1])

    def _write_rows(self, branches: Sequence[Branch], prefix: Prefix, longest: int) -> list[list[int]]:
        rows = Rows.of(branches, len(prefix.tokens))
        positions, sees = self._tensor(rows.positions), self._tensor(rows.sees)
        tokens, own, cache = rows.tokens, positions, DynamicCache()
        written: list[list[int]] = [[] for _ in branches]
        going = set(range(len(branches)))
        for _ in range(longest):
            likeliest = self._logits(tokens, SharedPrefix(prefix.layers, positions, own, sees), 1, cache)[:, -1].argmax(
                -1
            )
            for row in sorted(going):
                written[row].append(int(likeliest[row]))
                if self.speech.is_over(written[row]):
                    going.remove(row)
            if not going:
                break
            tokens, positions = likeliest[:, None].cpu().numpy(), positions[:, -1:] + 1
            own = torch.cat([own, positions], dim=1)
            sees = torch.cat([sees[:, -1:], sees.new_ones(len(branches), 1, 1)], dim=-1)
        return written

    def _logits(
        self, tokens: np.ndarray, shared: SharedPrefix, tail: int, cache: DynamicCache | None = None
    ) -> torch.Tensor:
        with reading_shared(shared):
            return self.model(
                input_ids=self._tensor(tokens),
                position_ids=shared.positions,
                # Not read, but it keeps the model from making its own masks.
                attention_mask=shared.sees[:, None],
                past_key_values=cache,
                use_cache=cache is not None,
                logits_to_keep=tail,
            ).logits

    def _tensor(self, rows: Any) -> torch.Tensor:
        return torch.as_tensor(rows, device=self.model.device)


def _cache(layers: Layers) -> DynamicCache:
    cache = DynamicCache()
    for keys, values in layers:
        layer = DynamicLayer()
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
        cache.layers.append(layer)
    return cache
