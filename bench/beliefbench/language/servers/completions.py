"""Requests to an OpenAI-compatible server, and its responses, in which servers leave out, add and rename parts.

Besides chat completions, `transformers serve` has decisions (``/systemone``): it returns the probability of each
option's letter, and the model writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from beliefbench.language.questions.dialogue import Message
from beliefbench.language.replies.option_probs import Place
from beliefbench.language.servers.logprobs import ROUNDING, OtherTextError, places_of
from beliefbench.running.store import run_key

TOP_LOGPROBS = 20
MOST_TOKENS = 10_000_000  # of one answer; a larger count is a fault of the server
LONGEST_TEXT = 1_000_000
LONGEST_NAME = 200

Ended = Literal["stop", "length", "refusal", "tool call"]
Count = Annotated[int, Field(ge=0, le=MOST_TOKENS)]

CUT = ("length", "max_tokens", "model_length", "max_output_tokens")
BROKEN = ("error", "abort", "aborted", "cancelled", "canceled", "timeout", "insufficient_system_resource")
FILTERED = ("content_filter", "refusal", "safety", "recitation", "blocklist", "prohibited_content", "spii")


@dataclass(frozen=True)
class Request:
    """A question to a model, asked ``samples`` times; ``parameters`` are sent as `language.limits` allows."""

    kind: Literal["chat", "decision"]
    model: str
    revision: str | None
    parameters: Mapping[str, Any]
    samples: int = 1

    @cached_property
    def key(self) -> str:
        """The SHA-256 of what is asked, wherever it is asked."""
        return run_key({name: getattr(self, name) for name in ("kind", "model", "revision", "parameters")})

    def answer_key(self, server: str, body: Mapping[str, Any], sample: int) -> str:
        """Return the SHA-256 of everything that an answer depends on: the server, what is sent to it, the sample."""
        sent = {name: value for name, value in body.items() if name != "n"}  # which decides how many, not which
        asked = {"kind": self.kind, "revision": self.revision, "server": server, "body": sent}
        return run_key(asked | {"sample": sample})

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
    """A stored answer: the text, how it ended, and the tokens read and written if the server counts them.

    ``thought`` if the server showed or counted thoughts before the text, and ``thought_tokens`` if it counted them;
    they are among ``completion_tokens``. ``places`` if log-probabilities were requested and belong to the text.
    ``served``: the model's name in the response.
    """

    text: str = Field(max_length=LONGEST_TEXT)
    prompt_tokens: Count | None
    completion_tokens: Count | None
    seconds: float = Field(ge=0, le=1e6)
    ended: Ended = "stop"
    thought: bool = False
    thought_tokens: Count | None = None
    places: list[Place] | None = None
    served: str | None = Field(default=None, max_length=LONGEST_NAME)

    @model_validator(mode="after")
    def _possible(self) -> Reply:
        for place in self.places or ():
            if not (
                0 <= place.at <= len(self.text.encode()) and all(-1e4 < one <= ROUNDING for _, one in place.listed)
            ):
                raise ValueError("its log-probabilities are none")
        return self

    @property
    def tokens(self) -> int | None:
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return self.prompt_tokens + self.completion_tokens


class BrokenReplyError(ValueError):
    """A response that holds no finished answer; the text says what it holds instead."""


class ErrorInsideError(Exception):
    """A response with status 200 that holds an error: ``sent``, as the server wrote it."""

    def __init__(self, sent: Any) -> None:
        super().__init__()
        self.sent = sent


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


def read_replies(sent: Any, request: Request, seconds: float) -> list[Reply]:
    """Return the replies in a server's JSON, one for each choice; the text of a decision is its probabilities in JSON.

    The tokens of all choices are counted with the first.

    Raises
    ------
    ErrorInsideError
        If it is an error.
    BrokenReplyError
        If it holds no finished answer.
    NoLogprobsError
        If log-probabilities were requested, and there are none at all.
    """
    if isinstance(sent, str):
        try:
            sent = json.loads(sent)
        except ValueError:
            raise BrokenReplyError("its response is not JSON") from None
    if not isinstance(sent, Mapping):
        raise BrokenReplyError("its response is not a chat completion")
    if sent.get("error") or sent.get("object") == "error" or not (sent.keys() & {"choices", "answers"}):
        if sent.keys() & {"error", "message", "detail"}:
            raise ErrorInsideError(sent)
        raise BrokenReplyError("its response is not a chat completion")
    if request.kind == "decision":
        return [_decided(sent, seconds)]
    choices = sent.get("choices")
    if not isinstance(choices, list) or not all(isinstance(one, Mapping) for one in choices):
        raise BrokenReplyError("its response is not a chat completion")
    if not choices:
        raise BrokenReplyError("its response holds no answer")
    read, written, thought = _usage(sent.get("usage"))
    replies = [_reply(choice, request, written) for choice in choices]
    for reply in replies[1:]:
        reply.prompt_tokens = reply.completion_tokens = None if read is None or written is None else 0
    first = replies[0]
    first.prompt_tokens, first.completion_tokens, first.thought_tokens = read, written, thought
    first.thought |= bool(thought)
    served = " ".join(_text(sent.get("model")).split())[:LONGEST_NAME] or None
    for reply in replies:
        reply.served = served
        reply.seconds = seconds / len(replies)
    return replies


def _reply(choice: Mapping[str, Any], request: Request, written: int | None) -> Reply:
    if choice.get("error"):
        raise ErrorInsideError(choice)
    reason = str(choice.get("finish_reason") or "").lower()
    if reason in BROKEN:
        raise BrokenReplyError(f"its answer broke off, finish_reason '{reason}'")
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise BrokenReplyError("its response is not a chat completion")
    text, thought, refused = _content(message.get("content"))
    thought = thought or any(message.get(name) for name in ("reasoning", "reasoning_content", "reasoning_details"))
    refused = refused or _text(message.get("refusal"))
    ended: Ended = "length" if reason in CUT else "stop"
    if refused or reason in FILTERED:
        text, ended = refused or text, "refusal"
    elif not text and (calls := message.get("tool_calls") or message.get("function_call")):
        text, ended = json.dumps(calls)[:LONGEST_TEXT], "tool call"
    elif not text and ended == "stop" and not thought and not written:
        raise BrokenReplyError("its answer is empty")
    if len(text) > LONGEST_TEXT:
        raise BrokenReplyError(f"its answer has {len(text):,} characters")
    places = None
    if request.wants_logprobs and text and ended in ("stop", "length"):
        places = _places(text, choice.get("logprobs"))
    return Reply(
        text=text, prompt_tokens=None, completion_tokens=None, seconds=0, ended=ended, thought=thought, places=places
    )


def _places(text: str, logprobs: Any) -> list[Place] | None:
    """Return the places of a text; None if this answer's log-probabilities belong to another text."""
    try:
        return places_of(text, logprobs)
    except OtherTextError:
        return None


def _content(content: Any) -> tuple[str, bool, str]:
    """Return the text of a message, whether there are thoughts beside it, and a refusal in it."""
    parts = content if isinstance(content, list) else [content]
    text, thought, refused = "", False, ""
    for part in parts:
        if isinstance(part, str):
            text += part
        elif isinstance(part, Mapping):
            kind = str(part.get("type") or "text")
            if kind in ("text", "output_text"):
                text += _text(part.get("text"))
            elif kind == "refusal":
                refused += _text(part.get("refusal"))
            else:
                thought |= "think" in kind or "reason" in kind
    return text.strip().encode(errors="replace").decode(), thought, refused.strip()  # no lone surrogates


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("value")
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _usage(usage: Any) -> tuple[int | None, int | None, int | None]:
    """Return the tokens that were read, written, and thought."""
    if not isinstance(usage, Mapping):
        return None, None, None
    details = usage.get("completion_tokens_details")
    thought = _count((details if isinstance(details, Mapping) else usage).get("reasoning_tokens"))
    read, written, total = (_count(usage.get(f"{name}_tokens")) for name in ("prompt", "completion", "total"))
    if read is not None and written is not None and total is not None and total > read + written:
        thought = thought or total - read - written  # Google's counts thoughts in the total alone
        written = total - read
    return read, written, thought


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return int(value)


def _decided(sent: Mapping[str, Any], seconds: float) -> Reply:
    decided = _Decided.model_validate(sent)
    text, read = json.dumps(decided.answers.best.probabilities), decided.usage.input_tokens
    return Reply(text=text, prompt_tokens=read, completion_tokens=0, seconds=seconds)


class _Decision(BaseModel):
    probabilities: dict[str, float]


class _Answers(BaseModel):
    best: _Decision


class _Read(BaseModel):
    input_tokens: Count


class _Decided(BaseModel):
    answers: _Answers
    usage: _Read
