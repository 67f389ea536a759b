"""The reader with its auxiliary heads: linear heads on hidden layers during training; they are removed afterwards.

As in `beliefbench.students.auxiliary_heads`, each head trains a layer on one step towards the answer. These steps exist
in any domain: how a value compares with those of the other options (`COMPARE`); which option the user chose, and what
the choice says (`TELL`); the reward of a value (`ADD`); the reward of an option (`SUM`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from beliefbench.domain import OPTIONS
from beliefbench.students.reader.conversations import IGNORED, MAX_LINES, OTHER, AnnotatedConversation

COMPARE, TELL, ADD, SUM = 2, 3, 4, 5
"""The layers whose heads are trained on each step."""

Lesson = dict[str, torch.Tensor]
"""Conversations as tensors, from `lesson_of`."""


def lesson_of(conversations: Sequence[AnnotatedConversation], pad: int) -> Lesson:
    """Return conversations as tensors.

    ``ids`` and ``labels`` are int[conversations, tokens], padded with ``pad`` and -100. The other tensors are float32
    and have the rows of all conversations (`AnnotatedConversation`), each row after the index of its conversation.
    """
    longest = max(len(one.ids) for one in conversations)
    ids = np.full((len(conversations), longest), pad)
    labels = np.full(ids.shape, IGNORED)
    for row, one in enumerate(conversations):
        ids[row, : len(one.ids)] = one.ids
        labels[row, : len(one.ids)] = one.labels
    lesson = {"ids": torch.tensor(ids), "labels": torch.tensor(labels)}
    for name in ("asks", "values", "ends", "restated", "told"):
        rows = [np.insert(getattr(one, name), 0, row, axis=1) for row, one in enumerate(conversations)]
        lesson[name] = torch.tensor(np.concatenate(rows), dtype=torch.float32)
    return lesson


class NumberEmbedding(nn.Module):
    """Token embeddings in which those of numbers and clock times are a learnt linear function of fixed features."""

    features: torch.Tensor
    numbers: torch.Tensor

    def __init__(self, tokens: int, width: int, numbers: np.ndarray, features: np.ndarray) -> None:
        """Take the sizes of the table; the tokens of numbers, int[numbers]; and float32[numbers, features]."""
        super().__init__()
        self.words = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.map = nn.Parameter(0.02 * torch.randn(features.shape[1], width))
        self.register_buffer("features", torch.tensor(features), persistent=False)
        self.register_buffer("numbers", torch.tensor(numbers), persistent=False)

    def table(self) -> torch.Tensor:
        """Return all embeddings, float[tokens, width]."""
        return self.words.index_copy(0, self.numbers, self.features @ self.map)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of tokens: int[...] -> float[..., width]."""
        return functional.embedding(ids, self.table())


class Reader(nn.Module):
    """A causal language model with auxiliary heads. The loss is the sum of the answers' and the heads' losses."""

    options: torch.Tensor

    def __init__(self, model: Any, embedding: NumberEmbedding, options: Sequence[int]) -> None:
        """Take a model, its embeddings, and the tokens of the options' numbers."""
        super().__init__()
        self.model, self.embedding = model, embedding
        self.register_buffer("options", torch.tensor(list(options)), persistent=False)
        width = model.config.hidden_size
        self.compare = nn.Linear(width, 2 * (OTHER + 1))
        self.tell = nn.Linear(width, OPTIONS + 2 * MAX_LINES)
        self.like = nn.Linear(width, 1)
        self.add = nn.Linear(width, 1)
        self.sum = nn.Linear(width, 1)

    def forward(self, lessons: Sequence[Lesson]) -> dict[str, torch.Tensor]:
        """Return the loss of a step's lessons, and its parts: means over the lessons."""
        losses = [self.losses(lesson) for lesson in lessons]
        parts = {name: torch.stack([one[name] for one in losses]).mean() for name in losses[0]}
        return {
            "loss": torch.stack(list(parts.values())).sum(),
            **{name: part.detach() for name, part in parts.items()},
        }

    def losses(self, lesson: Lesson) -> dict[str, torch.Tensor]:
        """Return the losses of a lesson, each a scalar: cross-entropies in nats, or mean squared errors.

        ``answers`` is the cross-entropy of the option's number, ``said`` that of the other tokens of the answers, and
        ``compare`` and ``chosen`` are those of heads. ``like`` (values of the repeated option), ``tell``, ``add`` and
        ``sum`` are mean squared errors of heads.
        """
        states = self._states(lesson["ids"])
        values, ends, restated, told = (lesson[name] for name in ("values", "ends", "restated", "told"))
        logits = self._logits(states, lesson)
        log_probs = logits[:, self.options] - logits.logsumexp(-1, keepdim=True)
        written = lesson["labels"] != IGNORED
        compared = self.compare(_at(states[COMPARE], values)).unflatten(-1, (2, -1)).flatten(0, 1)
        of_option, of_lines = self.tell(_at(states[TELL], told)).split([OPTIONS, 2 * MAX_LINES], dim=-1)
        asked = ~told[:, 3:].isnan()
        return {
            "answers": -(lesson["asks"][:, 2:] * log_probs).sum(-1).mean(),
            "said": functional.cross_entropy(self.model.lm_head(states[-1][written]), lesson["labels"][written]),
            "compare": functional.cross_entropy(compared, values[:, 4:6].flatten().long(), ignore_index=IGNORED),
            "add": functional.mse_loss(self.add(_at(states[ADD], values)).squeeze(-1), values[:, 6]),
            "sum": functional.mse_loss(self.sum(_at(states[SUM], ends)).squeeze(-1), ends[:, 2]),
            "like": functional.mse_loss(self.like(_at(states[COMPARE], restated)).squeeze(-1), restated[:, 2]),
            "chosen": functional.cross_entropy(of_option, told[:, 2].long()),
            "tell": _mean_squared_error(of_lines[asked], told[:, 3:][asked]),
        }

    def predict(self, lesson: Lesson) -> torch.Tensor:
        """Return the probabilities of the options at each set, float[sets of all conversations, 3]."""
        return self._logits(self._states(lesson["ids"]), lesson)[:, self.options].softmax(dim=-1)

    def language_model(self) -> Any:
        """Return the model as it is saved, with the embeddings of `NumberEmbedding` in its own table."""
        with torch.no_grad():
            self.model.model.embed_tokens.weight.copy_(self.embedding.table())
        return self.model

    def _states(self, ids: torch.Tensor) -> list[torch.Tensor]:
        # Padding needs no mask: it is at the end, and no token attends to later tokens.
        out = self.model.model(inputs_embeds=self.embedding(ids), use_cache=False, output_hidden_states=True)
        return [*out.hidden_states[:-1], out.last_hidden_state]

    def _logits(self, states: list[torch.Tensor], lesson: Lesson) -> torch.Tensor:
        return self.model.lm_head(_at(states[-1], lesson["asks"]))


def _at(states: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return the states at the tokens of some rows: float[conversations, tokens, width], float[rows, columns] ->
    float[rows, width]."""
    return states[rows[:, 0].long(), rows[:, 1].long()]


def _mean_squared_error(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error, and 0 where nothing is wanted: a catalogue may have no ordered line."""
    return functional.mse_loss(found, wanted) if len(wanted) else found.sum()
