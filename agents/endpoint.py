"""A language model on an OpenAI-compatible server as the assistant: vLLM, llama.cpp, Ollama, or a hosted API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from beliefbench import Domain, UsageError
from beliefbench.agent import Cost
from beliefbench.language.alternatives import Alternatives
from beliefbench.language.answers_cache import AnswersCache
from beliefbench.language.assistant import Assistant, Responses
from beliefbench.language.budget import process_budget
from beliefbench.language.completions import TOP_LOGPROBS, Reply, Request, chat, decision
from beliefbench.language.conversations import PromptStyle
from beliefbench.language.dialogue import Dialogue, Message
from beliefbench.language.endpoint import ChatServer
from beliefbench.language.option_probs import OptionProbs, option_probabilities
from beliefbench.language.settings import number

CHARACTERS_PER_TOKEN = 4  # of English, about
SMOOTHING = 0.5  # added to each count of samples: Jeffreys' prior, so that no alternative is ever impossible


@dataclass(frozen=True)
class ProbabilityMethod:
    """One way to get probabilities from a server, and its requests.

    ``read`` computes an answer from the replies to a question and its alternatives; None if they name none.
    """

    note: str
    read: Callable[[Sequence[Reply], Alternatives], OptionProbs | None]
    temperature: float = 0.0
    answer_tokens: int = 32
    samples: int = 1


@dataclass(frozen=True)
class ServedModel:
    """A model on a server, and the way in which it is asked."""

    model: str
    revision: str | None
    server: ChatServer
    probabilities: str
    way: ProbabilityMethod

    @property
    def probabilistic(self) -> bool:
        return self.probabilities != "none"

    @property
    def users_per_call(self) -> int:
        return self.server.workers  # enough that few workers wait for the last answers of a call

    @property
    def note(self) -> str:
        return self.way.note

    def identity(self) -> Mapping[str, Any]:
        return {
            "model": self.model,
            "revision": self.revision,
            "probabilities": self.probabilities,
            "samples": self.way.samples,
            "temperature": self.way.temperature,
            "answer_tokens": self.way.answer_tokens,
            "words": "1",
        }

    def ask(self, dialogues: Sequence[Dialogue], alternatives: Alternatives) -> Responses:
        samples, shape = self.way.samples, (len(dialogues), len(dialogues[0].questions))
        flat = self.server.ask(self.requests(dialogues, alternatives))
        replies = [flat[at : at + samples] for at in range(0, len(flat), samples)]  # those to each question
        weighed = [self.way.read(of_one, alternatives) for of_one in replies]
        nothing = np.full(len(alternatives.labels), np.nan)
        tokens = [one.tokens for one in flat]
        return Responses(
            np.array([nothing if one is None else one.probs for one in weighed]).reshape(*shape, -1),
            tokens=None if None in tokens else np.array(tokens).reshape(*shape, samples).sum(axis=-1),
            text=np.array(["\n".join(one.text for one in of_one) for of_one in replies], dtype=object).reshape(shape),
            seconds=np.array([one.seconds for one in flat]).reshape(*shape, samples).sum(axis=-1),
            bounded=np.array([one is not None and one.bounded for one in weighed]).reshape(shape)
            if self.probabilities == "logprobs"
            else None,
        )

    def cost(self, dialogues: Sequence[Dialogue], alternatives: Alternatives) -> Cost:
        """Return the estimated cost of `ask`, with four characters per token and one second per request."""
        requests = self.requests(dialogues, alternatives)
        read = sum(one.characters // CHARACTERS_PER_TOKEN for one in requests)
        written = sum(one.answer_tokens for one in requests)
        return Cost(len(requests), read + written, len(requests) / self.server.workers, written)

    def requests(self, dialogues: Sequence[Dialogue], alternatives: Alternatives) -> list[Request]:
        """Return the requests for all questions, with the samples of a question one after the other."""
        # Only the last question asks for numbers: the answers before it are the paper's sentences.
        ending = {"stated": alternatives.in_json, "decision": ""}.get(self.probabilities, alternatives.in_words)
        return [
            one
            for dialogue in dialogues
            for question in dialogue.questions
            for one in self._requests(dialogue.messages(question + ending), alternatives)
        ]

    def _requests(self, messages: list[Message], alternatives: Alternatives) -> list[Request]:
        if self.probabilities == "decision":
            asked = decision(messages, alternatives.question, alternatives.labels)
            return [Request("decision", self.model, self.revision, asked)]
        asked = chat(messages, temperature=self.way.temperature, answer_tokens=self.way.answer_tokens)
        if self.probabilities == "logprobs":
            asked |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        return [Request("chat", self.model, self.revision, asked, sample) for sample in range(self.way.samples)]


def endpoint(
    domain: Domain,
    model: str,
    *,
    probabilities: str = "logprobs",
    n: str | None = None,
    temperature: str | None = None,
    answer_tokens: str | None = None,
    revision: str | None = None,
    workers: str | None = None,
    timeout: str | None = None,
    max_requests: str | None = None,
    max_tokens: str | None = None,
    cache: str | None = None,
    history: str = "interactive",
    show: str = "words",
    given: str = "nothing",
    think: str = "no",
    form: str | None = None,
    beliefs: str = "no",
) -> Assistant:
    """``endpoint:MODEL[,key=value...]``: a model on the server $OPENAI_BASE_URL, with the key $OPENAI_API_KEY if it
    needs one.

    probabilities=logprobs: from the tokens that name an option; =samples: shares among n=8 answers at temperature 1,
    with 1/2 added to each count; =stated: the model writes them as JSON; =decision: from the decisions of transformers
    serve; =none: the model only chooses. temperature and answer_tokens (the maximum length of an answer) have defaults
    for each of these. revision tells models with the same name apart; servers do not report it reliably.

    Other ways of asking (`beliefbench.language.conversations.PromptStyle`): think=yes, history=whole, show=numbers,
    given=preferences|posterior, beliefs=yes|only. The question says the form of the answer; form=paper leaves the
    paper's words as they are.

    workers=8 questions run at the same time, each try for at most timeout=120 seconds. Answers are stored in the folder
    cache (default: the user's cache folder), and no question is asked twice. max_requests and max_tokens limit what one
    process may spend.
    """
    written = probabilities in ("logprobs", "samples", "none")
    asking = PromptStyle.of(written, form, history=history, show=show, given=given, think=think, beliefs=beliefs)
    longest = 512 if think == "yes" else 32
    ways = {
        "logprobs": ProbabilityMethod("logprobs", _read_logprobs, answer_tokens=longest),
        "samples": ProbabilityMethod("samples", _read_samples, temperature=1.0, answer_tokens=longest, samples=8),
        "stated": ProbabilityMethod("stated", _read_stated, answer_tokens=128),
        "decision": ProbabilityMethod("decision", _read_stated, answer_tokens=0),
        "none": ProbabilityMethod("only chooses", _read_choice, answer_tokens=longest),
    }
    if probabilities not in ways:
        raise UsageError(f"probabilities={probabilities} is not known; use {', '.join(ways)}.")
    if n is not None and probabilities != "samples":
        raise UsageError(f"n={n} is the number of samples; it needs probabilities=samples.")
    if probabilities == "decision" and (temperature is not None or answer_tokens is not None):
        raise UsageError("with probabilities=decision nothing is written: leave temperature and answer_tokens out.")
    if think == "yes" and probabilities in ("stated", "decision"):
        raise UsageError(f"think=yes does not work with probabilities={probabilities}; use logprobs, samples or none.")
    way = ways[probabilities]
    way = replace(
        way,
        temperature=number(float, "temperature", temperature, least=0, otherwise=way.temperature),
        answer_tokens=number(int, "answer_tokens", answer_tokens, least=1, otherwise=way.answer_tokens),
        samples=number(int, "n", n, least=1, otherwise=way.samples),
    )
    if probabilities == "samples":
        way = replace(way, note=f"{way.samples} samples")
    server = ChatServer(
        AnswersCache(Path(cache).expanduser() if cache else None),
        process_budget(
            number(int, "max_requests", max_requests, least=0, otherwise=None),
            number(int, "max_tokens", max_tokens, least=0, otherwise=None),
        ),
        workers=number(int, "workers", workers, least=1, otherwise=8),
        timeout=number(float, "timeout", timeout, least=0.001, otherwise=120.0),
    )
    return Assistant(f"endpoint:{model}", "2", domain, ServedModel(model, revision, server, probabilities, way), asking)


def _read_logprobs(replies: Sequence[Reply], alternatives: Alternatives) -> OptionProbs | None:
    (reply,) = replies
    return option_probabilities(reply.text, alternatives, reply.places or [])


def _read_samples(replies: Sequence[Reply], alternatives: Alternatives) -> OptionProbs | None:
    named = [number for number in (alternatives.named(reply.text) for reply in replies) if number >= 0]
    counts = np.bincount(named, minlength=len(alternatives.labels)) + SMOOTHING
    return OptionProbs(counts / counts.sum()) if named else None


def _read_stated(replies: Sequence[Reply], alternatives: Alternatives) -> OptionProbs | None:
    (reply,) = replies
    stated = alternatives.stated(reply.text)
    return None if stated is None else OptionProbs(stated)


def _read_choice(replies: Sequence[Reply], alternatives: Alternatives) -> OptionProbs | None:
    (reply,) = replies
    chosen = alternatives.chosen(reply.text)
    return None if chosen is None else OptionProbs(chosen)
