"""Errors of servers as one sentence, without the key."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from beliefbench.errors import BeliefBenchError
from beliefbench.language.completions import Request

if TYPE_CHECKING:
    from openai import APIStatusError

PASSING = (408, 409, 425, 429)  # and all from 500
_TOO_LONG = re.compile(r"context.{0,20}(?:length|size|window)|too long|too many tokens|n_ctx", re.IGNORECASE)


class PassingError(Exception):
    """An error that may pass; ``retry_after`` seconds if the server names them."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Place:
    """The address of a server. Its text is the address without the secret parts.

    >>> str(Place("http://me:secret@localhost:8000/v1?token=x", "sk-123"))
    'http://localhost:8000/v1'
    """

    address: str = field(repr=False)
    key: str = field(repr=False)

    def __str__(self) -> str:
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"

    def scrubbed(self, text: str) -> str:
        """Return a text without the key and the address's password.

        >>> Place("http://localhost", "sk-123").scrubbed("Incorrect API key: sk-123.")
        'Incorrect API key: ***.'
        """
        for secret in filter(None, (self.key, urlsplit(self.address).password)):
            text = text.replace(secret, "***")
        return text


def refusal(error: APIStatusError, request: Request, place: Place) -> PassingError | BeliefBenchError:
    """Return the error for an HTTP status: one that may pass, or one that says what to fix."""
    status, said = error.status_code, place.scrubbed(_said(error))
    if error.code == "insufficient_quota":
        return BeliefBenchError(f"the account at {place} has no money left ({said})")
    if status in PASSING or status >= 500:
        return PassingError(f"status {status}: {said}", retry_after(error.response.headers, time.time()))
    if status in (401, 403):
        return BeliefBenchError(
            f"the server at {place} refused the key (status {status}: {said}); set OPENAI_API_KEY to a valid key"
        )
    if status == 404 and request.kind == "decision":
        return BeliefBenchError(
            f"the server at {place} has no decisions (status 404: {said}); "
            "use probabilities=logprobs, samples or stated"
        )
    if status == 404:
        return BeliefBenchError(
            f"the server at {place} has no model '{request.model}', or it is not where OPENAI_BASE_URL says "
            f"(status 404: {said}); {place}/models lists its models"
        )
    if status == 413 or error.code == "context_length_exceeded" or _TOO_LONG.search(said):
        return BeliefBenchError(
            f"the conversation is too long for '{request.model}' at {place} (status {status}: {said}); "
            "use fewer rounds, or a model or a server with a longer context"
        )
    if request.wants_logprobs and "logprob" in said.lower():
        return no_logprobs(place)
    return BeliefBenchError(f"the server at {place} refused a question (status {status}: {said})")


def no_logprobs(place: Place) -> BeliefBenchError:
    """Return the error of a server that returns no log-probabilities."""
    return BeliefBenchError(
        f"the server at {place} gives no usable log-probabilities; use probabilities=samples or probabilities=stated"
    )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a server asks to wait, from its ``Retry-After`` in seconds or as a date.

    >>> retry_after({"retry-after": "7"}, now=0.0)
    7.0
    >>> retry_after({"retry-after": "Thu, 01 Jan 1970 00:00:09 GMT"}, now=4.0)
    5.0
    >>> retry_after({"retry-after": "soon"}, now=0.0) is None
    True
    """
    value = headers.get("retry-after", "")
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _said(error: APIStatusError) -> str:
    """Return the server's own message, shortened; servers use several names for it."""
    body = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body.get("error") or body
    said = re.sub(r"\s+", " ", str(body or "")).strip().rstrip(".")
    return (said if len(said) <= 200 else f"{said[:200]}...") or "no reason given"
