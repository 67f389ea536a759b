"""The reader with its auxiliary heads: linear heads on hidden layers during training; they are removed afterwards.

As in `beliefbench.students.auxiliary_heads`, each head trains a layer on one step towards the answer. These steps exist
in any domain, and each needs only tokens of the same row, or the rows with the same number: how large a number is
(`READ`); how the numbers of a row compare (`COMPARE`); what a row is worth to the user, after the rounds so far
(`WORTH`); the reward of each option from a row (`PARTS`); the sum over rows (the last layer).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from beliefbench.domain import OPTIONS
from beliefbench.students.reader.conversations import IGNORED, AnnotatedConversation

READ, COMPARE, WORTH, PARTS = 1, 2, 6, 7
"""The layers whose heads are trained on each step."""
PAIRS = torch.triu_indices(OPTIONS, OPTIONS, 1)
"""The pairs of options that are compared."""
SAME = 1e-6
"""Numbers whose columns differ by no more are equal."""

Lesson = dict[str, torch.Tensor]
"""Conversations as tensors, from `lesson_of`."""


def lesson_of(conversations: Sequence[AnnotatedConversation], pad: int) -> Lesson:
    """Return conversations as tensors.

    The arrays with a value for each token are int[conversations, tokens], padded with ``pad``, 0, or -100. The other
    tensors are float32 and have the rows of all conversations (`AnnotatedConversation`), each row after the index of
    its conversation.
    """
    longest = -8 * (-max(len(one.ids) for one in conversations) // 8)  # what fast attention needs on a GPU
    lesson = {}
    for name, filling in (("ids", pad), ("positions", 0), ("branches", -1), ("reads", 0), ("labels", IGNORED)):
        filled = np.full((len(conversations), longest), filling)
        for row, one in enumerate(conversations):
            filled[row, : len(one.ids)] = getattr(one, name)
        lesson[name] = torch.tensor(filled)
    for name in ("asks", "values", "compared", "worths", "parts"):
        rows = [np.insert(getattr(one, name), 0, row, axis=1) for row, one in enumerate(conversations)]
        lesson[name] = torch.tensor(np.concatenate(rows), dtype=torch.float32)
    return lesson


class NumberEmbedding(nn.Module):
    """Token embeddings in which those of numbers and clock times are a learnt linear function of fixed features."""

    features: torch.Tensor

    def __init__(self, tokens: int, width: int, numbers: np.ndarray, features: np.ndarray) -> None:
        """Take the sizes of the table; the tokens of numbers, int[numbers]; and float32[numbers, features]."""
        super().__init__()
        # Each embedding begins with a 1 in the first place, which lets the first layers attend to near tokens.
        self.words = nn.Parameter(0.5 * torch.randn(tokens, width).index_fill(1, torch.tensor(0), 2.0))
        self.map = nn.Parameter(0.2 * torch.randn(features.shape[1], width).index_fill(1, torch.tensor(0), 0.0))
        with torch.no_grad():
            self.words[numbers] *= 0.0
            self.words[numbers, 0] = 1.0
        known = torch.zeros(tokens, features.shape[1])
        known[numbers] = torch.tensor(features)
        self.register_buffer("features", known, persistent=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of tokens: int[...] -> float[..., width]."""
        with torch.autocast(ids.device.type, enabled=False):  # near numbers differ by less than bfloat16 has digits for
            return functional.embedding(ids, self.words + self.features @ self.map)


class Reader(nn.Module):
    """A causal language model with auxiliary heads. The loss is the sum of the answers' and the heads' losses."""

    options: torch.Tensor

    def __init__(self, model: Any, embedding: NumberEmbedding, options: Sequence[int]) -> None:
        """Take a model, its embeddings, and the tokens of the options' numbers."""
        super().__init__()
        self.model, self.embedding = model, embedding
        self.register_buffer("options", torch.tensor(list(options)), persistent=False)
        width = model.config.hidden_size
        self.read = nn.Linear(width, 1)
        self.compare = nn.Linear(width, 3 * PAIRS.shape[1])
        self.differ = nn.Linear(width, OPTIONS)
        self.worth = nn.Linear(width, 1)
        self.part = nn.Linear(width, OPTIONS)
        self.sum = nn.Linear(width, OPTIONS)

    def forward(self, lessons: Sequence[Lesson]) -> dict[str, torch.Tensor]:
        """Return the loss of a step's lessons, and its parts: means over the step, however it is split into lessons."""
        parts = mean_losses([self.read_lesson(lesson)[1] for lesson in lessons])
        return {
            "loss": torch.stack(list(parts.values())).sum(),
            **{name: part.detach() for name, part in parts.items()},
        }

    def read_lesson(self, lesson: Lesson) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the probabilities of the options at each set, float[sets of all conversations, 3], and the losses.

        Each loss is a cross-entropy in nats, or a squared error. ``answers`` is the cross-entropy of the
        option's number among the three; ``said`` that of the tokens of the last answer, in which any option's number is
        right; ``compare`` that of the head that says which of two numbers is larger. ``read``, ``differ``, ``worth``,
        ``parts`` and ``sum`` are squared errors of heads.
        """
        states = self._states(lesson)
        with torch.autocast(states[0].device.type, enabled=False):
            return self._losses(states, lesson)

    def _losses(self, states: list[torch.Tensor], lesson: Lesson) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        values, compared, worths, parts, asks = (
            lesson[name] for name in ("values", "compared", "worths", "parts", "asks")
        )
        log_probs = self._logits(states, lesson).log_softmax(dim=-1)
        of_numbers = _at(states[COMPARE], compared)
        pairs = self.compare(of_numbers).unflatten(-1, (-1, 3)).flatten(0, 1)
        first, second = PAIRS
        differences = compared[:, 2:][:, first] - compared[:, 2:][:, second]
        larger = (differences > SAME).long() - (differences < -SAME).long() + 1
        losses = {
            "answers": -(asks[:, 2 : 2 + OPTIONS] * log_probs).sum(-1),
            "said": self._said(states[-1], lesson["labels"]),
            "read": (self.read(_at(states[READ], values)) - values[:, 2:]).square(),
            "compare": functional.cross_entropy(pairs, larger.flatten(), reduction="none"),
            "differ": (self.differ(of_numbers) - compared[:, 2:]).square(),
            "worth": (self.worth(_at(states[WORTH], worths)) - worths[:, 2:]).square(),
            "parts": (self.part(_at(states[PARTS], parts)) - parts[:, 2:]).square(),
            "sum": (self.sum(_at(states[-1], asks)) - asks[:, 2 + OPTIONS :]).square(),
        }
        return log_probs.exp(), losses

    def language_model(self) -> Any:
        """Return the model as it is saved, with the embeddings of `NumberEmbedding` in its own table."""
        with torch.no_grad():
            self.model.model.embed_tokens.weight.copy_(
                self.embedding(torch.arange(len(self.embedding.words), device=self.options.device))
            )
        return self.model

    def _states(self, lesson: Lesson) -> list[torch.Tensor]:
        out = self.model.model(
            inputs_embeds=self.embedding(lesson["ids"]),
            position_ids=lesson["positions"],
            attention_mask=_sees(lesson)[:, None],
            use_cache=False,
            output_hidden_states=True,
        )
        return [state.float() for state in (*out.hidden_states[:-1], out.last_hidden_state)]

    def _logits(self, states: list[torch.Tensor], lesson: Lesson) -> torch.Tensor:
        return functional.linear(_at(states[-1], lesson["asks"]), self.model.lm_head.weight[self.options])

    def _said(self, states: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        written = labels != IGNORED
        logits, wanted = self.model.lm_head(states[written]), labels[written]
        of_options = logits[:, self.options].logsumexp(-1)
        names_option = torch.isin(wanted, self.options)
        right = torch.where(names_option, of_options, logits.gather(-1, wanted[:, None])[:, 0])
        return logits.logsumexp(-1) - right


def _sees(lesson: Lesson) -> torch.Tensor:
    """Return what each token attends to, bool[conversations, tokens, tokens]: earlier tokens of its own question or of
    the finished rounds, and the finished rounds that its question continues.
    """
    branches, places = lesson["branches"], torch.arange(lesson["ids"].shape[1], device=lesson["ids"].device)
    own = (branches[:, :, None] == branches[:, None]) & (places[:, None] >= places)
    return own | (places < lesson["reads"][:, :, None])


def _at(states: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return the states at the tokens of some rows: float[conversations, tokens, width], float[rows, columns] ->
    float[rows, width]."""
    return states[rows[:, 0].long(), rows[:, 1].long()]


def mean_losses(lessons: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return the mean of each loss, float[...], over all lessons; 0 where there is nothing to learn, as in a catalogue
    without numbers.

    >>> mean_losses([{"read": torch.tensor([1.0, 2.0])}, {"read": torch.tensor([6.0])}])
    {'read': tensor(3.)}
    """
    found = {}
    for name in lessons[0]:
        total = torch.stack([one[name].sum() for one in lessons]).sum()
        found[name] = total / max(1, sum(one[name].numel() for one in lessons))
    return found
