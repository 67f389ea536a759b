"""Settings of agents, which a SPEC gives as text."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from beliefbench.errors import UsageError

Number = TypeVar("Number", int, float)
Otherwise = TypeVar("Otherwise", int, float, None)


def number(
    kind: type[Number], name: str, text: str | None, *, least: float, otherwise: Otherwise
) -> Number | Otherwise:
    """Return a setting as a number; ``otherwise`` if it is missing.

    >>> number(int, "n", "8", least=1, otherwise=None)
    8
    >>> number(float, "timeout", "soon", least=0, otherwise=None)
    Traceback (most recent call last):
    ...
    beliefbench.errors.UsageError: timeout=soon: expected a number, 0 or more.
    """
    if text is None:
        return otherwise
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not least <= value < float("inf"):
        raise UsageError(f"{name}={text}: expected a {'whole ' * (kind is int)}number, {least} or more.")
    return value


def json_object(name: str, text: str | None, example: str) -> dict[str, Any]:
    """Return a setting that is a JSON object; an empty one if it is missing.

    >>> json_object("extra_body", '{"top_k":5}', "")
    {'top_k': 5}
    >>> json_object("extra_body", "[1]", '{"top_k":5}')  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    beliefbench.errors.UsageError: extra_body=[1]: expected a JSON object, such as {"top_k":5}; put ...
    """
    try:
        found = json.loads(text, parse_constant=_no_number) if text is not None else {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError(
            f"{name}={text}: expected a JSON object, such as {example}; put the whole SPEC in single quotes, since the "
            "shell removes double quotes."
        )
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"JSON has no {name}")
