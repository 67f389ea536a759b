"""Teaching a reader hop by hop: a loss on the answers, and heads that ask lower layers for the steps towards them.

Each step exists in any domain: how a value compares with those of the other options (`COMPARE`), which option the user chose, how
much more of each line it has and what that tells (`TELL`), what a value adds to an option's reward (`ADD`), and the reward of an
option (`SUM`). The heads are linear, are asked of the states after these layers, and are not in what is saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from beliefbench.domain import OPTIONS
from beliefbench.students.reader.conversations import IGNORED, SLOTS, Places

COMPARE, TELL, ADD, SUM = 2, 3, 4, 5
"""The layers after which each step is asked for."""

Lesson = dict[str, torch.Tensor]
"""Conversations of about the same length as tensors: `lesson_of`."""


def lesson_of(conversations: Sequence[Places], pad: int) -> Lesson:
    """Return some conversations as tensors: ids int[conversations, tokens]; every other, a row a place, its conversation first."""
    longest = max(len(one.ids) for one in conversations)
    ids = np.full((len(conversations), longest), pad)
    said = np.full(ids.shape, IGNORED)
    for row, one in enumerate(conversations):
        ids[row, : len(one.ids)] = one.ids
        said[row, : len(one.ids)] = one.said
    lesson = {"ids": torch.tensor(ids), "said": torch.tensor(said)}
    for name in ("asks", "items", "ends", "told", "liked"):
        parts = [np.insert(getattr(one, name), 0, row, axis=1) for row, one in enumerate(conversations)]
        lesson[name] = torch.tensor(np.concatenate(parts), dtype=torch.float32)
    return lesson


class NumberEmbedding(nn.Module):
    """Token embeddings in which those of numbers and clock times are a learnt linear map of their features."""

    features: torch.Tensor
    numbers: torch.Tensor

    def __init__(self, tokens: int, width: int, numbers: np.ndarray, features: np.ndarray) -> None:
        super().__init__()
        self.words = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.map = nn.Parameter(0.02 * torch.randn(features.shape[1], width))
        self.register_buffer("features", torch.tensor(features), persistent=False)
        self.register_buffer("numbers", torch.tensor(numbers), persistent=False)

    def table(self) -> torch.Tensor:
        """Return all embeddings, float[tokens, width]."""
        return self.words.index_copy(0, self.numbers, self.features @ self.map)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return functional.embedding(ids, self.table())


class Reader(nn.Module):
    """A causal language model whose loss is that of the teacher's answers and of the steps towards them."""

    options: torch.Tensor

    def __init__(self, model: Any, embedding: NumberEmbedding, options: Sequence[int]) -> None:
        """Take a model, its embeddings, and the tokens of the options' numbers."""
        super().__init__()
        self.model, self.embedding = model, embedding
        self.register_buffer("options", torch.tensor(list(options)), persistent=False)
        width = model.config.hidden_size
        self.compare = nn.Linear(width, 2 * 4)
        self.tell = nn.Linear(width, OPTIONS + 2 * SLOTS)
        self.like = nn.Linear(width, 1)
        self.add = nn.Linear(width, 1)
        self.sum = nn.Linear(width, 1)

    def forward(self, lessons: Sequence[Lesson]) -> dict[str, torch.Tensor]:
        """Return the mean loss of some lessons, and its parts."""
        losses = [self.losses(lesson) for lesson in lessons]
        parts = {name: torch.stack([one[name] for one in losses]).mean() for name in losses[0]}
        return {
            "loss": torch.stack(list(parts.values())).sum(),
            **{name: part.detach() for name, part in parts.items()},
        }

    def losses(self, lesson: Lesson) -> dict[str, torch.Tensor]:
        """Return the losses of a lesson."""
        states = self._states(lesson["ids"])
        logits = self._logits(states, lesson)
        parts = {
            "answers": (lesson["asks"][:, 2:] * (logits.logsumexp(-1, True) - logits[:, self.options])).sum(-1).mean()
        }
        heard = lesson["said"] != IGNORED
        parts["said"] = functional.cross_entropy(self.model.lm_head(states[-1][heard]), lesson["said"][heard])
        items, ends, told = lesson["items"], lesson["ends"], lesson["told"]
        compared = self.compare(_at(states[COMPARE], items)).unflatten(-1, (2, 4)).flatten(0, 1)
        parts["compare"] = functional.cross_entropy(compared, items[:, 4:6].flatten().long(), ignore_index=IGNORED)
        parts["add"] = functional.mse_loss(self.add(_at(states[ADD], items)).squeeze(-1), items[:, 6])
        parts["sum"] = functional.mse_loss(self.sum(_at(states[SUM], ends)).squeeze(-1), ends[:, 2])
        found = self.tell(_at(states[TELL], told))
        wanted, asked = told[:, 3:], ~told[:, 3:].isnan()
        nothing = found.sum() * 0
        liked = lesson["liked"]
        ahead = self.like(_at(states[COMPARE], liked)).squeeze(-1)
        parts["like"] = functional.mse_loss(ahead, liked[:, 2]) if len(liked) else nothing
        parts["chosen"] = functional.cross_entropy(found[:, :OPTIONS], told[:, 2].long()) if len(told) else nothing
        parts["tell"] = functional.mse_loss(found[:, OPTIONS:][asked], wanted[asked]) if asked.any() else nothing
        return parts

    def predict(self, lesson: Lesson) -> torch.Tensor:
        """Return the probabilities of the options at each place that asks, float[asks, 3]."""
        return self._logits(self._states(lesson["ids"]), lesson)[:, self.options].softmax(dim=-1)

    def language_model(self) -> Any:
        """Return the model with its embeddings written in, as it is saved."""
        with torch.no_grad():
            self.model.model.embed_tokens.weight.copy_(self.embedding.table())
        return self.model

    def _states(self, ids: torch.Tensor) -> Any:
        # No padding mask: what stands behind a place is never attended to.
        out = self.model.model(inputs_embeds=self.embedding(ids), use_cache=False, output_hidden_states=True)
        return [*out.hidden_states[:-1], out.last_hidden_state]

    def _logits(self, states: Any, lesson: Lesson) -> torch.Tensor:
        return self.model.lm_head(_at(states[-1], lesson["asks"]))


def _at(states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return the states at places: float[conversations, tokens, width], float[places, 2 or more] -> float[places, width]."""
    return states[places[:, 0].long(), places[:, 1].long()]
