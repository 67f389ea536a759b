"""Scoring and writing answers by plain passes: each answer reads its whole text.

This serves models with states other than a key-value cache (Mamba), relative positions (ALiBi), or custom attention.
Only texts of one length are read together. So there is no padding, which could change a rotary embedding that depends
on the length, or which experts a token gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from transformers import GenerationConfig

from beliefbench.language.local.branches import Branch
from beliefbench.language.local.chat_format import ChatFormat
from beliefbench.language.local.memory import (
    default_budget,
    map_in_batches,
    memory_told,
    rope_limit,
    rows_within,
    within_context,
)
from beliefbench.language.local.scoring import Replies, Scores
from beliefbench.language.questions.dialogue import Dialogue

Answer = tuple[list[int], int]
"""The tokens of a whole text, and how many of the last ones belong to the answer."""


class WholeTextScorer:
    """Scores like `beliefbench.language.local.scoring.SharedPrefixScorer`, but reads the whole text for each answer."""

    note = "reads the whole text for each answer"

    def __init__(self, model: Any, speech: ChatFormat, budget: int | None = None) -> None:
        self.model, self.speech, self.budget = model, speech, budget or default_budget(model)
        self.rope_limit = rope_limit(model.config.get_text_config())
        self._cuts_logits = "logits_to_keep" in signature(model.forward).parameters

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
        text = np.empty((len(dialogues), len(dialogues[0].questions)), dtype=object)
        tokens = np.zeros(text.shape, dtype=np.int64)
        with memory_told():
            for user, dialogue in enumerate(dialogues):
                rendered = [self.speech.prompt(chat) for chat in self.speech.asked(dialogue)]
                for question, read in enumerate(self.speech.encode(rendered)):
                    written = self._written(read, longest)
                    text[user, question] = self.speech.reply(written)
                    tokens[user, question] = len(read) + len(written)
        return Replies(text, tokens)

    def _scores(self, dialogue: Dialogue, answers: Sequence[str]) -> Scores:
        chats = self.speech.asked(dialogue)
        rows: list[Answer] = []
        for coded in self.speech.with_answers(chats, answers):
            rows += [(tokens, len(end)) for tokens, end in zip(coded, Branch.of(coded).endings, strict=True)]
        lengths = [len(tokens) for tokens, _ in rows]
        within_context(self.model, max(lengths))
        log_probs = np.empty(len(rows))
        for length in sorted(set(lengths)):
            places = [at for at, found in enumerate(lengths) if found == length]
            tail = max(rows[at][1] for at in places) + 1 if self._cuts_logits else length
            size = rows_within(self.model, self.budget, length, 0, tail)
            log_probs[places] = map_in_batches([rows[at] for at in places], size, lambda piece: self._score_rows(piece))
        tokens = np.array(lengths).reshape(len(chats), len(answers)).sum(axis=1)
        return Scores(log_probs.reshape(len(chats), len(answers)), tokens)

    def _score_rows(self, rows: Sequence[Answer]) -> list[float]:
        """Return the scores of texts of one length."""
        given = torch.tensor([tokens for tokens, _ in rows], device=self.model.device)
        tail = {"logits_to_keep": max(own for _, own in rows) + 1} if self._cuts_logits else {}
        self._forget_lengths()
        logits = self.model(input_ids=given, use_cache=False, **tail).logits
        scores = []
        for (tokens, own), row in zip(rows, logits, strict=True):
            log_probs = torch.log_softmax(row[-own - 1 : -1].float(), dim=-1)
            scores.append(float(log_probs[range(own), tokens[-own:]].double().sum()))
        return scores

    def _forget_lengths(self) -> None:
        """Let a dynamic rotary embedding forget the longest text that it has read: one token resets it."""
        if self.rope_limit is None:
            return
        for module in self.model.modules():
            if hasattr(module, "original_max_seq_len"):
                kinds = list(module.rope_type) if isinstance(module.rope_type, dict) else [None]
                for kind in kinds:
                    of_kind = {"layer_type": kind} if kind else {}
                    nothing = torch.zeros(1, 1, device=self.model.device)
                    module(nothing, nothing.long(), **of_kind)

    def _written(self, read: list[int], longest: int) -> list[int]:
        within_context(self.model, len(read), longest)
        given = torch.tensor([read], device=self.model.device)
        ends = sorted(self.speech.ends) or None
        self._forget_lengths()
        # A model's own generation settings, such as a penalty for repetition, are no part of its likeliest answer.
        with patch.object(self.model, "generation_config", GenerationConfig()):
            found = self.model.generate(
                given,
                attention_mask=torch.ones_like(given),
                max_new_tokens=longest,
                do_sample=False,
                use_cache=self.rope_limit is None or len(read) + longest <= self.rope_limit,
                eos_token_id=ends,
                pad_token_id=ends[0] if ends else 0,
            )
        return [int(token) for token in found[0, len(read) :]]
