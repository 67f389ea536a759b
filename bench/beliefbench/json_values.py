"""JSON values as they come back from a file: what identities hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from beliefbench.errors import BeliefBenchError
from beliefbench.folders import well_formed

DEEPEST = 50
"""Lists and objects in each other; a reader of JSON ends at some depth."""
LONGEST_NUMBER = 2**1024
EXPECTED = "expected JSON: text, True, False, None, a finite number, a list, or a dict whose keys are text"


def json_value(value: Any, what: str, depth: int = DEEPEST) -> Any:
    """Return a value as it comes back from JSON: a tuple as a list, and text as UTF-8 can hold it.

    Raises
    ------
    BeliefBenchError
        If it is no JSON value; ``what`` names it in the message. NumPy's values are none: call ``.item()`` or
        ``.tolist()``.

    >>> json_value({"widths": (1, 2)}, "identity()")
    {'widths': [1, 2]}
    >>> json_value({"seen": {1, 2}}, "identity()")
    Traceback (most recent call last):
    beliefbench.errors.BeliefBenchError: identity()['seen'] is a set; expected JSON: text, True, False, None, a finite \
number, a list, or a dict whose keys are text.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return well_formed(str.__str__(value))
    if isinstance(value, int) and abs(value) < LONGEST_NUMBER:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, (list, tuple)) and depth:
        return [json_value(one, f"{what}[{at}]", depth - 1) for at, one in enumerate(value)]
    if isinstance(value, Mapping) and depth:
        for key in value:
            if not isinstance(key, str):
                raise BeliefBenchError(f"{what} has a key of type {type(key).__name__}; {EXPECTED}.")
        return {well_formed(key): json_value(one, f"{what}[{key[:40]!r}]", depth - 1) for key, one in value.items()}
    raise BeliefBenchError(f"{what} is {_described(value)}; {EXPECTED}.")


def _described(value: Any) -> str:
    if isinstance(value, (list, tuple, Mapping)):
        return f"more than {DEEPEST} deep"
    if isinstance(value, float):
        return str(float(value))
    if isinstance(value, int):
        return "a number of hundreds of digits"
    return f"a {type(value).__name__}"
