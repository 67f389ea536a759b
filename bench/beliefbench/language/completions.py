"""Requests to an OpenAI-compatible server, and its responses, in which many servers leave parts out.

Besides chat completions, `transformers serve` has decisions (``/systemone``): it returns the probability of each
option's letter, and the model writes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from beliefbench.language.dialogue import Message
from beliefbench.language.option_probs import Place
from beliefbench.running.store import run_key

TOP_LOGPROBS = 20


@dataclass(frozen=True)
class Request:
    """A question to a model, and everything that its answer depends on; ``parameters`` are sent unchanged.

    ``sample`` is the number of the sample, if a question is asked several times.
    """

    kind: Literal["chat", "decision"]
    model: str
    revision: str | None
    parameters: Mapping[str, Any]
    sample: int = 0

    @cached_property
    def key(self) -> str:
        """The SHA-256 of its canonical JSON, without the server's address, which no run's identity contains either."""
        return run_key({name: getattr(self, name) for name in self.__dataclass_fields__})

    @property
    def path(self) -> str:
        return "/systemone" if self.kind == "decision" else "/chat/completions"

    @property
    def characters(self) -> int:
        return len(json.dumps(self.parameters, ensure_ascii=False))

    @property
    def answer_tokens(self) -> int:
        return int(self.parameters.get("max_tokens", 0))

    @property
    def wants_logprobs(self) -> bool:
        return bool(self.parameters.get("logprobs"))


class Reply(BaseModel):
    """A stored answer: the text, the tokens read and written if the server counts them, and the time that it took;
    ``places`` if log-probabilities were requested.
    """

    text: str
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float
    places: list[Place] | None = None

    @property
    def tokens(self) -> int | None:
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return self.prompt_tokens + self.completion_tokens


class NoLogprobsError(Exception):
    """An answer has no log-probabilities, or log-probabilities of another text."""


def chat(messages: Sequence[Message], *, temperature: float, answer_tokens: int) -> dict[str, Any]:
    """Return the parameters of a chat completion."""
    return {"messages": list(messages), "temperature": temperature, "max_tokens": answer_tokens}


def decision(messages: Sequence[Message], question: str, labels: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of a decision between alternatives that the conversation has described."""
    criteria: dict[str, None] = dict.fromkeys(labels)
    return {
        "state": list(messages),
        "questions": {"best": {"type": "choice", "instructions": question, "criteria": criteria}},
    }


def read_reply(sent: Any, request: Request, seconds: float) -> Reply:
    """Return the reply in a server's JSON; the text of a decision is its probabilities in JSON.

    Raises
    ------
    ValueError
        If it does not answer the request.
    NoLogprobsError
        If log-probabilities were requested and it has none that can be used.
    """
    if request.kind == "decision":
        decided = _Decided.model_validate(sent)
        text, read = json.dumps(decided.answers.best.probabilities), decided.usage.input_tokens
        return Reply(text=text, prompt_tokens=read, completion_tokens=0, seconds=seconds)
    completion = _Completion.model_validate(sent)
    choice, usage = completion.choices[0], completion.usage
    text = (choice.message.content or "").strip().encode(errors="replace").decode()  # no lone surrogates
    return Reply(
        text=text,
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
        seconds=seconds,
        places=places_of(text, (choice.logprobs and choice.logprobs.content) or []) if request.wants_logprobs else None,
    )


def places_of(text: str, tokens: Sequence[Any]) -> list[Place]:
    """Return the places of the tokens of a text that hold a digit, given tokens as ``logprobs.content`` has them.

    Raises
    ------
    pydantic.ValidationError
        If a token does not have the format of the API.
    NoLogprobsError
        If the tokens do not belong to the text, or list no alternatives.
    """
    written = [_Written.model_validate(token) for token in tokens]
    # What was thought before, and the token that ends the answer, are among the tokens of some servers.
    begin = b"".join(token.spelled for token in written).rfind(text.encode())
    if begin < 0 or (text and not any(token.top_logprobs for token in written)):
        raise NoLogprobsError
    places, at = [], -begin
    for token in written:
        spelled = token.spelled
        if re.search(rb"\d", spelled):
            listed = [(one.text, one.logprob) for one in token.top_logprobs]
            if token.text not in {other for other, _ in listed}:
                listed.append((token.text, token.logprob))
            places.append(Place(at=at, token=token.text, listed=listed))
        at += len(spelled)
    return places


class _Listed(BaseModel):
    token: str
    logprob: Annotated[float, Field(le=0.01)]  # some round up a little; NaN is refused
    codes: list[Annotated[int, Field(ge=0, le=255)]] | None = Field(None, alias="bytes")

    @property
    def spelled(self) -> bytes:
        return self.token.encode(errors="replace") if self.codes is None else bytes(self.codes)

    @property
    def text(self) -> str:
        return self.spelled.decode(errors="replace")


class _Written(_Listed):
    top_logprobs: list[_Listed] = []


class _Logprobs(BaseModel):
    content: list[_Written] | None = None


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    logprobs: _Logprobs | None = None


class _Usage(BaseModel):
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class _Decision(BaseModel):
    probabilities: dict[str, float]


class _Answers(BaseModel):
    best: _Decision


class _Read(BaseModel):
    input_tokens: int = Field(ge=0)


class _Decided(BaseModel):
    answers: _Answers
    usage: _Read
