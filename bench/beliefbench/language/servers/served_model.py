"""A model behind a server: what it is asked in each way to get probabilities, and what is made of its replies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Literal, Protocol

import numpy as np

from beliefbench.agent import Cost
from beliefbench.errors import counted
from beliefbench.language.assistant import Responses
from beliefbench.language.questions.dialogue import Dialogue, Message
from beliefbench.language.replies.alternatives import Alternatives
from beliefbench.language.replies.option_probs import OptionProbs, option_probabilities
from beliefbench.language.servers.completions import TOP_LOGPROBS, Reply, Request, chat, decision
from beliefbench.language.servers.counts import SENT, counts_of, notes_of, total
from beliefbench.language.servers.first_answers import FirstAnswers
from beliefbench.language.servers.limits import ServerLimits

CHARACTERS_PER_TOKEN = 4  # of English, about
SMOOTHING = 0.5  # added to each count of samples: Jeffreys' prior, so that no alternative is ever impossible

Read = Callable[[Sequence[Reply], Alternatives], OptionProbs | None]


@dataclass(frozen=True)
class ProbabilityMethod:
    """One way to get probabilities from a server, and its requests.

    ``read`` computes an answer from the replies to a question and its alternatives; None if they name none. ``thinks``:
    the tokens for thoughts before an answer, besides ``answer_tokens``. ``extra``: further parameters of the requests.
    """

    name: str
    note: str
    read: Read
    temperature: float = 0.0
    answer_tokens: int = 32
    samples: int = 1
    top_logprobs: int = TOP_LOGPROBS
    thinks: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def longest(self) -> int:
        return self.thinks + self.answer_tokens

    def identity(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "probabilities": self.name,
            "samples": self.samples,
            "temperature": self.temperature,
            "answer_tokens": self.answer_tokens,
        }
        if self.name == "logprobs":
            found["top_logprobs"] = self.top_logprobs
        return (
            found
            | ({"thinks": self.thinks} if self.thinks else {})
            | ({"extra": dict(self.extra)} if self.extra else {})
        )

    def parameters(self, messages: Sequence[Message], alternatives: Alternatives) -> dict[str, Any]:
        """Return the parameters of a request."""
        if self.name == "decision":
            return decision(messages, alternatives.question, alternatives.labels)
        asked = chat(messages, temperature=self.temperature, answer_tokens=self.longest)
        if self.name == "logprobs":
            asked |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        return asked | dict(self.extra)


class Server(Protocol):
    """What answers requests: `language.servers.endpoint.ChatServer`, or another tool that asks models."""

    workers: int
    """The number of requests at the same time."""

    @property
    def address(self) -> str | None:
        """Where it is, without secret parts; None if nobody can say."""
        ...

    def ask(self, requests: Sequence[Request]) -> list[list[Reply]]:
        """Return the replies to requests, one for each sample."""
        ...

    def limits(self, model: str) -> ServerLimits:
        """Return what it is known not to take for a model."""
        ...


class ServedModel:
    """A model on a server, and the way in which it is asked. Several threads may ask it at the same time."""

    def __init__(
        self,
        model: str,
        revision: str | None,
        server: Server,
        way: ProbabilityMethod,
        *,
        thinks_aloud: bool = False,
        counts_unusable: bool = False,
    ) -> None:
        """Take the model's name and revision, the server, and the way.

        ``thinks_aloud``: its text may begin with thoughts, so a text that was cut off is taken for thoughts.
        ``counts_unusable``: go on even if none of the first answers can be used.
        """
        self.model, self.revision, self.server, self.way = model, revision, server, way
        self.address = server.address
        self.probabilistic = way.name != "none"
        self.users_per_call = server.workers  # enough that few workers wait for the last answers of a call
        self._thinks_aloud = thinks_aloud
        self._first = FirstAnswers(model, way.longest, settled=counts_unusable)
        self._counts: Counter[str] = Counter()
        self._one_at_a_time = Lock()

    @property
    def note(self) -> str:
        """The way; then what the server did not take, and what was odd in the answers that this process has heard."""
        return self.noted(self._counts)

    def noted(self, counts: Mapping[str, int]) -> str:
        """Return the note after answers with these counts (`Responses.counts`)."""
        return ", ".join([self.way.note, *notes_of(counts, self.model, self.way.longest)])

    def identity(self) -> Mapping[str, Any]:
        return {"model": self.model, "revision": self.revision, **self.way.identity(), "words": "1"}

    def ask(self, dialogues: Sequence[Dialogue], alternatives: Alternatives) -> Responses:
        shape = (len(dialogues), len(dialogues[0].questions))
        requests = self.requests(dialogues, alternatives)
        with self._one_at_a_time:
            while few := self._first.next(requests):
                for request, heard in zip(few, self.server.ask(few), strict=True):
                    usable = [self._read([one], alternatives) is not None for one in heard]
                    named = sum(
                        not use and alternatives.named(one.text) >= 0 for one, use in zip(heard, usable, strict=True)
                    )
                    self._first.add(request, zip(heard, usable, strict=True), named)
        replies = self.server.ask(requests)  # those to each question
        weighed = [self._read(of_one, alternatives) for of_one in replies]
        counts = self._count(replies, weighed, alternatives)
        for note in self.server.limits(self.model).notes(requests[0].parameters):
            counts[f"{SENT}{note}"] = counts["answers"]
        with self._one_at_a_time:
            self._counts.update(counts)
        nothing = np.full(len(alternatives.labels), np.nan)
        tokens = [_total(of_one) for of_one in replies]
        return Responses(
            np.array([nothing if one is None else one.probs for one in weighed]).reshape(*shape, -1),
            tokens=None if None in tokens else np.array(tokens).reshape(shape),
            text=np.array(["\n".join(one.text for one in of_one) for of_one in replies], dtype=object).reshape(shape),
            seconds=np.array([sum(one.seconds for one in of_one) for of_one in replies]).reshape(shape),
            bounded=np.array([one is not None and one.bounded for one in weighed]).reshape(shape)
            if self.way.name == "logprobs"
            else None,
            counts=counts,
        )

    def _count(
        self, replies: Sequence[Sequence[Reply]], weighed: Sequence[OptionProbs | None], alternatives: Alternatives
    ) -> Counter[str]:
        logprobs = self.way.name == "logprobs"
        return total(
            counts_of(
                reply,
                wants_logprobs=logprobs,
                names_option=logprobs and probs is None and alternatives.named(reply.text) >= 0,
                usable=probs is not None,
            )
            for of_one, probs in zip(replies, weighed, strict=True)
            for reply in of_one
        )

    def cost(self, dialogues: Sequence[Dialogue], alternatives: Alternatives) -> Cost:
        """Return the estimated cost of `ask`, with four characters per token and one second per request.

        Samples are taken to come in one response, unless the server is known to send them one by one.
        """
        requests = self.requests(dialogues, alternatives)
        times = self.way.samples if self.server.limits(self.model).alone else 1
        read = sum(times * (one.characters // CHARACTERS_PER_TOKEN) for one in requests)
        written = sum(one.samples * one.answer_tokens for one in requests)
        number = times * len(requests)
        return Cost(number, read + written, number / self.server.workers, written)

    def requests(self, dialogues: Sequence[Dialogue], alternatives: Alternatives) -> list[Request]:
        """Return the requests for all questions."""
        # Only the last question asks for numbers: the answers before it are the paper's sentences.
        ending = {"stated": alternatives.in_json, "decision": ""}.get(self.way.name, alternatives.in_words)
        return [
            self._request(dialogue.messages(question + ending), alternatives)
            for dialogue in dialogues
            for question in dialogue.questions
        ]

    def _request(self, messages: list[Message], alternatives: Alternatives) -> Request:
        kind: Literal["chat", "decision"] = "decision" if self.way.name == "decision" else "chat"
        return Request(kind, self.model, self.revision, self.way.parameters(messages, alternatives), self.way.samples)

    def _read(self, replies: Sequence[Reply], alternatives: Alternatives) -> OptionProbs | None:
        told = [reply for reply in replies if self._is_answer(reply, alternatives)]
        return self.way.read(told, alternatives) if told else None

    def _is_answer(self, reply: Reply, alternatives: Alternatives) -> bool:
        """Return True if the text is an answer, usable or not: no refusal, no call of a tool, no part of a thought."""
        if reply.ended in ("refusal", "tool call"):
            return False
        whole = reply.ended == "stop" or reply.text.rstrip(" *_.").endswith(
            tuple(sentence.rstrip(".") for sentence in alternatives.sentences)
        )
        return whole or reply.thought or not self._thinks_aloud


def ways(longest: int) -> dict[str, ProbabilityMethod]:
    """Return the ways to get probabilities by their names; ``longest`` is the length of a written answer."""
    return {
        way.name: way
        for way in (
            ProbabilityMethod("logprobs", "logprobs", _read_logprobs, answer_tokens=longest),
            ProbabilityMethod("samples", "samples", _read_samples, temperature=1.0, answer_tokens=longest, samples=8),
            ProbabilityMethod("stated", "stated", _read_stated, answer_tokens=128),
            ProbabilityMethod("decision", "decision", _read_stated, answer_tokens=0),
            ProbabilityMethod("none", "only chooses", _read_choice, answer_tokens=longest),
        )
    }


def named(way: ProbabilityMethod) -> ProbabilityMethod:
    """Return a way whose note tells its settings."""
    note = counted(way.samples, "sample") if way.name == "samples" else way.note
    if way.thinks:
        note += f", think={way.thinks}"
    more = [f"{name}={value}" for name, value in way.extra.items()]
    return replace(way, note=", ".join([note, *more]))


def _total(replies: Sequence[Reply]) -> int | None:
    counts = [reply.tokens for reply in replies]
    return None if None in counts else sum(count for count in counts if count is not None)


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
