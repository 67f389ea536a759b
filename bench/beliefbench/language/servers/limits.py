"""What a server does not take as it is asked: found by its refusals, once in a process, and kept for all questions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from threading import Lock
from typing import Any

from beliefbench.language.servers.completions import Request

NEARLY_GREEDY = 0.01
"""The temperature for servers that take none of 0."""
FEW = 5
"""The top_logprobs for a server that says that they are too many, but not how many it gives."""

_UNKNOWN = re.compile(
    r"unsupported|not support|n't support|unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed|not accept|"
    r"extra (?:input|field)|deprecated|only the default|not available|no such|extra_forbidden"
)
_LIMIT = re.compile(
    r"(?:at most|less than or equal to|<=|≤|max(?:imum)?\b(?: \w+){0,4}?|between \d+ and|range \d+ to|up to|exceeds?|"
    r"[\[(]\s*\d+\s*,|greater than)\W{0,4}(?:is |of |: ?)?(\d+)"
)
_LEAST = re.compile(
    r"([\[(])\s*(\d*\.?\d+)\s*,|(?:at least|>=|≥|greater than or equal to|minimum(?: value)?(?: is| of|:)?) ?(\d*\.\d+)"
)
_BELOW = re.compile(r"to (\d+) \(exclusive\)|[\[(]\s*\d+\s*,\s*(\d+)\s*\)")
_POSITIVE = re.compile(r"positive|greater than 0|> ?0|above 0|non-?zero|(?:cannot|must not|can't) be (?:0|zero)")
_SAMPLES = re.compile(
    r"""["'`]n["'`]|\bparameter:? n\b|^n\b|\bn (?:must|should|has to|is|>|!=|>=)|\bn ?= ?\d|candidate_?count|"""
    r"(?:multiple|number of) (?:choices|completions|candidates|responses)|only one (?:completion|choice|candidate)"
)
_TOO_LONG = re.compile(
    r"context.{0,20}(?:length|size|window)|too long|too many tokens|n_ctx"
    r"|(?:input|prompt) (?:tokens?|token count)\b.{0,30}exceed|exceeds? the (?:input|context) token limit",
    re.IGNORECASE,
)


def is_too_long(said: str) -> bool:
    """Return True if a server says that a conversation is too long.

    >>> is_too_long("This model's maximum context length is 4096 tokens."), is_too_long("max_tokens is too large")
    (True, False)
    """
    return bool(_TOO_LONG.search(said))


class ServerLimits:
    """How one server takes questions to one model.

    >>> limits = ServerLimits()
    >>> asked = Request("chat", "m", None, {"messages": [], "temperature": 0.0, "max_tokens": 32})
    >>> limits.learn("'max_tokens' is not supported. Use 'max_completion_tokens' instead.", limits.body(asked))
    True
    >>> limits.learn("'temperature' does not support 0.0, only the default (1)", limits.body(asked))
    True
    >>> limits.body(asked)
    {'model': 'm', 'messages': [], 'max_completion_tokens': 32}
    >>> limits.notes(asked.parameters)
    ['the length as max_completion_tokens', "temperature of the server's choice"]
    """

    def __init__(self, length: str = "max_tokens") -> None:
        """Take the name of the length of answers: ``max_tokens`` or ``max_completion_tokens``."""
        self._length = self._first_length = length
        self._most: dict[str, int] = {}  # the largest number of a parameter
        self._instead: dict[str, float | None] = {}  # another value of a parameter, None to leave it out
        self.alone = False
        """True if each sample must be requested alone, because the server does not take ``n``."""
        self._proven: set[frozenset[str]] = set()
        self._one_at_a_time = Lock()

    def is_proven(self, request: Request) -> bool:
        """Return True if a question with these parameters was answered before."""
        return frozenset(request.parameters) in self._proven

    def prove(self, request: Request) -> None:
        """Remember that a question with these parameters was answered."""
        self._proven.add(frozenset(request.parameters))

    def body(self, request: Request, samples: int = 1) -> dict[str, Any]:
        """Return what is sent for a request: its parameters, as far as the server takes them."""
        body = {"model": request.model, **request.parameters}
        for name, most in self._most.items():
            if name in body:
                body[name] = min(body[name], most)
        for name, value in self._instead.items():
            if name in body and value is None:
                del body[name]
            elif name in body and body[name] == 0:
                body[name] = value
        if request.kind == "chat" and "max_tokens" in body:
            body[self._length] = body.pop("max_tokens")
        return body | ({"n": samples} if samples > 1 and not self.alone else {})

    def learn(self, said: str, sent: Mapping[str, Any]) -> bool:
        """Change what is sent from now on by what a server said about a refused request.

        Returns False if it names nothing that can be changed. A parameter changes a few times at most, so a request is
        refused a few times at most.
        """
        said = said.lower()
        with self._one_at_a_time:
            return not is_too_long(said) and (
                self._learn_samples(said, sent)
                or self._learn_top_logprobs(said, sent)
                or self._learn_temperature(said, sent)
                or self._learn_length(said, sent)
            )

    def notes(self, parameters: Mapping[str, Any]) -> list[str]:
        """Return a few words for each difference between what was asked and what is sent."""
        notes = []
        if self._length != self._first_length and "max_tokens" in parameters:
            notes.append(f"the length as {self._length}")
        for name, most in self._most.items():
            if parameters.get(name, 0) > most:
                notes.append(f"{name} {most}, the server's most")
        for name, value in self._instead.items():
            if name in parameters and value is None:
                notes.append(f"{name} of the server's choice")
            elif parameters.get(name) == 0:
                notes.append(f"{name} {value:g}, since the server takes no 0")
        return notes

    def _learn_samples(self, said: str, sent: Mapping[str, Any]) -> bool:
        if sent.get("n", 1) == 1 or not _SAMPLES.search(said):
            return False
        self.alone = True
        return True

    def _learn_top_logprobs(self, said: str, sent: Mapping[str, Any]) -> bool:
        asked = sent.get("top_logprobs", 0)
        if "logprobs" not in said or asked <= 1:
            return False
        limits = [int(number) for number in _LIMIT.findall(said) if 0 < int(number) < asked]
        limits = [
            int(one or other) - 1 for one, other in _BELOW.findall(said) if 1 < int(one or other) <= asked
        ] or limits
        too_many = "top_logprobs" in said and re.search(
            r"too (?:many|large|high)|exceed|out of range|invalid value", said
        )
        if not limits and not (too_many and asked > FEW):
            return False
        self._most["top_logprobs"] = max(limits) if limits else FEW
        return True

    def _learn_temperature(self, said: str, sent: Mapping[str, Any]) -> bool:
        if "temperature" not in said or "temperature" not in sent:
            return False
        least = _LEAST.search(said)
        lowest = float(least[2] or least[3]) if least else 0.0
        if sent["temperature"] == 0 and lowest > 0:
            self._instead["temperature"] = lowest if least and least[1] != "(" else lowest + NEARLY_GREEDY
        elif sent["temperature"] == 0 and (_POSITIVE.search(said) or (least and least[1] == "(")):
            self._instead["temperature"] = NEARLY_GREEDY
        elif _UNKNOWN.search(said):
            self._instead["temperature"] = None
        else:
            return False
        return True

    def _learn_length(self, said: str, sent: Mapping[str, Any]) -> bool:
        if not re.search(r"max_(?:completion_|new_|output_)?tokens|(?:completion|output) tokens", said):
            return False
        other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}[self._length]
        asked = sent.get(self._length, 0)
        if self._length == self._first_length and self._length in said and (other in said or _UNKNOWN.search(said)):
            self._length = other
            return True
        limits = [int(number) for number in _LIMIT.findall(said) if 0 < int(number) < asked]
        if not limits:
            return False
        self._most["max_tokens"] = max(limits)
        return True


@cache
def limits_of(server: str, model: str, length: str) -> ServerLimits:
    """Return the limits of a server and a model, which all agents of this process share."""
    return ServerLimits(length)
