"""A language model behind an OpenAI-compatible server as the assistant: vLLM, llama.cpp, Ollama, or a hosted one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bench import Brief, Domain, Prediction, UsageError, break_ties
from bench.domain import OPTIONS
from bench.language import words
from bench.language.answers_cache import AnswersCache
from bench.language.asking import Asking, Conversations
from bench.language.budget import process_budget
from bench.language.completions import TOP_LOGPROBS, Reply, Request, chat, decision
from bench.language.dialogue import Message
from bench.language.endpoint import ChatServer
from bench.language.named import Weighed, named_probabilities
from bench.language.parsing import named_option, stated_probabilities

Number = TypeVar("Number", int, float)
Otherwise = TypeVar("Otherwise", int, float, None)
SMOOTHING = 0.5  # added to each option's count of samples: Jeffreys' prior, so that no option is ever impossible


@dataclass(frozen=True)
class Way:
    """One way to have probabilities from a server, and what is asked for it.

    ``read`` makes an answer of the replies to a question and the item word; None where they name no option.
    """

    note: str
    read: Callable[[Sequence[Reply], str], Weighed | None]
    temperature: float = 0.0
    answer_tokens: int = 32
    samples: int = 1


@dataclass(frozen=True)
class State:
    """The users' keys, for ties, and what they and the model said."""

    keys: Any
    talk: Conversations


class Endpoint:
    """It recommends the likeliest option, ties broken at random; -1 where no option can be read from what it wrote."""

    version = "1"
    privileged = False

    def __init__(
        self, domain: Domain, model: str, server: ChatServer, *, probabilities: str, way: Way, revision: str | None
    ) -> None:
        self.name, self.note, self.probabilistic = f"endpoint:{model}", way.note, probabilities != "none"
        self.users_per_call = server.workers  # enough that few workers wait for the last answers of a call
        self.bounded = 0
        """Answers so far in which an option's token was not among the likeliest, and got the most it could have."""
        self._domain, self._model, self._server = domain, model, server
        self._probabilities, self._way, self._revision = probabilities, way, revision

    def identity(self) -> Mapping[str, Any]:
        return {
            "model": self._model,
            "revision": self._revision,
            "probabilities": self._probabilities,
            "samples": self._way.samples,
            "temperature": self._way.temperature,
            "answer_tokens": self._way.answer_tokens,
            "words": "1",
        }

    def begin(self, brief: Brief, keys: Any, truth: None = None) -> State:
        return State(keys, Conversations.begin(self._domain, Asking(), len(keys)))

    def predict(self, state: State, options: np.ndarray) -> Prediction:
        shape, item, samples = options.shape[:2], self._domain.item, self._way.samples
        requests = [
            one
            for talk in state.talk.dialogues(options)
            for question in talk.questions
            for one in self._requests(talk.messages(self._asked(question)))
        ]
        flat = self._server.ask(requests)
        replies = [flat[at : at + samples] for at in range(0, len(flat), samples)]  # those to each question

        weighed = [self._way.read(of_one, item) for of_one in replies]
        self.bounded += sum(one is not None and one.bounded for one in weighed)
        given = np.array([one is not None for one in weighed]).reshape(shape)
        nothing = np.full(OPTIONS, np.nan)
        probs = np.array([nothing if one is None else one.probs for one in weighed]).reshape(*shape, OPTIONS)
        best = break_ties(np.where(given[..., None], probs, 0), state.keys, state.talk.chosen.shape[1])
        tokens = [one.tokens for one in flat]
        return Prediction(
            np.where(given, best, -1),
            probs if self.probabilistic else None,
            text=np.array(["\n".join(one.text for one in of_one) for of_one in replies], dtype=object).reshape(shape),
            tokens=None if None in tokens else np.array(tokens).reshape(*shape, samples).sum(axis=-1),
            seconds=np.array([one.seconds for one in flat]).reshape(*shape, samples).sum(axis=-1),
        )

    def observe(self, state: State, options: np.ndarray, recommended: np.ndarray, chosen: np.ndarray) -> State:
        return replace(state, talk=state.talk.observe(options, recommended, chosen))

    def _asked(self, question: str) -> str:
        # Only the last question asks for numbers: the answers before it are the paper's sentences.
        return question + words.state(self._domain.item) if self._probabilities == "stated" else question

    def _requests(self, messages: list[Message]) -> list[Request]:
        """Return what is sent for one question."""
        if self._probabilities == "decision":
            asked = decision(messages, self._domain.item, OPTIONS)
            return [Request("decision", self._model, self._revision, asked)]
        asked = chat(messages, temperature=self._way.temperature, answer_tokens=self._way.answer_tokens)
        if self._probabilities == "logprobs":
            asked |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        return [Request("chat", self._model, self._revision, asked, sample) for sample in range(self._way.samples)]


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
) -> Endpoint:
    """``endpoint:MODEL[,key=value...]``: a model behind $OPENAI_BASE_URL, with the key $OPENAI_API_KEY if it needs one.

    probabilities=logprobs: those of the tokens that name an option; =samples: shares of n=8 answers at temperature 1,
    each count raised by 1/2; =stated: those that the model writes as JSON; =decision: those of Transformers' own
    decisions; =none: it only chooses. temperature and answer_tokens (the most that an answer may have) follow from that
    unless given. revision tells apart models that servers give one name to; no server tells it reliably.

    workers=8 questions are under way at once, each try for at most timeout=120 seconds. Answers are kept in the folder
    cache (the user's cache folder), and nothing is asked twice; max_requests and max_tokens bound what one process may
    spend.
    """
    ways = {
        "logprobs": Way("logprobs", _read_logprobs),
        "samples": Way("samples", _read_samples, temperature=1.0, samples=8),
        "stated": Way("stated", _read_stated, answer_tokens=128),
        "decision": Way("decision", _read_stated, answer_tokens=0),
        "none": Way("only chooses", _read_choice),
    }
    if probabilities not in ways:
        raise UsageError(f"probabilities={probabilities} is not known; use {', '.join(ways)}.")
    if n is not None and probabilities != "samples":
        raise UsageError(f"n={n} is how many samples are drawn; it needs probabilities=samples.")
    if probabilities == "decision" and (temperature is not None or answer_tokens is not None):
        raise UsageError("with probabilities=decision nothing is written: leave temperature and answer_tokens out.")
    way = ways[probabilities]
    way = replace(
        way,
        temperature=_number(float, "temperature", temperature, least=0, otherwise=way.temperature),
        answer_tokens=_number(int, "answer_tokens", answer_tokens, least=1, otherwise=way.answer_tokens),
        samples=_number(int, "n", n, least=1, otherwise=way.samples),
    )
    if probabilities == "samples":
        way = replace(way, note=f"{way.samples} samples")
    server = ChatServer(
        AnswersCache(Path(cache).expanduser() if cache else None),
        process_budget(
            _number(int, "max_requests", max_requests, least=0, otherwise=None),
            _number(int, "max_tokens", max_tokens, least=0, otherwise=None),
        ),
        workers=_number(int, "workers", workers, least=1, otherwise=8),
        timeout=_number(float, "timeout", timeout, least=0.001, otherwise=120.0),
    )
    return Endpoint(domain, model, server, probabilities=probabilities, way=way, revision=revision)


def _read_logprobs(replies: Sequence[Reply], item: str) -> Weighed | None:
    (reply,) = replies
    return named_probabilities(reply.text, item, reply.places or [])


def _read_samples(replies: Sequence[Reply], item: str) -> Weighed | None:
    named = [option for option in (named_option(reply.text, item) for reply in replies) if option >= 0]
    counts = np.bincount(named, minlength=OPTIONS) + SMOOTHING
    return Weighed(counts / counts.sum()) if named else None


def _read_stated(replies: Sequence[Reply], item: str) -> Weighed | None:
    (reply,) = replies
    stated = stated_probabilities(reply.text, item)
    return None if stated is None else Weighed(stated)


def _read_choice(replies: Sequence[Reply], item: str) -> Weighed | None:
    (reply,) = replies
    option = named_option(reply.text, item)
    return Weighed(np.eye(OPTIONS)[option]) if option >= 0 else None


def _number(
    kind: type[Number], name: str, text: str | None, *, least: float, otherwise: Otherwise
) -> Number | Otherwise:
    if text is None:
        return otherwise
    try:
        number = kind(text)
    except ValueError:
        number = None
    if number is None or not least <= number < float("inf"):
        raise UsageError(f"{name}={text}: expected a {'whole ' * (kind is int)}number, {least} or more.")
    return number
