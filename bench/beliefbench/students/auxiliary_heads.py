"""Auxiliary heads: linear heads on a student's hidden layers during training; they are removed afterwards.

An answer takes several steps: read an option; find the chosen one among the three; combine the rounds; evaluate the new
options. If a small model must find all steps from the answers alone, it stays at chance for long. So a linear head on
each hidden layer is trained on one step: first what was read, then what the teacher believes. Cross-entropies are in
nats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from beliefbench.domain import OPTIONS, Domain
from beliefbench.exact.questionnaire import questionnaire_of
from beliefbench.students.interactions import Interactions
from beliefbench.students.token_writer import Tokens

READ, RECALL, POOL, WEIGH = 1, 2, 3, 4
"""The layers whose heads are trained on each step."""


@dataclass(frozen=True)
class Lesson:
    """The conversations and targets of a training step as tensors; the first axis is users."""

    ids: torch.Tensor
    asks: torch.Tensor
    questions: torch.Tensor
    ends: torch.Tensor
    answers: torch.Tensor
    levels: torch.Tensor
    values: torch.Tensor
    chosen: torch.Tensor
    beliefs: torch.Tensor
    told: torch.Tensor

    @classmethod
    def of(cls, interactions: Interactions, tokens: Tokens) -> Lesson:
        """Return the lesson of some interactions."""
        arrays = {name: getattr(tokens, name) for name in ("ids", "asks", "questions", "ends")}
        arrays |= {name: getattr(interactions, name) for name in ("answers", "levels", "chosen", "beliefs", "told")}
        arrays["values"] = interactions.options.astype(np.float32)
        return cls(**{name: torch.tensor(array) for name, array in arrays.items()})


class WithAuxiliaryHeads(nn.Module):
    """A causal language model with a head on each of its first four layers. The loss is the sum of the answers' and the
    heads' losses."""

    answers: torch.Tensor

    def __init__(self, model: Any, domain: Domain, answers: Sequence[int], end: int) -> None:
        """Take a model, the tokens of the answers that name options, and the token that ends an answer."""
        super().__init__()
        self.model, self.end = model, end
        self.register_buffer("answers", torch.tensor(answers), persistent=False)
        self.grids = [len(feature.grid) for feature in domain.features]
        self.levels = questionnaire_of(domain).levels
        features, width = len(self.grids), model.config.hidden_size
        self.read = nn.Linear(width, sum(self.grids) + OPTIONS)
        self.recall = nn.Linear(width, sum(self.grids) + features)
        self.told = nn.Linear(width, features * self.levels)
        self.believe = nn.Linear(width, features * self.levels)
        self.weigh = nn.Linear(width, 1)

    def forward(self, lesson: Lesson) -> dict[str, torch.Tensor]:
        """Return the loss, and its parts, of a lesson."""
        states, logits = self._run(lesson)
        parts = {"answers": _cross_entropy(logits[:, :, self.answers], lesson.answers, logits)}
        parts["ends"] = self._ends(states, lesson)
        parts |= self._hops(states, lesson)
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def predict(self, lesson: Lesson) -> torch.Tensor:
        """Return the probabilities of the options at each set, float[users, sets, 3]."""
        return torch.softmax(self._run(lesson)[1][:, :, self.answers], dim=-1)

    def _run(self, lesson: Lesson) -> tuple[Any, torch.Tensor]:
        out = self.model.model(input_ids=lesson.ids, use_cache=False, output_hidden_states=True)
        return out.hidden_states, self.model.lm_head(_at(out.last_hidden_state, lesson.asks)).float()

    def _ends(self, states: Any, lesson: Lesson) -> torch.Tensor:
        logits = self.model.lm_head(_at(states[-1], lesson.asks[:, :-1] + 1)).float().flatten(0, 1)
        return functional.cross_entropy(logits, torch.full((len(logits),), self.end, device=logits.device))

    def _hops(self, states: Any, lesson: Lesson) -> dict[str, torch.Tensor]:
        users, sets = lesson.chosen.shape
        features = len(self.grids)
        numbers = torch.arange(OPTIONS, device=lesson.ids.device).expand(users, sets, OPTIONS)
        read = self.read(_at(states[READ], lesson.ends)).float()
        *of_values, of_number = read.split([*self.grids, OPTIONS], dim=-1)
        reading = self._values(of_values, lesson.levels) + _hard(of_number, numbers)

        chosen = lesson.chosen[:, :-1, None, None].expand(-1, -1, 1, features)
        wanted = lesson.levels[:, :-1].gather(2, chosen).squeeze(2)
        # What the chosen option has more of than the three on average.
        ahead = (lesson.values[:, :-1].gather(2, chosen).squeeze(2) - lesson.values[:, :-1].mean(dim=2)) * 2.5
        after = _at(states[RECALL], lesson.questions[:, 1:])
        *of_wanted, of_ahead = self.recall(after).float().split([*self.grids, features], dim=-1)
        recalling = self._values(of_wanted, wanted) + functional.mse_loss(of_ahead, ahead)

        told = self.told(after).float().unflatten(-1, (features, self.levels))
        places = torch.cat([lesson.questions[..., None], lesson.ends, lesson.asks[..., None]], dim=-1)
        believed = self.believe(_at(states[POOL], places)).float().unflatten(-1, (features, self.levels))
        beliefs = lesson.beliefs[:, :, None].expand(believed.shape)
        scale = torch.arange(self.levels, device=lesson.ids.device) - (self.levels - 1) / 2
        worth = torch.einsum("usof,usf->uso", lesson.values, lesson.beliefs @ scale)
        weighed = self.weigh(_at(states[WEIGH], lesson.ends)).float().squeeze(-1)
        return {
            "read": reading,
            "recall": recalling,
            "told": _cross_entropy(told, lesson.told[:, :-1]),
            "beliefs": _cross_entropy(believed, beliefs),
            "worth": functional.mse_loss(weighed, worth),
        }

    def _values(self, logits: Sequence[torch.Tensor], levels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of a level for each feature; logits a tensor a feature, levels int[..., features]."""
        losses = [_hard(one, levels[..., feature]) for feature, one in enumerate(logits)]
        return torch.stack(losses).mean()


def _at(states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return the states at some places: float[users, tokens, width], int[users, ...] -> float[users, ..., width]."""
    users = torch.arange(len(places), device=places.device).view(-1, *[1] * (places.ndim - 1))
    return states[users, places]


def _hard(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits.flatten(0, -2), target.flatten())


def _cross_entropy(logits: torch.Tensor, target: torch.Tensor, among: torch.Tensor | None = None) -> torch.Tensor:
    """Return the mean cross-entropy of distributions along the last axis; ``among``: all logits that compete."""
    total = torch.logsumexp(logits if among is None else among, dim=-1, keepdim=True)
    return (target * (total - logits)).sum(dim=-1).mean()
