"""Settings of agents, which a SPEC gives as text."""

from __future__ import annotations

from typing import TypeVar

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
