"""Requests to an OpenAI-compatible server, and its responses, in which servers leave out, add and rename parts.

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

from pydantic import BaseModel, Field, model_validator

from beliefbench.language.questions.dialogue import Message
from beliefbench.language.replies.option_probs import Place
from beliefbench.language.servers.fields import MOST_TOKENS, content_of, text_of, usage_of
from beliefbench.language.servers.logprobs import ROUNDING, OtherTextError, places_of
from beliefbench.language.servers.place import plain
from beliefbench.running.store import run_key

TOP_LOGPROBS = 20
LONGEST_TEXT = 1_000_000
LONGEST_NAME = 200

Ended = Literal["stop", "length", "refusal", "tool call"]
Count = Annotated[int, Field(ge=0, le=MOST_TOKENS)]

CUT = ("length", "max_tokens", "model_length", "max_output_tokens", "model_context_window_exceeded")
FILTERED = (
    *(
        "content_filter",
        "content_filtered",
        "refusal",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
    ),
    *("sensitive", "error_toxic", "image_safety", "guardrail_intervened"),
)
BROKEN = re.compile(r"error|abort|cancel|timeout|timed_out|interrupt|overload|disconnect|insufficient_system_resource")
"""Reasons such as "network_error" (GLM) and "USER_CANCEL" (Cohere)."""
NO_CALL = ("malformed_function_call", "unexpected_tool_call", "too_many_tool_calls")
"""Google's reasons for a call of a tool that it does not return."""
ERRORS = {"error", "errors", "message", "detail", "msg", "base_resp"}
"""Names of which one is in a response that is an error with status 200."""


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
        sent = _json(sent)
    if isinstance(sent, list) and len(sent) == 1 and isinstance(sent[0], Mapping) and sent[0].get("error"):
        sent = sent[0]  # Google's
    if not isinstance(sent, Mapping):
        raise BrokenReplyError(f"its response is not a chat completion: {_begin(json.dumps(sent))}")
    holds = sent.get("choices") is not None or "answers" in sent
    if sent.get("error") or sent.get("object") == "error" or not holds:
        if sent.keys() & ERRORS:
            raise ErrorInsideError(sent)
        raise BrokenReplyError(f"its response is not a chat completion: {_begin(json.dumps(sent))}")
    if request.kind == "decision":
        return [_decided(sent, seconds)]
    choices = sent.get("choices")
    if not isinstance(choices, list) or not all(isinstance(one, Mapping) for one in choices):
        raise BrokenReplyError("its response is not a chat completion")
    if not choices:
        raise BrokenReplyError("its response holds no answer")
    read, written, thought = usage_of(sent.get("usage"))
    replies = [_reply(choice, request, written) for choice in choices]
    for reply in replies[1:]:
        reply.prompt_tokens = reply.completion_tokens = None if read is None or written is None else 0
    first = replies[0]
    first.prompt_tokens, first.completion_tokens, first.thought_tokens = read, written, thought
    first.thought |= bool(thought)
    served = " ".join(text_of(sent.get("model")).split())[:LONGEST_NAME] or None
    for reply in replies:
        reply.served = served
        reply.seconds = seconds / len(replies)
    return replies


def _json(text: str) -> Any:
    try:
        return json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        if not text.strip():
            raise BrokenReplyError("its response is empty") from None
        if text.lstrip().startswith("data:"):
            raise BrokenReplyError("it sends its answer in pieces (a stream), which was not asked for") from None
        raise BrokenReplyError(f"its response is not JSON: {_begin(text)}") from None


def _begin(text: str) -> str:
    said = plain(text)
    return f"'{said[:80]}...'" if len(said) > 80 else f"'{said}'"


def _reply(choice: Mapping[str, Any], request: Request, written: int | None) -> Reply:
    if choice.get("error"):
        raise ErrorInsideError(choice)
    reason = str(choice.get("finish_reason") or "").lower()
    if reason not in FILTERED and BROKEN.search(reason):
        raise BrokenReplyError(f"its answer broke off, finish_reason '{reason}'")
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise BrokenReplyError("its response is not a chat completion")
    text, thought, refused = content_of(message.get("content"))
    thought = thought or any(message.get(name) for name in ("reasoning", "reasoning_content", "reasoning_details"))
    refused = refused or text_of(message.get("refusal"))
    ended: Ended = "length" if reason in CUT else "stop"
    if refused or reason in FILTERED:
        text, ended = refused or text, "refusal"
    elif not text and (calls := message.get("tool_calls") or message.get("function_call")):
        text, ended = json.dumps(calls)[:LONGEST_TEXT], "tool call"
    elif not text and reason in NO_CALL:
        ended = "tool call"
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
