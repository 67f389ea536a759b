"""Reading what a model wrote: strictly first, forgivingly second, and never guessing between two readings.

"No usable answer" is -1 for an option and None for probabilities. Text that names two options without saying which is
the best, an option that there is not, or numbers that are no probabilities is no usable answer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.domain import OPTIONS
from bench.language.words import answer

SUM_TOLERANCE = 0.05  # how far stated probabilities may sum from 1 (or percents from 100) and be taken for rounded

_NEGATION = re.compile(r"\b(?:not|cannot|never|neither|nor|none|no|without)\b|n['\u2019]t\b", re.IGNORECASE)


def named_option(text: str, item: str) -> int:
    """Return the option that a text recommends, 0, 1 or 2; -1 where that cannot be said.

    Strictly, the text is "The best option is Flight 2." Forgivingly, markdown and letter case aside: its last "best
    option (or choice, or flight) is ..." or "answer: ..." counts; else the one option that it names, if it names only
    one and denies nothing; else a number that stands alone.

    >>> [named_option(text, "Flight") for text in ("The best option is Flight 3.", "**Flight 2**, it is cheaper.", "2")]
    [2, 1, 1]
    >>> [named_option(text, "Flight") for text in ("Flight 1 or Flight 2?", "I would take Flight 7.", "")]
    [-1, -1, -1]
    """
    strict = text.strip()
    for option in range(OPTIONS):
        if strict in (answer(item, option), answer(item, option).rstrip(".")):
            return option
    plain = re.sub(r"[*_`\"“”]", "", text)
    name = rf"(?:(?:{re.escape(item)}|option|choice|number)\s*)?(?:#|no\.?\s*)?\s*(\d+)\b(?![.,:]\d)"
    said = re.findall(rf"(?:best\s+(?:\w+\s+)?(?:is|would be|:)|answer\s*(?:is|:))\s*:?\s*{name}", plain, re.IGNORECASE)
    if said:
        return _option(said[-1])
    named = set(re.findall(rf"\b(?:{re.escape(item)}|option)\s*(?:#\s*)?(\d+)\b", plain, re.IGNORECASE))
    if len(named) == 1 and not _NEGATION.search(plain):
        return _option(named.pop())
    alone = re.fullmatch(r"\s*\(?(\d+)[.)]?\s*", plain)
    return _option(alone.group(1)) if alone and not named else -1


def stated_probabilities(text: str, item: str) -> np.ndarray | None:
    """Return the probabilities that a text states for the options in JSON, float64[3] that sums to 1; None for none.

    Strictly, the text is ``{"Flight 1": 0.2, "Flight 2": 0.5, "Flight 3": 0.3}``. Forgivingly, the last such object in
    it, keys in any case or the numbers alone, a list of three, percents; sums within 5% of 1 are taken for rounding.

    >>> stated_probabilities('{"Flight 1": 0.2, "Flight 2": 0.5, "Flight 3": 0.3}', "Flight").tolist()
    [0.2, 0.5, 0.3]
    >>> stated_probabilities('I say: {"1": "20%", "2": "60%", "3": "20%"}', "Flight").tolist()
    [0.2, 0.6, 0.2]
    >>> stated_probabilities('{"Flight 1": 1}', "Flight") is None
    True
    """
    for found in _json_values(text):
        values = _by_option(found, item)
        if values is None:
            continue
        total = math.fsum(values)
        for whole in (1.0, 100.0):
            if abs(total / whole - 1) <= SUM_TOLERANCE:
                return np.array(values) / total
    return None


def stated_levels(text: str, labels: tuple[str, ...], highest: int) -> tuple[int, ...] | None:
    """Return the level, 1 to ``highest``, that a text states for each label in JSON; None where one is missing.

    >>> stated_levels('{"price": 1, "duration": "4"}', ("price", "duration"), highest=5)
    (1, 4)
    """
    for found in _json_values(text):
        if isinstance(found, Mapping):
            given = {_folded(key): value for key, value in found.items()}
            levels = [_number(given.get(_folded(label))) for label in labels]
            if all(level is not None and level == int(level) and 1 <= level <= highest for level in levels):
                return tuple(int(level) for level in levels if level is not None)
    return None


def _option(number: str) -> int:
    return int(number) - 1 if len(number) == 1 and 1 <= int(number) <= OPTIONS else -1


def _json_values(text: str) -> list[Any]:
    """Return the JSON objects and lists of a text: the whole of it, or what stands in it, the last first."""
    decoder = json.JSONDecoder()
    found, at = [], 0
    while (start := _opening(text, at)) >= 0:
        try:
            value, at = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):  # brackets of prose, or thousands of them
            at = start + 1
            continue
        found.append(value)
    return found[::-1]


def _opening(text: str, at: int) -> int:
    match = re.compile(r"[{\[]").search(text, at)
    return match.start() if match else -1


def _by_option(found: Any, item: str) -> list[float] | None:
    if isinstance(found, Mapping):
        keys = {re.sub(rf"^(?:{re.escape(item.casefold())}|option)", "", _folded(key)).strip(): key for key in found}
        if len(found) != OPTIONS or set(keys) != {str(option + 1) for option in range(OPTIONS)}:
            return None
        found = [found[keys[str(option + 1)]] for option in range(OPTIONS)]
    if not isinstance(found, list) or len(found) != OPTIONS:
        return None
    values = [_number(value) for value in found]
    return [value for value in values if value is not None] if all(v is not None and v >= 0 for v in values) else None


def _number(value: Any) -> float | None:
    """Return a JSON number, or one in quotes with or without a percent sign, as a finite float."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value.strip().removesuffix("%")) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _folded(key: Any) -> str:
    return re.sub(r"[\s_]+", " ", str(key)).strip().casefold()
