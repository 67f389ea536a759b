"""The lines of a synthetic option's text: the values of each line, and how it reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np

from beliefbench.students.synthetic import lexicon
from beliefbench.students.synthetic.lexicon import distinct, invented, phrase

Kind = Literal["number", "scale", "growing", "counts", "category", "attributes", "title"]
ORDERED = ("number", "scale", "growing", "counts")


@dataclass(frozen=True)
class Line:
    """One line of an option's text.

    Parameters
    ----------
    kind
        Values that have an order, of which an option has one: ``"number"``: each is one number; ``"scale"``: words;
        ``"growing"``: nothing, or a list with one thing more than the value before; ``"counts"``: how many of one
        thing, and of another, each value one more. ``"category"``: one of several values without an order.
        ``"attributes"``: any number of several attributes. ``"title"``: a name, which no user cares about.
    label
        The text before the value; empty for a title.
    values
        The text of each value, attribute or title. Ordered values are in ascending order.
    share
        The probability that an option has an attribute; the other kinds do not use it.

    >>> line = Line("category", "color", ("red", "blue", "green"))
    >>> line.expand(np.array([0.5])).tolist(), line.text(np.array([0.5]))
    ([0.0, 1.0, 0.0], 'blue')
    """

    kind: Kind
    label: str
    values: tuple[str, ...]
    share: float = 0.5

    @property
    def features(self) -> int:
        """The number of an option's features that the line shows: one for each attribute, otherwise 1."""
        return len(self.values) if self.kind == "attributes" else 1

    @property
    def columns(self) -> int:
        """The number of columns to which users give weights: one for each attribute or category, 1 for ordered values,
        0 for a title.
        """
        return 1 if self.ordered else 0 if self.kind == "title" else len(self.values)

    @property
    def ordered(self) -> bool:
        """True if the values have an order."""
        return self.kind in ORDERED

    @cached_property
    def grid(self) -> tuple[float, ...]:
        """The values of each feature of the line, ascending, in [0, 1]."""
        if self.kind == "attributes":
            return (0.0, 1.0)
        return tuple(np.linspace(0, 1, len(self.values)).tolist()) if len(self.values) > 1 else (0.0,)

    @property
    def column_means(self) -> np.ndarray:
        """The mean of each column over drawn options, float[columns]."""
        if self.kind == "category":
            return np.full(self.columns, 1 / self.columns)
        return np.full(self.columns, self.share if self.kind == "attributes" else 0.5)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Return random options' features, independent of each other, float64[*shape, features]."""
        if self.kind == "attributes":
            return (rng.random((*shape, self.features)) < self.share).astype(float)
        return np.array(self.grid)[rng.integers(0, len(self.grid), (*shape, 1))]

    def expand(self, features: np.ndarray) -> np.ndarray:
        """Return the columns to which users give weights: float[..., features] -> float[..., columns]."""
        if self.kind == "category":
            return np.eye(len(self.values))[self.index(features[..., 0])]
        return features if self.kind != "title" else features[..., :0]

    def index(self, feature: np.ndarray) -> np.ndarray:
        """Return the index of a feature's value among `values`: float[...] -> int[...]."""
        return np.rint(np.asarray(feature) * (len(self.values) - 1)).astype(int)

    def text(self, features: np.ndarray) -> str:
        """Return the text of an option's value or attributes; features float[features]."""
        if self.kind == "attributes":
            return ", ".join(text for text, has in zip(self.values, features > 0.5, strict=True) if has) or "none"
        return self.values[int(self.index(features[0]))]

    def item_columns(self, item: str) -> np.ndarray:
        """Return what an item in the text adds to the columns, float[columns].

        >>> Line("scale", "noise", ("low", "some", "high")).item_columns("high").tolist()
        [0.5]
        >>> Line("growing", "with", ("nothing", "lid", "lid and lock")).item_columns("lock").tolist()
        [0.5]
        """
        if self.kind == "scale":
            return np.array([self.grid[self.values.index(item)] - 0.5])
        if self.kind == "growing":
            return np.array([0.0 if item == self.values[0] else 1 / (len(self.values) - 1)])
        return np.array([float(item == value) for value in self.values])

    def number_columns(self, numbers: Sequence[str], options: np.ndarray) -> np.ndarray:
        """Return what a number adds to the columns of some options, float[options, columns].

        Parameters
        ----------
        numbers
            The number's text in each option.
        options
            float[options, features]: the features of the line.

        >>> Line("counts", "has", ("0 big, 0 small", "1 big, 0 small", "1 big, 1 small")).number_columns(
        ...     ["1 big", "0 big"], np.array([[0.5], [0.0]])).tolist()
        [[0.5], [0.0]]
        """
        if self.kind == "counts":
            return np.array([[int(number.split()[0]) / (len(self.values) - 1)] for number in numbers])
        return self.expand(options)


def ordered(rng: np.random.Generator, p_invented: float) -> Line:
    """Return a line of ordered values: numbers, clock times, durations, money, words or growing lists.

    Here and below, ``p_invented`` is the probability that a phrase is invented.
    """
    kinds = (_number, _number, _number, _clock, _duration, _money, _money, _scale, _growing, _counts)
    return kinds[int(rng.integers(len(kinds)))](rng, p_invented)


def yes_no(rng: np.random.Generator, p_invented: float) -> Line:
    """Return a line of the values "no" and "yes"."""
    return Line("scale", phrase(rng, lexicon.ATTRIBUTES, p_invented), ("no", "yes"))


def category(rng: np.random.Generator, p_invented: float) -> Line:
    """Return a line of 2 to 5 values without an order."""
    count = int(rng.integers(2, 6))
    if rng.random() < 0.3:  # sizes and the like: numbers that nobody prefers because they are larger
        unit = phrase(rng, lexicon.UNITS, p_invented / 2)
        numbers = sorted(rng.choice(np.arange(1, 60), count, replace=False))
        return Line("category", phrase(rng, lexicon.KINDS, p_invented), tuple(f"{number} {unit}" for number in numbers))
    label = phrase(rng, lexicon.KINDS, p_invented)
    return Line("category", label, tuple(distinct(rng, lexicon.CATEGORIES, count, p_invented)))


def attributes(rng: np.random.Generator, p_invented: float) -> Line:
    """Return a line of 4 to 10 attributes."""
    label = phrase(rng, ["features", "has", "extras", "with", "offers", "included"], p_invented / 2)
    names = distinct(rng, lexicon.ATTRIBUTES, int(rng.integers(4, 11)), p_invented)
    return Line("attributes", label, tuple(names), float(rng.uniform(0.25, 0.6)))


def title(rng: np.random.Generator, p_invented: float) -> Line:
    """Return a line of 12 titles."""

    def name() -> str:
        parts = [invented(rng).capitalize()]
        parts += [phrase(rng, lexicon.CATEGORIES, p_invented).capitalize() for _ in range(int(rng.integers(0, 3)))]
        return " ".join([*parts, str(rng.choice(lexicon.ITEMS))])

    return Line("title", "", tuple(name() for _ in range(12)))


# Kinds of lines of ordered values.


def _number(rng: np.random.Generator, p_invented: float) -> Line:
    unit = phrase(rng, lexicon.UNITS, p_invented / 2) if rng.random() < 0.7 else ""
    largest = 10 ** float(rng.uniform(0, 3.2))
    decimals = 1 if rng.random() < 0.15 else 0
    label = phrase(rng, lexicon.QUANTITIES, p_invented)
    values = _steps(rng, largest / 10, 0.1) if decimals else _steps(rng, largest, 1)
    return Line("number", label, tuple(f"{value:.{decimals}f} {unit}".strip() for value in values))


def _money(rng: np.random.Generator, p_invented: float) -> Line:
    sign, label = str(rng.choice(lexicon.CURRENCIES)), phrase(rng, lexicon.COSTS, p_invented)
    if rng.random() < 0.1:
        values = _steps(rng, 10 ** float(rng.uniform(3.3, 5)), 10)
        return Line("number", label, tuple(f"{sign}{value:,.0f}" for value in values))
    decimals = 2 if rng.random() < 0.3 else 0
    values = _steps(rng, 10 ** float(rng.uniform(0.7, 3.3)), 0.01 if decimals else 1)
    return Line("number", label, tuple(f"{sign}{value:.{decimals}f}" for value in values))


def _clock(rng: np.random.Generator, p_invented: float) -> Line:
    first = int(rng.integers(0, 16 * 12)) * 5
    last = int(rng.integers(first // 5 + 24, 24 * 12)) * 5  # before midnight
    twelve_hours = rng.random() < 0.7
    label = phrase(rng, lexicon.TIMES, p_invented)
    values = np.linspace(first, last, _count(rng))
    return Line("number", label, tuple(clock_text(round(at), twelve_hours) for at in values))


def _duration(rng: np.random.Generator, p_invented: float) -> Line:
    values = _steps(rng, 10 ** float(rng.uniform(1.5, 3.2)), 1)
    hour, minute = [("hr", "min"), ("h", "min"), ("h", "m")][int(rng.integers(3))]
    label = phrase(rng, lexicon.DURATIONS, p_invented)
    return Line("number", label, tuple(duration_text(round(at), hour, minute) for at in values))


def _scale(rng: np.random.Generator, p_invented: float) -> Line:
    words = lexicon.SCALES[int(rng.integers(len(lexicon.SCALES)))]
    return Line("scale", phrase(rng, lexicon.ORDINALS, p_invented), words)


def _growing(rng: np.random.Generator, p_invented: float) -> Line:
    things = distinct(rng, lexicon.ATTRIBUTES, int(rng.integers(2, 5)), p_invented)
    nothing = str(rng.choice(["none", "nothing", f"no {invented(rng)}"]))
    lists = [list_text(things[:count]) for count in range(1, len(things) + 1)]
    return Line("growing", phrase(rng, lexicon.ORDINALS, p_invented), (nothing, *lists))


def _counts(rng: np.random.Generator, p_invented: float) -> Line:
    first, second = distinct(rng, lexicon.ATTRIBUTES, 2, p_invented)
    most = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    totals = range(sum(most) + 1)
    values = [f"{min(total, most[0])} {first}, {max(total - most[0], 0)} {second}" for total in totals]
    return Line("counts", phrase(rng, lexicon.ORDINALS, p_invented), tuple(values))


def _steps(rng: np.random.Generator, largest: float, unit: float) -> list[float]:
    """Return 2 to 21 different multiples of a unit, ascending and equally spaced before they are rounded."""
    smallest = largest * float(rng.choice([0, 0, 0.1, 0.3, 0.5]))
    largest = max(largest, smallest + unit * 2)
    values = np.round(np.linspace(smallest, largest, _count(rng)) / unit) * unit
    return sorted(set(values.tolist()))


def _count(rng: np.random.Generator) -> int:
    return int(rng.choice([2, 3, 3, 4, 5, 5, 6, 8, 11, 11, 11, 16, 21]))


def clock_text(minutes: int, twelve_hours: bool) -> str:
    """Return a time in minutes after midnight, 0 to 1,439, as text.

    >>> clock_text(1110, True), clock_text(1110, False)
    ('06:30 PM', '18:30')
    """
    hour, minute = divmod(minutes, 60)
    if twelve_hours:
        return f"{(hour - 1) % 12 + 1:02d}:{minute:02d} {'AM' if hour < 12 else 'PM'}"
    return f"{hour:02d}:{minute:02d}"


@lru_cache(maxsize=10_000)
def magnitude(text: str) -> float:
    """Return how large the number of a line is, from about -2 to 2: a time of the day, or the logarithm of others.

    >>> [round(magnitude(text), 2) for text in ("06:00 PM", "18:00", "$1,999", "2 hr", "120 min", "0")]
    [1.0, 1.0, 2.0, 0.52, 0.52, -2.0]
    """
    if clock := re.search(r"(\d+):(\d+)(?: ([AP])M)?", text):
        hour = int(clock[1]) % 12 + 12 * (clock[3] == "P") if clock[3] else int(clock[1])
        return 4 * (60 * hour + int(clock[2])) / (24 * 60) - 2
    numbers = re.findall(r"(\d[\d,]*(?:\.\d+)?) ?(\w*)", text)
    total = sum(float(number.replace(",", "")) * (60 if unit in ("hr", "h") else 1) for number, unit in numbers)
    return float(4 * np.log1p(total) / np.log1p(2_000) - 2)


def duration_text(minutes: int, hour: str, minute: str) -> str:
    """Return a duration in minutes as text, with the words for hours and minutes.

    >>> duration_text(150, "hr", "min"), duration_text(60, "hr", "min"), duration_text(0, "hr", "min")
    ('2 hr 30 min', '1 hr', '0 hr')
    """
    hours, rest = divmod(minutes, 60)
    return " ".join([f"{hours} {hour}"] * (hours > 0) + [f"{rest} {minute}"] * (rest > 0)) or f"0 {hour}"


def list_text(things: Sequence[str]) -> str:
    """Return a list as text.

    >>> list_text(["lid", "lock"]), list_text(["lid", "lock", "lamp"])
    ('lid and lock', 'lid, lock, and lamp')
    """
    if len(things) < 3:
        return " and ".join(things)
    return f"{', '.join(things[:-1])}, and {things[-1]}"
