"""Hugging Face's Trainer with our targets: batches, the loss, and progress reports."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import extract_model_from_parallel
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback

from beliefbench.errors import BeliefBenchError
from beliefbench.teaching.targets import TokenizedConversation


@dataclass(frozen=True)
class Progress:
    """The progress of a training: steps done and in all; the mean loss of the latest steps, in nats per token; and the
    validation results, if there are new ones. Of reinforcement learning: the mean reward of the step.
    """

    step: int
    steps: int
    loss: float | None
    validation: dict[str, float] | None = None
    reward: float | None = None


def require_finite(model: torch.nn.Module, out: Path) -> None:
    """Raise `BeliefBenchError` if a weight of a taught model is not a number."""
    if any(not bool(torch.isfinite(weight).all()) for weight in model.parameters()):
        raise not_finite("weights are", out)


def not_finite(what: str, out: Path) -> BeliefBenchError:
    """Return the error of a training that came to no numbers."""
    return BeliefBenchError(
        f"the training ended, because its {what} not finite numbers: the learning rate is too large, or the data hold "
        f"such numbers; change that, and remove '{out}' to begin again."
    )


class WholeBatchLoss:
    """A mixin of trainers: the loss is the mean over the items of a step's whole batch, over all processes, however
    many conversations are in memory at the same time.
    """

    loss_is_scaled_for_ga: bool | None = True
    accelerator: Any

    def items(self, batch: dict[str, Any]) -> torch.Tensor:
        """Return the number of items of a batch in memory over which `compute_loss` takes the mean."""
        raise NotImplementedError

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        """Return the batches of a step, and the number of items of all of them, over all processes."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)  # type: ignore[misc]
        own = sum(self.items(batch).to(device) for batch in batches)
        return batches, self.accelerator.reduce(own, "sum")

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return a batch's share of the loss of the whole batch; without ``num_items_in_batch``, its own loss."""
        share = 1.0
        if num_items_in_batch is not None:  # gradients are then averaged over processes
            share = self.items(inputs) / num_items_in_batch * self.accelerator.num_processes
        found = super().compute_loss(model, inputs, return_outputs)  # type: ignore[misc]
        return (found[0] * share, found[1]) if return_outputs else found * share


def cross_entropy(model: Any, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, Any]:
    """Return the mean cross-entropy, in nats, of the targets in a batch as `collate` makes it, hard ones and
    distributions alike; and the model's outputs.
    """
    places, tokens, probs = (batch[name] for name in ("places", "target_tokens", "target_probs"))
    read, at = torch.unique(places, return_inverse=True)  # logits of no other place are worked out
    # No mask: the model is causal, and what a row is filled up with is after all of its targets.
    seen = {"input_ids": batch["input_ids"]}
    if _cuts_logits(model):
        seen["logits_to_keep"] = read
    else:
        at = places
    outputs = model(**seen, use_cache=False)
    rows = torch.arange(len(places), device=places.device)[:, None]
    log_probs = torch.log_softmax(outputs.logits[rows, at].float(), dim=-1)
    return -(probs * log_probs.gather(-1, tokens)).sum() / probs.sum(), outputs


def _cuts_logits(model: Any) -> bool:
    """Return True if a model computes logits of chosen places only, on request; others may ignore the request."""
    inner = extract_model_from_parallel(model)
    inner = inner.get_base_model() if hasattr(inner, "get_base_model") else inner
    return "logits_to_keep" in signature(type(inner).forward).parameters


class _CrossEntropyTrainer(Trainer):
    """Hugging Face's Trainer with the loss of one batch in memory."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = cross_entropy(model, inputs)
        return (loss, outputs) if return_outputs else loss


class TargetTrainer(WholeBatchLoss, _CrossEntropyTrainer):
    """The mean cross-entropy, in nats, of the targets in the whole batch."""

    def items(self, batch: dict[str, Any]) -> torch.Tensor:
        return batch["target_probs"].sum()


def collate(rows: Sequence[TokenizedConversation]) -> dict[str, torch.Tensor]:
    """Return a batch: input_ids int[rows, tokens]; places int[rows, targets], the position of the token before each
    target; target_tokens int[rows, targets, answers] and target_probs float of the same shape; all padded with 0 at the
    end.

    >>> from beliefbench.teaching.targets import Target
    >>> batch = collate([
    ...     TokenizedConversation((5, 6, 7), (Target(2, (7, 8), (0.75, 0.25)),)),
    ...     TokenizedConversation((5, 9), (Target(1, (9,), (1.0,)),)),
    ... ])
    >>> batch["input_ids"].tolist(), batch["places"].tolist()
    ([[5, 6, 7], [5, 9, 0]], [[1], [0]])
    >>> batch["target_probs"].tolist()
    [[[0.75, 0.25]], [[1.0, 0.0]]]
    """
    width, most = max(len(row.tokens) for row in rows), max(len(row.targets) for row in rows)
    kinds = max(len(target.tokens) for row in rows for target in row.targets)
    ids = np.zeros((len(rows), width), np.int64)
    places = np.zeros((len(rows), most), np.int64)
    tokens = np.zeros((len(rows), most, kinds), np.int64)
    probs = np.zeros((len(rows), most, kinds), np.float32)
    for number, row in enumerate(rows):
        ids[number, : len(row.tokens)] = row.tokens
        places[number, : len(row.targets)] = [target.at - 1 for target in row.targets]
        for place, target in enumerate(row.targets):
            tokens[number, place, : len(target.tokens)] = target.tokens
            probs[number, place, : len(target.probs)] = target.probs
    named = {"input_ids": ids, "places": places, "target_tokens": tokens, "target_probs": probs}
    return {name: torch.from_numpy(value) for name, value in named.items()}


class Rows(Dataset):
    """Conversations by number, as the Trainer needs them."""

    def __init__(self, lines: Sequence[TokenizedConversation]) -> None:
        self.lines = lines

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, number: int) -> TokenizedConversation:
        return self.lines[number]


class ProgressCallback(TrainerCallback):
    """Reports each step, and validates when the state is saved; the validation results go to a file, one per line."""

    def __init__(
        self, file: Path, measure: Callable[[Any], dict[str, float]] | None, on_progress: Callable[[Progress], None]
    ) -> None:
        self.file, self.measure, self.on_progress = file, measure, on_progress

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            raise not_finite(f"loss in step {state.global_step} and others are", self.file.parent)
        if state.is_world_process_zero and "loss" in (logs or {}):
            self.on_progress(Progress(state.global_step, state.max_steps, float(logs["loss"])))

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **more: Any) -> None:
        if not state.global_step:
            self.file.unlink(missing_ok=True)
            self._validate(state, model)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **more: Any) -> None:
        if state.global_step % args.save_steps == 0 or state.global_step == state.max_steps:
            self._validate(state, model)

    def _validate(self, state: Any, model: Any) -> None:
        if self.measure is None or not state.is_world_process_zero:
            return
        model.eval()
        found = {"step": state.global_step, **self.measure(model)}
        model.train()
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(found) + "\n")
        self.on_progress(Progress(state.global_step, state.max_steps, None, found))
