"""Validation during training: agreement with the exact answer, and KL from it, on questions that are not taught."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from beliefbench.domain import Domain
from beliefbench.errors import UsageError
from beliefbench.language.local.architectures import Scorer, scorer_of
from beliefbench.language.local.chat_format import ChatFormat
from beliefbench.language.replies.alternatives import options_of
from beliefbench.plugins.names import load_domain
from beliefbench.scoring import metrics
from beliefbench.teaching.interactions import Lesson, TeachingTask, validation_batch
from beliefbench.teaching.reading import about
from beliefbench.teaching.records import asked

SETS = 5
"""Held-out sets asked at each stage."""


@dataclass(frozen=True)
class Validation:
    """Questions that are never taught, and the exact assistant's answers to them.

    ``held_out`` is True if their users are never taught either. Otherwise they are taught users with other options.
    """

    course: TeachingTask
    lesson: Lesson
    held_out: bool

    @classmethod
    def of(cls, data: Path, users: int) -> Validation:
        """Return the examination for a data file that has a record of how it was made.

        Raises
        ------
        UsageError
            If there is no such record.
        """
        if not data.is_file():
            raise UsageError(f"'{data}' is not a file; name a file of teaching data.")
        told = about(data)
        try:
            taught = told["users"]
            course = TeachingTask(
                _domain_of(data, told["domain"]["name"]),
                "posterior",
                users=taught if isinstance(taught, int) else len(taught),
                interactions=told["interactions"],
                rounds=told["rounds"],
                quiz=SETS,
                seed=told["seed"],
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise UsageError(
                f"nothing beside '{data}' says which users it teaches, so no user is known to be new; give "
                "--validate 0, or make the data with `beliefbench teach data`."
            ) from error
        lesson, held_out = validation_batch(course, users)
        return cls(course, lesson, held_out)

    def measure(self, model: Any, speech: ChatFormat) -> dict[str, float]:
        """Return a model's agreement (a share) and kl_exact (nats per answer), as means over all stages and
        questions."""
        with _scorer(model, speech) as scorer:
            probs = self._probs(scorer)
        exact = np.asarray(self.lesson.probs)[:, :, :SETS]
        choice = probs.argmax(axis=-1)
        found = {name: getattr(metrics, name)(probs, choice, choice, exact) for name in ("agreement", "kl_exact")}
        return {name: float(np.mean(values)) for name, values in found.items()}

    def _probs(self, scorer: Scorer) -> np.ndarray:
        """Return a model's answers, float64[users, stages, sets, 3]."""
        sentences = options_of(self.course.domain.item).sentences
        shape = (len(self.lesson.users), self.course.rounds + 1, SETS)
        probs = np.empty((*shape, len(sentences)))
        for user in range(shape[0]):
            for stage in range(shape[1]):
                dialogue = asked(self.course, self.lesson, user, stage)
                quiz = replace(dialogue, questions=dialogue.questions[:SETS])
                log_probs = scorer.score([quiz], sentences).log_probs[0]
                weights = np.exp(log_probs - log_probs.max(axis=-1, keepdims=True))
                probs[user, stage] = weights / weights.sum(axis=-1, keepdims=True)
        return probs


def _domain_of(data: Path, name: str) -> Domain:
    try:
        return load_domain(name)
    except UsageError as error:
        raise UsageError(
            f"'{data}' was made on '{name}', and {error} Give --plugins with its folder, or --validate 0."
        ) from error


@contextmanager
def _scorer(model: Any, speech: ChatFormat) -> Iterator[Scorer]:
    """Yield a scorer of a model in training; afterwards the model is in its previous state.

    The scorer computes in the weights' own type, without the wrappers that a training puts around the forward pass.
    """
    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    wrapped, own = model.__dict__.pop("forward", None), model.config._attn_implementation
    try:
        yield scorer_of(model, speech)
    finally:
        model.set_attn_implementation(own)
        if wrapped is not None:
            model.forward = wrapped
