"""Fields of a response that servers write in several ways: the content of a message, and the tokens used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST_TOKENS = 10_000_000  # of one answer; a larger count is a fault of the server


def content_of(content: Any) -> tuple[str, bool, str]:
    """Return the text of a message, whether there are thoughts beside it, and a refusal in it."""
    parts = content if isinstance(content, list) else [content]
    text, thought, refused = "", False, ""
    for part in parts:
        if isinstance(part, str):
            text += part
        elif isinstance(part, Mapping):
            kind = str(part.get("type") or "text")
            if kind in ("text", "output_text"):
                text += text_of(part.get("text"))
            elif kind == "refusal":
                refused += text_of(part.get("refusal"))
            else:
                thought |= "think" in kind or "reason" in kind
    return text.strip().encode(errors="replace").decode(), thought, refused.strip()  # no lone surrogates


def text_of(value: Any) -> str:
    """Return a text, without lone surrogates; empty if it is none."""
    if isinstance(value, Mapping):
        value = value.get("value")
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def usage_of(usage: Any) -> tuple[int | None, int | None, int | None]:
    """Return the tokens that were read, written, and thought."""
    if not isinstance(usage, Mapping):
        return None, None, None
    details = usage.get("completion_tokens_details")
    thought = count_of((details if isinstance(details, Mapping) else usage).get("reasoning_tokens"))
    read, written, total = (count_of(usage.get(f"{name}_tokens")) for name in ("prompt", "completion", "total"))
    read, written = read or None, written or (None if not read else written)  # some servers send 0 for unknown
    if read is not None and written is not None and total is not None and total > read + written:
        thought = thought or total - read - written  # Google's counts thoughts in the total alone
        written = total - read
    return read, written, thought


def count_of(value: Any) -> int | None:
    """Return a number of tokens; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return int(value)
