"""Probabilities that a model states: a JSON object or list, or a line for each alternative ("Flight 1: 20%")."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from beliefbench.language.thoughts import answer_span

SUM_TOLERANCE = 0.05
"""How far stated probabilities may sum from 1 (or percents from 100) and be taken for rounded."""

_INNERMOST = re.compile(r"\{[^][{}]*\}|\[[^][{}]*\]")
_NUMBER = r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:e[+-]?\d++)?"


def stated_probabilities(text: str, labels: Sequence[str]) -> np.ndarray | None:
    """Return the probabilities that a text states, float64[labels], summing to 1; None if there are none, or if they
    are no probabilities: negative, NaN, or with a sum that differs from 1 (or 100%) by more than 5%.

    Strict: the text is ``{"Flight 1": 0.2, "Flight 2": 0.5, "Flight 3": 0.3}``. Lenient: the last such object or list
    after the thoughts, with keys in any case or the numbers alone, and with percentages; otherwise one number after
    each label. Labels end in their number, from 1.

    >>> flights = ["Flight 1", "Flight 2", "Flight 3"]
    >>> stated_probabilities('{"Flight 1": 0.2, "Flight 2": 0.5, "Flight 3": 0.3}', flights).tolist()
    [0.2, 0.5, 0.3]
    >>> stated_probabilities('I say: {"1": "20%", "2": "60%", "3": "20%"}', flights).tolist()
    [0.2, 0.6, 0.2]
    >>> stated_probabilities('{"Flight 1": 1}', flights) is None
    True
    """
    if (span := answer_span(text)) is None:
        return None
    answer = text[slice(*span)]
    found = _json_values(answer)
    for value in [*found, _list_of_objects(found[::-1], labels)]:
        if (stated := _by_label(value, labels)) is not None:
            return _normalised(stated)
    objects = any(value is None or isinstance(value, Mapping) for value in found)
    return None if objects else _normalised(_by_line(answer, labels))


def _normalised(stated: Sequence[Any]) -> np.ndarray | None:
    values = [_number(value) for value in stated]
    usable = [value for value in values if value is not None and value >= 0]
    if not values or len(usable) < len(values):
        return None
    total = math.fsum(usable)
    percent = any(isinstance(value, str) and "%" in value for value in stated)
    for whole in (100.0,) if percent else (1.0, 100.0):
        if abs(total / whole - 1) <= SUM_TOLERANCE:
            return np.array(usable) / total
    return None


def _json_values(text: str) -> list[Any]:
    """Return the innermost JSON objects and lists of a text, the last first; an object with a key twice is left out."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any] | None:
        return dict(pairs) if len(dict(pairs)) == len(pairs) else None

    found = []
    for innermost in _INNERMOST.findall(text):
        try:
            found.append(json.loads(innermost, object_pairs_hook=once))
        except ValueError:  # brackets of prose
            continue
    return found[::-1]


def _by_label(found: Any, labels: Sequence[str]) -> list[Any] | None:
    """Return the values that a JSON value has for the labels, in order; None if it is about something else."""
    if isinstance(found, Mapping):
        values = {}
        for key, value in found.items():
            number = _number_of_label(key, labels)
            if number in values or (number is None and re.search(r"\d", key)):  # an option twice, or one of no set
                return None
            if number is not None:
                values[number] = value
        return [values[number] for number in range(len(labels))] if len(values) == len(labels) else None
    # A list has no labels: it is about the alternatives only if it is a distribution over them.
    is_list = isinstance(found, list) and len(found) == len(labels) and _normalised(found) is not None
    return found if is_list else None


def _list_of_objects(found: Sequence[Any], labels: Sequence[str]) -> dict[str, Any]:
    """Return ``[{"option": "Flight 1", "probability": 0.2}, ...]`` as an object; empty if a label is there twice."""
    values: dict[str, Any] = {}
    for one in found:
        if isinstance(one, Mapping) and len(one) == 2:
            label, value = one.values()
            number = _number_of_label(label, labels) if isinstance(label, str) else None
            if number is not None and values.setdefault(labels[number], value) is not value:
                return {}
    return values


def _by_line(text: str, labels: Sequence[str]) -> list[str]:
    """Return the one number that follows each label, as written; empty if a label has none or two."""
    item = re.escape(labels[0].rstrip("1 "))
    if not item:  # numbers alone are not told from other numbers
        return []
    found = re.findall(
        rf"\b{item}[ _]?(\d+)\b[\"'*` ]{{0,4}}(?:[:=]|->|→|-|\u2013|—)[\"'*` ]{{0,4}}({_NUMBER}(?: ?%)?)(?![\w.:])",
        text,
        re.IGNORECASE,
    )
    values = dict(found)
    wanted = [label.removeprefix(labels[0].rstrip("1")) for label in labels]
    return [values[one] for one in wanted] if len(found) == len(labels) and set(values) == set(wanted) else []


def _number_of_label(key: str, labels: Sequence[str]) -> int | None:
    """Return the position of the label that a key names: "Flight 1", "flight_1", "option 1" or "1"."""
    item = re.escape(_folded(labels[0]).rstrip("1 "))
    number = re.sub(rf"^(?:{item}|option)", "", _folded(key)).strip()
    return int(number) - 1 if number in map(str, range(1, len(labels) + 1)) else None


def _number(value: Any) -> float | None:
    """Return a JSON number, or one in quotes with or without a percent sign, as a finite float."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value.strip().removesuffix("%")) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _folded(key: str) -> str:
    return " ".join(key.replace("_", " ").split()).casefold()
