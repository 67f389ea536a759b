"""Log-probabilities of written tokens, as servers send them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from beliefbench.language.replies.option_probs import Place, number_word

IMPOSSIBLE = -9999.0
"""The log-probability of a token that cannot occur: OpenAI and vLLM send this number, JSON writers often null."""
ONE_HOT = -50.0
"""A confident model's other tokens are above this; those of a server that divides by a temperature of 0 are below."""
ROUNDING = 0.01  # some servers round a log-probability up a little


class NoLogprobsError(Exception):
    """An answer has no log-probabilities that can be used; the text says why."""


class OtherTextError(NoLogprobsError):
    """The log-probabilities of one answer belong to another text; those of other answers may be right."""


def places_of(text: str, logprobs: Any) -> list[Place]:
    """Return the places of the tokens of a text that may name an option: those with a digit or the word of a number.

    Parameters
    ----------
    logprobs
        The tokens as OpenAI's ``logprobs.content`` has them; or the object around them, in this form or in that of
        completions (``tokens``, ``token_logprobs``, ``top_logprobs``).

    Raises
    ------
    NoLogprobsError
        If there are none, they belong to another text, list no alternatives, or are no log-probabilities.

    >>> two = {"token": "2", "logprob": -0.1, "top_logprobs": [{"token": "2", "logprob": -0.1}]}
    >>> places_of("Flight 2", [{"token": "Flight ", "logprob": 0.0, "top_logprobs": None}, two])
    [Place(at=7, token='2', listed=[('2', -0.1)])]
    """
    tokens = _tokens(logprobs)
    if not tokens:
        if text:
            raise NoLogprobsError("the answer has none")
        return []
    # What was thought before, and the token that ends the answer, are among the tokens of some servers.
    spelled = [_spelled(token) for token in tokens]
    begin = b"".join(spelled).rfind(text.encode())
    if begin < 0:
        raise OtherTextError("they belong to another text")
    if text and not any(token.get("top_logprobs") for token in tokens):
        raise NoLogprobsError("they are of the written tokens alone, without top_logprobs")
    if text and all(token.get("logprob") is None and "logprob" in token for token in tokens):
        raise NoLogprobsError("they are all null")
    places, at = [], -begin
    for token, its_bytes in zip(tokens, spelled, strict=True):
        name = its_bytes.decode(errors="replace")
        if (re.search(r"[0-9]", name) or number_word(name) is not None) and 0 <= at < len(text.encode()):
            listed = [
                (_spelled(one).decode(errors="replace"), _logprob(one)) for one in token.get("top_logprobs") or ()
            ]
            if name not in {other for other, _ in listed}:
                listed.append((name, _logprob(token)))
            places.append(Place(at=at, token=name, listed=listed))
        at += len(its_bytes)
    return places


def is_one_hot(places: Sequence[Place]) -> bool:
    """Return True if at every place one token has probability 1, and the others none, or if no other is listed.

    >>> is_one_hot([Place(at=0, token="2", listed=[("2", 0.0), ("1", IMPOSSIBLE)])])
    True
    >>> is_one_hot([Place(at=0, token="2", listed=[("2", 0.0)])])
    True
    >>> is_one_hot([Place(at=0, token="2", listed=[("2", 0.0), ("1", -17.5)])]), is_one_hot([])
    (False, False)
    """
    return bool(places) and all(
        max(found) > -1e-6 and all(other < ONE_HOT for other in sorted(found)[:-1])
        for found in ([log_prob for _, log_prob in place.listed] for place in places)
    )


def _tokens(logprobs: Any) -> list[Mapping[str, Any]]:
    if isinstance(logprobs, Mapping) and isinstance(logprobs.get("tokens"), list):
        logprobs = _of_completions(logprobs)
    elif isinstance(logprobs, Mapping):
        logprobs = logprobs.get("content")
    tokens = list(logprobs) if isinstance(logprobs, Sequence) and not isinstance(logprobs, str) else []
    if not all(isinstance(token, Mapping) for token in tokens):
        raise NoLogprobsError("their form is not that of the API")
    return tokens


def _of_completions(logprobs: Mapping[str, Any]) -> list[dict[str, Any]]:
    tokens = logprobs["tokens"]
    own, top = (logprobs.get(name) or [None] * len(tokens) for name in ("token_logprobs", "top_logprobs"))
    if not len(tokens) == len(own) == len(top):
        raise NoLogprobsError("their form is not that of the API")
    return [
        {
            "token": token,
            "logprob": one,
            "top_logprobs": [{"token": name, "logprob": value} for name, value in (listed or {}).items()],
        }
        for token, one, listed in zip(tokens, own, top, strict=True)
    ]


def _spelled(token: Mapping[str, Any]) -> bytes:
    codes, name = token.get("bytes"), token.get("token")
    if isinstance(codes, list) and all(isinstance(code, int) and 0 <= code < 256 for code in codes) and codes:
        return bytes(codes)
    if not isinstance(name, str):
        raise NoLogprobsError("their form is not that of the API")
    return name.encode(errors="replace")


def _logprob(token: Mapping[str, Any]) -> float:
    if "logprob" not in token:
        raise NoLogprobsError("their form is not that of the API")
    value = token["logprob"]
    if value is None:  # what many writers of JSON make of minus infinity
        return IMPOSSIBLE
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or value > ROUNDING:
        raise NoLogprobsError(f"one is {str(value)[:20]}, which is no log-probability")
    return max(float(value), IMPOSSIBLE)
