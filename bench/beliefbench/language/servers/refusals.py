"""Errors of servers as one sentence with the server's own words, without the key."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Self

from beliefbench.errors import BeliefBenchError
from beliefbench.language.servers.completions import Request
from beliefbench.language.servers.limits import is_too_long
from beliefbench.language.servers.place import Place, plain

PASSING = (408, 409, 425, 429)  # and all from 500
UNCHANGEABLE = (401, 402, *PASSING)  # statuses that no other parameters mend
WORDS = ("message", "detail", "error", "msg", "errors", "status_msg", "base_resp")
"""The names that servers have for their words, or for what holds them."""
SHOWN = 200
"""Characters of a server's words that are shown."""
_NO_KEY = re.compile(
    r"(?:invalid|incorrect|missing|no valid) api.?key|api.?key\b.{0,20}(?:not valid|invalid|incorrect|missing)"
)
_KINDS = {"insufficient_quota": 402, "rate_limit": 429, "overloaded": 529, "authentication": 401, "permission": 403}


class PassingError(Exception):
    """An error that may pass; ``retry_after`` seconds if the server names them."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


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
        if isinstance(sent, list) and len(sent) == 1:  # Google's
            sent = sent[0]
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
        if status in (None, 400) and _NO_KEY.search(self.said.lower()):
            status = 401
        if self.code == "insufficient_quota" or status == 402:
            return BeliefBenchError(f"the account at {place} has no money left {about}; add credit")
        if status is None or status in PASSING or status >= 500:
            return PassingError(self.short, self.retry_after)
        if request.wants_logprobs and status == 404 and "requested parameters" in self.said:  # OpenRouter's
            return no_logprobs(place, request, self.short)
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


def unconnected(place: Place, cause: BaseException | None, heard: bool) -> PassingError | BeliefBenchError:
    """Return the error of a connection that failed; ``heard``: whether the server has answered before."""
    why = type(cause).__name__  # of httpx
    if why == "TooManyRedirects":
        return BeliefBenchError(f"the server at {place} redirects requests in a circle; set another OPENAI_BASE_URL")
    if why == "DecodingError":
        return PassingError("its response cannot be unpacked")
    if why not in ("ConnectError", "ProxyError") or heard:
        return PassingError("the connection broke")
    said = str(cause)
    reason = f" ({said})" if re.search(r"ssl|certificate|name|address", said, re.IGNORECASE) else ""
    return BeliefBenchError(
        f"no server answers at {place}{place.proxy}; start it, or set OPENAI_BASE_URL to its address{reason}"
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


def _words(error: Mapping[str, Any]) -> str:
    """Return a server's own words; servers use several names for them."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, Mapping) else None  # OpenRouter's: what the provider said
    said = next((error[name] for name in WORDS if error.get(name)), None)
    if isinstance(said, list):  # of FastAPI: one entry for each parameter
        said = "; ".join(_entry(one) for one in said)
    elif isinstance(said, Mapping):
        said = _words(said)
    elif said is None:
        said = str(dict(error)) if any(error.values()) else "no reason given"
    return f"{said} ({raw})" if raw else str(said)


def _entry(one: Any) -> str:
    if isinstance(one, Mapping) and one.get("message"):
        return str(one["message"])
    if isinstance(one, Mapping) and one.get("msg"):
        where = [str(part) for part in one.get("loc") or () if part != "body"]
        return f"{'.'.join(where)}: {one['msg']}" if where else str(one["msg"])
    return str(one)
