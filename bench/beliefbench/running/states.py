"""What an agent's state holds, so that a change of it by ``predict`` is seen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

MOST = 10_000
"""Values of a state that are compared."""
LARGEST = 2**26
"""Bytes of the largest array that is compared."""


def held_by(state: Any) -> dict[str, str]:
    """Return what a state holds, by the place of each value: plain values, and digests of arrays.

    Attributes, entries and lists are followed; anything else, such as a function or a JAX array, is not compared.

    >>> held_by({"seen": [1, np.zeros(2)]})["['seen'][0]"]
    '1'
    """
    found: dict[str, str] = {}
    waiting: list[tuple[str, Any]] = [("", state)]
    met: set[int] = set()
    while waiting and len(found) < MOST:
        where, value = waiting.pop()
        if value is None or isinstance(value, (bool, int, float, str, bytes)):
            found[where] = repr(value)
        elif isinstance(value, np.ndarray) and value.dtype != object and value.nbytes <= LARGEST:
            found[where] = f"{value.dtype}{value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
        elif id(value) not in met and not callable(value) and not isinstance(value, jax.Array):
            met.add(id(value))
            waiting += _parts(where, value, found)
    return found


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> str | None:
    """Return the place of a value that changed; None if none did.

    What is new, or was None, may be a cache, and is no change.

    >>> changed({".calls": "0", ".kept": "None"}, {".calls": "1", ".cache": "2", ".kept": "3"})
    '.calls'
    """
    known = ((where, value) for where, value in before.items() if where in after and value != repr(None))
    return next((where for where, value in known if after[where] != value), None)


def _parts(where: str, value: Any, found: dict[str, str]) -> list[tuple[str, Any]]:
    if isinstance(value, (list, tuple)):
        found[f"len({where})"] = str(len(value))
        return [(f"{where}[{at}]", one) for at, one in enumerate(value[:MOST])]
    if isinstance(value, Mapping):
        return [(f"{where}[{key!r}]", one) for key, one in list(value.items())[:MOST] if isinstance(key, (str, int))]
    return [(f"{where}.{name}", one) for name, one in list(getattr(value, "__dict__", {}).items())[:MOST]]
