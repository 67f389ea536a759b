"""Scoring and writing answers with a model whose memory cannot be shared by several questions: one whole text per row.

This serves models with states other than a key-value cache (Mamba), relative positions (ALiBi), or custom attention.
Texts are padded at the end, which a causal model does not see, so it works for any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from beliefbench.language.branches import Branch
from beliefbench.language.chat_format import ChatFormat
from beliefbench.language.dialogue import Dialogue
from beliefbench.language.memory import default_budget, map_in_batches, memory_told, rows_within, within_context
from beliefbench.language.scoring import Replies, Scores

Answer = tuple[list[int], int]
"""The tokens of a whole text, and how many of the last ones belong to the answer."""


class WholeTextScorer:
    """Scores like `beliefbench.language.scoring.SharedPrefixScorer`, but reads the whole text for each answer."""

    def __init__(self, model: Any, speech: ChatFormat, budget: int | None = None) -> None:
        self.model, self.speech, self.budget = model, speech, budget or default_budget(model)

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
                rendered = [self.speech.prompt(dialogue.messages(question)) for question in dialogue.questions]
                for question, read in enumerate(self.speech.encode(rendered)):
                    written = self._written(read, longest)
                    text[user, question] = self.speech.reply(written)
                    tokens[user, question] = len(read) + len(written)
        return Replies(text, tokens)

    def _scores(self, dialogue: Dialogue, answers: Sequence[str]) -> Scores:
        texts = [self.speech.render(dialogue.messages(question)) for question in dialogue.questions]
        coded = self.speech.encode([text + answer for text in texts for answer in answers])
        rows: list[Answer] = []
        for at in range(0, len(coded), len(answers)):
            endings = Branch.of(coded[at : at + len(answers)]).endings
            rows += [(tokens, len(end)) for tokens, end in zip(coded[at : at + len(answers)], endings, strict=True)]
        width = max(len(tokens) for tokens, _ in rows)
        within_context(self.model, width)
        size = rows_within(self.model, self.budget, width, 0, width)
        log_probs = np.array(map_in_batches(rows, size, lambda piece: self._score_rows(piece)))
        tokens = np.array([len(tokens) for tokens, _ in rows]).reshape(len(texts), len(answers)).sum(axis=1)
        return Scores(log_probs.reshape(len(texts), len(answers)), tokens)

    def _score_rows(self, rows: Sequence[Answer]) -> list[float]:
        width = max(len(tokens) for tokens, _ in rows)
        filled = torch.tensor([tokens + [0] * (width - len(tokens)) for tokens, _ in rows], device=self.model.device)
        real = torch.tensor([[1] * len(tokens) + [0] * (width - len(tokens)) for tokens, _ in rows])
        logits = self.model(input_ids=filled, attention_mask=real.to(filled.device), use_cache=False).logits
        scores = []
        for (tokens, own), row in zip(rows, logits, strict=True):
            at = len(tokens) - own
            log_probs = torch.log_softmax(row[at - 1 : len(tokens) - 1].float(), dim=-1)
            scores.append(float(log_probs[range(own), tokens[at:]].double().sum()))
        return scores

    def _written(self, read: list[int], longest: int) -> list[int]:
        within_context(self.model, len(read))
        given = torch.tensor([read], device=self.model.device)
        ends = sorted(self.speech.ends) or None
        found = self.model.generate(
            given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=longest,
            do_sample=False,
            eos_token_id=ends,
            pad_token_id=ends[0] if ends else 0,
        )
        return [int(token) for token in found[0, len(read) :]]
