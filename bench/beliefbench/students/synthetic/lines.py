"""The lines of a synthetic option's text: what each can say, and how it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from beliefbench.students.synthetic import lexicon
from beliefbench.students.synthetic.lexicon import distinct, invented, phrase

Kind = Literal["ordered", "category", "attributes", "title"]


@dataclass(frozen=True)
class Line:
    """One line of an option's text.

    Parameters
    ----------
    kind
        ``"ordered"``: one of several values in an order. ``"category"``: one of several without an order.
        ``"attributes"``: any of several attributes. ``"title"``: a name that no user cares about.
    label
        What stands before the value; empty for a title.
    values
        The text of each value, in ascending order where they have one; or each attribute; or each title.
    share
        How likely each attribute is to be present.
    """

    kind: Kind
    label: str
    values: tuple[str, ...]
    share: float = 0.5

    @property
    def features(self) -> int:
        """Features of an option that the line shows: one an attribute, otherwise one."""
        return len(self.values) if self.kind == "attributes" else 1

    @property
    def columns(self) -> int:
        """Columns that a user weighs: one an attribute or category, one for an order, none for a title."""
        return {"ordered": 1, "category": len(self.values), "attributes": len(self.values), "title": 0}[self.kind]

    @property
    def grid(self) -> tuple[float, ...]:
        """The values of each of its features, from 0 to 1."""
        if self.kind == "attributes":
            return (0.0, 1.0)
        return tuple(np.linspace(0, 1, len(self.values)).tolist()) if len(self.values) > 1 else (0.0,)

    def expand(self, features: np.ndarray) -> np.ndarray:
        """Return what users weigh: float[..., features] -> float[..., columns]."""
        if self.kind == "category":
            return np.eye(len(self.values))[self.level(features[..., 0])]
        return features if self.kind != "title" else features[..., :0]

    def level(self, feature: np.ndarray) -> np.ndarray:
        """Return a feature's place among the values, int[...]."""
        return np.rint(np.asarray(feature) * (len(self.values) - 1)).astype(int)

    def parts(self, features: np.ndarray) -> list[tuple[str, int]]:
        """Return the texts of the line's values in an option, each with its number among `values`."""
        if self.kind == "attributes":
            return [(text, at) for at, text in enumerate(self.values) if features[at] > 0.5]
        at = int(self.level(features[0]))
        return [(self.values[at], at)]


def ordered(rng: np.random.Generator, strange: float) -> Line:
    """Return a line of ordered values: numbers with a unit, clock times, durations, money, words, or growing lists."""
    kinds = (number, number, clock, duration, money, money, words, words, growing)
    label, values = kinds[int(rng.integers(len(kinds)))](rng, strange)
    return Line("ordered", label, tuple(values if rng.random() < 0.8 else values[::-1]))


def number(rng: np.random.Generator, strange: float) -> tuple[str, list[str]]:
    unit = phrase(rng, lexicon.UNITS, strange / 2) if rng.random() < 0.7 else ""
    scale = 10 ** float(rng.uniform(0, 2.9))
    if rng.random() < 0.15:
        return phrase(rng, lexicon.QUANTITIES, strange), [
            f"{value:.1f} {unit}".strip() for value in _steps(rng, scale / 10, 0.1)
        ]
    return phrase(rng, lexicon.QUANTITIES, strange), [f"{value:.0f} {unit}".strip() for value in _steps(rng, scale, 1)]


def money(rng: np.random.Generator, strange: float) -> tuple[str, list[str]]:
    sign = str(rng.choice(lexicon.CURRENCIES))
    cents = rng.random() < 0.3
    values = _steps(rng, 10 ** float(rng.uniform(0.7, 2.99)), 0.01 if cents else 1)
    return phrase(rng, lexicon.COSTS, strange), [
        f"{sign}{value:.2f}" if cents else f"{sign}{value:.0f}" for value in values
    ]


def clock(rng: np.random.Generator, strange: float) -> tuple[str, list[str]]:
    first = int(rng.integers(0, 16 * 12)) * 5
    last = int(rng.integers(first // 5 + 24, 24 * 12)) * 5  # before midnight
    half = rng.random() < 0.7
    return phrase(rng, lexicon.TIMES, strange), [
        _clock(round(at), half) for at in np.linspace(first, last, _count(rng))
    ]


def duration(rng: np.random.Generator, strange: float) -> tuple[str, list[str]]:
    values = _steps(rng, 10 ** float(rng.uniform(1.5, 3)), 1)
    hour, minute = [("hr", "min"), ("h", "min"), ("h", "m")][int(rng.integers(3))]
    return phrase(rng, lexicon.DURATIONS, strange), [_duration(round(at), hour, minute) for at in values]


def words(rng: np.random.Generator, strange: float) -> tuple[str, list[str]]:
    return phrase(rng, lexicon.ORDINALS, strange), list(lexicon.SCALES[int(rng.integers(len(lexicon.SCALES)))])


def growing(rng: np.random.Generator, strange: float) -> tuple[str, list[str]]:
    """Lists of things, each a thing longer than the one before."""
    things = distinct(rng, lexicon.ATTRIBUTES, int(rng.integers(2, 5)), strange)
    nothing = str(rng.choice(["none", "nothing", f"no {invented(rng)}"]))
    lists = [_listed(things[:count]) for count in range(1, len(things) + 1)]
    return phrase(rng, lexicon.ORDINALS, strange), [nothing, *lists]


def yes_no(rng: np.random.Generator, strange: float) -> Line:
    return Line("ordered", phrase(rng, lexicon.ATTRIBUTES, strange), ("no", "yes"))


def category(rng: np.random.Generator, strange: float) -> Line:
    count = int(rng.integers(2, 6))
    if rng.random() < 0.3:  # sizes and the like: numbers that nobody prefers for being larger
        unit = phrase(rng, lexicon.UNITS, strange / 2)
        numbers = sorted(rng.choice(np.arange(1, 60), count, replace=False))
        return Line("category", phrase(rng, lexicon.KINDS, strange), tuple(f"{one} {unit}" for one in numbers))
    return Line(
        "category", phrase(rng, lexicon.KINDS, strange), tuple(distinct(rng, lexicon.CATEGORIES, count, strange))
    )


def attributes(rng: np.random.Generator, strange: float) -> Line:
    label = phrase(rng, ["features", "has", "extras", "with", "offers", "included"], strange / 2)
    names = distinct(rng, lexicon.ATTRIBUTES, int(rng.integers(4, 11)), strange)
    return Line("attributes", label, tuple(names), float(rng.uniform(0.25, 0.6)))


def title(rng: np.random.Generator, strange: float) -> Line:
    def name() -> str:
        parts = [invented(rng).capitalize()]
        parts += [phrase(rng, lexicon.CATEGORIES, strange).capitalize() for _ in range(int(rng.integers(0, 3)))]
        return " ".join([*parts, str(rng.choice(lexicon.ITEMS))])

    return Line("title", "", tuple(name() for _ in range(12)))


def _steps(rng: np.random.Generator, most: float, unit: float) -> list[float]:
    """Return 2 to 21 different multiples of a unit, evenly apart before they are rounded."""
    least = most * float(rng.choice([0, 0, 0.1, 0.3, 0.5]))
    most = max(most, least + unit * 2)
    values = np.round(np.linspace(least, most, _count(rng)) / unit) * unit
    return sorted(set(values.tolist()))


def _count(rng: np.random.Generator) -> int:
    return int(rng.choice([2, 3, 3, 4, 5, 5, 6, 8, 11, 11, 11, 16, 21]))


def _clock(minutes: int, half: bool) -> str:
    hour, minute = divmod(minutes, 60)
    return (
        f"{(hour - 1) % 12 + 1:02d}:{minute:02d} {'AM' if hour < 12 else 'PM'}" if half else f"{hour:02d}:{minute:02d}"
    )


def _duration(minutes: int, hour: str, minute: str) -> str:
    hours, rest = divmod(minutes, 60)
    return " ".join([f"{hours} {hour}"] * (hours > 0) + [f"{rest} {minute}"] * (rest > 0)) or f"0 {hour}"


def _listed(things: Sequence[str]) -> str:
    if len(things) < 3:
        return " and ".join(things)
    return f"{', '.join(things[:-1])}, and {things[-1]}"
