"""Errors of servers as one sentence with the server's own words, without the key."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.language.servers.completions import Request
from beliefbench.language.servers.limits import is_too_long

PASSING = (408, 409, 425, 429)  # and all from 500
UNCHANGEABLE = (401, 402, *PASSING)  # statuses that no other parameters mend
SHOWN = 200
"""Characters of a server's words that are shown."""
_KINDS = {"insufficient_quota": 402, "rate_limit": 429, "overloaded": 529, "authentication": 401, "permission": 403}
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_UNSEEN = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")


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

    @classmethod
    def of(cls, address: str, key: str) -> Place:
        """Return the place of an address, or raise `UsageError` if it is none.

        >>> Place.of("localhost:8000/v1", "")
        Traceback (most recent call last):
        ...
        beliefbench.errors.UsageError: OPENAI_BASE_URL is 'localhost:8000/v1', which does not begin with http:// or \
https://; set it to http://localhost:8000/v1, for example.
        """
        address = address.strip()
        try:
            parts = urlsplit(address)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise UsageError(f"OPENAI_BASE_URL is no address ({error}); set it to one, such as {_EXAMPLE}.") from None
        if parts.scheme not in ("http", "https") or not host:
            bare = plain(address.rpartition("@")[2].partition("?")[0])
            likely = f"http://{bare}" if re.match(r"[\w.-]+(:\d+)?(/|$)", bare) else _EXAMPLE
            raise UsageError(
                f"OPENAI_BASE_URL is '{bare}', which does not begin with http:// or https://; set it to {likely}, for "
                "example."
            )
        for ending in ("/chat/completions", "/completions", "/responses", "/models"):
            if parts.path.rstrip("/").endswith(ending):
                shown = cls(address, key)
                raise UsageError(f"OPENAI_BASE_URL is '{shown}'; leave '{ending}' out, because beliefbench adds it.")
        return cls(address, key)

    def __str__(self) -> str:
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"

    @property
    def hint(self) -> str:
        """What may be wrong with the address, if what it answers is not what was asked for."""
        return "" if urlsplit(self.address).path.strip("/") else f"; most servers answer at {self}/v1, not at {self}"

    def scrubbed(self, text: str) -> str:
        """Return a text without the key, and the password and the parameters of the address.

        >>> Place("http://localhost", "sk-123").scrubbed("Incorrect API key: sk-123.")
        'Incorrect API key: ***.'
        """
        parts = urlsplit(self.address)
        for secret in filter(None, (self.key, parts.password, *(value for _, value in parse_qsl(parts.query)))):
            text = text.replace(secret, "***")
        return text


_EXAMPLE = "http://localhost:8000/v1"


@dataclass(frozen=True)
class ServerError:
    """What a server said went wrong: its status, if it has one; a code; and its words, without secrets."""

    status: int | None
    code: str
    said: str
    retry_after: float | None = None

    @classmethod
    def of(cls, sent: Any, place: Place, status: int | None = None, headers: Mapping[str, str] | None = None) -> Self:
        """Read the body of an error; ``status`` and ``headers`` of its response, if that was no success."""
        inner = sent.get("error") if isinstance(sent, Mapping) and sent.get("error") else sent
        inner = inner if isinstance(inner, Mapping) else {"message": inner}
        code, kind = (str(inner.get(name) or "") for name in ("code", "type"))
        if status is None:
            number = next((str(inner[name]) for name in ("code", "status", "status_code") if inner.get(name)), "")
            known = (value for name, value in _KINDS.items() if name in f"{code} {kind}")
            status = int(number) if re.fullmatch(r"[45]\d\d", number) else next(known, None)
        words = place.scrubbed(plain(_words(inner)))
        if (param := inner.get("param")) and str(param) not in words:
            words = f"{param}: {words}"
        wait = retry_after(headers, time.time()) if headers else None
        return cls(status, "insufficient_quota" if "insufficient_quota" in (code, kind) else code, words, wait)

    @property
    def short(self) -> str:
        """The status and the words, cut to a length that can be read."""
        said = self.said if len(self.said) <= SHOWN else f"{self.said[:SHOWN]}..."
        said = said.rstrip(".") if not said.endswith("...") else said
        return f"status {self.status}: {said}" if self.status else said

    def sentence(self, request: Request, place: Place) -> PassingError | BeliefBenchError:
        """Return the error to raise: one that may pass, or one that says what to fix."""
        status, about = self.status, f"({self.short})"
        lacks_logprobs = request.wants_logprobs and "logprob" in self.said.lower()
        if self.code == "insufficient_quota" or status == 402:
            return BeliefBenchError(f"the account at {place} has no money left {about}; add credit")
        if status is None or status in PASSING or status >= 500:
            return PassingError(self.short, self.retry_after)
        if status not in (401, 404) and lacks_logprobs:
            return no_logprobs(place, request, self.short)
        if status == 401:
            return BeliefBenchError(f"the server at {place} refused the key {about}; set OPENAI_API_KEY to a valid key")
        if status == 403:
            return BeliefBenchError(
                f"the server at {place} refused access {about}; set OPENAI_API_KEY to a key that may use "
                f"'{request.model}'"
            )
        if status == 404 and request.kind == "decision":
            return BeliefBenchError(
                f"the server at {place} has no decisions {about}; use probabilities=logprobs, samples or stated instead"
            )
        if status == 404:
            return BeliefBenchError(
                f"the server at {place} has no model '{request.model}', or it is not where OPENAI_BASE_URL says "
                f"{about}{place.hint}; {place}/models lists its models"
            )
        if status == 413 or self.code == "context_length_exceeded" or is_too_long(self.said):
            return BeliefBenchError(
                f"the conversation is too long for '{request.model}' at {place} {about}; "
                "use fewer rounds, or a model or a server with a longer context"
            )
        return BeliefBenchError(f"the server at {place} refused a question {about}")


class RefusedError(Exception):
    """The server refused a request, with an error status or with an error inside a success."""

    def __init__(self, refused: ServerError) -> None:
        super().__init__()
        self.refused = refused


def no_logprobs(place: Place, request: Request, why: str) -> BeliefBenchError:
    """Return the error of a server that returns no log-probabilities of a model."""
    return BeliefBenchError(
        f"the server at {place} gives no usable log-probabilities of '{request.model}' ({why}); use "
        "probabilities=samples or probabilities=stated"
    )


def plain(text: str) -> str:
    """Return a text in one line that a terminal can show: without escape sequences and characters that are not seen.

    >>> plain("\\x1b[31mout of\\n memory\\x1b[0m")
    'out of memory'
    """
    return _UNSEEN.sub(" ", _ESCAPES.sub("", text)).strip()


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


def _words(error: Mapping[str, Any]) -> str:
    """Return a server's own words; servers use several names for them."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, Mapping) else None  # OpenRouter's: what the provider said
    said = next((error[name] for name in ("message", "detail", "error", "msg") if error.get(name)), None)
    if isinstance(said, list):  # of FastAPI: one entry for each parameter
        said = "; ".join(_entry(one) for one in said)
    elif isinstance(said, Mapping):
        said = _words(said)
    elif said is None:
        said = str(dict(error)) if any(error.values()) else "no reason given"
    return f"{said} ({raw})" if raw else str(said)


def _entry(one: Any) -> str:
    if isinstance(one, Mapping) and one.get("msg"):
        where = [str(part) for part in one.get("loc") or () if part != "body"]
        return f"{'.'.join(where)}: {one['msg']}" if where else str(one["msg"])
    return str(one)
