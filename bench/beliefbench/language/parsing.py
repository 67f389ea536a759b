"""Parsing written answers: first strictly, then leniently, and never by guessing between two readings.

An unusable answer is -1 for an option and None for probabilities. A text is unusable if it names two options without
saying which is best, an option that does not exist, or numbers that are not probabilities.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from beliefbench.domain import OPTIONS
from beliefbench.language.words import answer

SUM_TOLERANCE = 0.05  # how far stated probabilities may sum from 1 (or percents from 100) and be taken for rounded

_ADVICE = (
    r"(?:recommend|suggest|advise|choose|chose|pick|select|take|prefer|book|go with|go for|opt for|(?:would|should) be)"
)
_NEGATION = re.compile(r"\b(?:not|cannot|never|neither|nor|none|no|without)\b|n['\u2019]t\b", re.IGNORECASE)


def named_option(text: str, item: str) -> int:
    """Return the option that a text recommends, 0, 1 or 2; -1 if it is unclear.

    Strict: the text is "The best option is Flight 2." Lenient, without regard to Markdown and letter case: the last
    "best option (or choice, or flight) is ..." or "answer: ..." in the text; otherwise the only option that it names,
    if the text begins with it or recommends it, and denies nothing; otherwise a number that is the whole text.

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
    word = rf"(?:{re.escape(item)}|option|choice|number)"
    another = rf"(?:\s*(?:or|and|/|&)\s*(?:{word}\s*)?#?\s*\d+\b)"
    name = rf"(?:{word}s?\s*)?(?:#|no\.?\s*)?\s*(\d+)\b(?![.,:]\d)({another}?)"
    said = re.findall(rf"(?:best\s+(?:\w+\s+)?(?:is|would be|:)|answer\s*(?:is|:))\s*:?\s*{name}", plain, re.IGNORECASE)
    if said:
        number, others = said[-1]
        return -1 if others else _one_of(number, OPTIONS)
    label = rf"(?:{re.escape(item)}|option)s?\s*(?:#\s*)?"
    lists = re.findall(rf"\b{label}(\d+\b{another}*)", plain, re.IGNORECASE)
    named = {number for one in lists for number in re.findall(r"\d+", one)}
    advised = re.search(rf"(?:^\W*|\b{_ADVICE}\w*\s+(?:[^\W\d]+\s+){{0,3}}?){label}\d+\b(?!\s*:)", plain, re.IGNORECASE)
    if len(named) == 1 and advised and not _NEGATION.search(plain):
        return _one_of(named.pop(), OPTIONS)
    alone = re.fullmatch(r"\s*\(?(\d+)[.)]?\s*", plain)
    return _one_of(alone.group(1), OPTIONS) if alone and not named else -1


def named_level(text: str, highest: int) -> int:
    """Return the answer to the questionnaire in a text, from 0; -1 if it is unclear.

    Strictly, the text is "Your preference is 2." Forgivingly, markdown and letter case aside: its last "preference is
    ..." or "answer: ..." counts; else the one number that it holds.

    >>> [named_level(text, highest=5) for text in ("Your preference is 3.", "**4**", "I would say 2 out of 5")]
    [2, 3, 1]
    >>> [named_level(text, highest=5) for text in ("1 or 2", "Your preference is 7.", "4.5", "cheaper flights")]
    [-1, -1, -1, -1]
    """
    plain = re.sub(r"[*_`\"“”]", "", text)
    number = r"(?<![\d.,$-])(\d+)(?![.,:]?\d)"
    said = re.findall(
        rf"(?:preference[^.\d]*?(?:is|would be|:)|answer\s*(?:is|:))\s*:?\s*{number}", plain, re.IGNORECASE
    )
    if said:
        return _one_of(said[-1], highest)
    scale_aside = re.sub(rf"\b(?:out of|on a scale of 1 to|on a scale from 1 to|/)\s*{highest}\b", "", plain)
    numbers = set(re.findall(r"[$-]?\d+(?:[.,:]\d+)*", scale_aside))
    return _one_of(numbers.pop(), highest) if len(numbers) == 1 and not _NEGATION.search(plain) else -1


def stated_probabilities(text: str, labels: Sequence[str]) -> np.ndarray | None:
    """Return the probabilities that a text states in JSON, float64[labels], summing to 1; None if there are none.

    Strict: the text is ``{"Flight 1": 0.2, "Flight 2": 0.5, "Flight 3": 0.3}``. Lenient: the last such object in the
    text, with keys in any case or the numbers alone; or a list of the right length; or percentages. Sums within 5% of 1
    count as rounded. Labels end in their number, from 1.

    >>> flights = ["Flight 1", "Flight 2", "Flight 3"]
    >>> stated_probabilities('{"Flight 1": 0.2, "Flight 2": 0.5, "Flight 3": 0.3}', flights).tolist()
    [0.2, 0.5, 0.3]
    >>> stated_probabilities('I say: {"1": "20%", "2": "60%", "3": "20%"}', flights).tolist()
    [0.2, 0.6, 0.2]
    >>> stated_probabilities('{"Flight 1": 1}', flights) is None
    True
    """
    for found in _json_values(text):
        values = _by_label(found, labels)
        if values is None:
            continue
        total = math.fsum(values)
        for whole in (1.0, 100.0):
            if abs(total / whole - 1) <= SUM_TOLERANCE:
                return np.array(values) / total
    return None


def _one_of(number: str, count: int) -> int:
    """Return the position of a number among 1 .. count, from 0; -1 if it is not one of them, or not written plainly."""
    return int(number) - 1 if number in map(str, range(1, count + 1)) else -1


def _json_values(text: str) -> list[Any]:
    """Return the innermost JSON objects and lists of a text, the last first."""
    found = []
    for innermost in re.findall(r"\{[^][{}]*\}|\[[^][{}]*\]", text):
        try:
            found.append(json.loads(innermost))
        except ValueError:  # brackets of prose
            continue
    return found[::-1]


def _by_label(found: Any, labels: Sequence[str]) -> list[float] | None:
    count = len(labels)
    if isinstance(found, Mapping):
        item = re.escape(_folded(labels[0]).rstrip("1 "))
        keys = {re.sub(rf"^(?:{item}|option)", "", _folded(key)).strip(): key for key in found}
        if len(found) != count or set(keys) != {str(number) for number in range(1, count + 1)}:
            return None
        found = [found[keys[str(number)]] for number in range(1, count + 1)]
    if not isinstance(found, list) or len(found) != count:
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
