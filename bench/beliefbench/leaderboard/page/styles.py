"""Styles of agents in pictures: each has its own colour, dash pattern and marker, so that they differ in grey too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from beliefbench.leaderboard.naming import shortened
from beliefbench.leaderboard.row import Row

INK, RULE, SHADE = "#1c2024", "#c9ced4", "#9aa3ad"
COLOURS = ("#0b62a8", "#c1440e", "#117733", "#8a3fa0", "#8a6a00", "#a3195b", "#0f7f78", "#4b4fc4")
"""A contrast of 4.5 or more with white; after Tol's and Okabe and Ito's palettes for the colour-blind, darkened."""
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (6, 2, 1.2, 2)), (0, (9, 3)))
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", "p", ">", "h")
PRIVILEGED_MARK = "*"
NONE, TO, MINUS = "\u2013", "\u2013", "\u2212"


class Style(NamedTuple):
    """A line: its colour, dash pattern and mark, as Matplotlib takes them, and which of `COLOURS` it has."""

    colour: str
    dash: Any
    mark: str
    number: int


def styles_of(names: Iterable[str]) -> dict[str, Style]:
    """Return a style for each name, no two alike up to 440 names: the numbers of colours, dashes and marks are coprime.

    >>> len(set(styles_of(map(str, range(440))).values()))
    440
    """
    return {
        name: Style(
            COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)], MARKS[place % len(MARKS)], place % len(COLOURS)
        )
        for place, name in enumerate(dict.fromkeys(names))
    }


def legend_labels(group: Sequence[Row], width: int) -> list[str]:
    """Return rows' labels in ``width`` columns, no two alike, with a mark if the agent sees the true preferences."""
    short = shortened([row.label for row in group], width)
    return [short[row.label] + PRIVILEGED_MARK * row.fields["privileged"] for row in group]


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in percent; a dash for None.

    >>> percent(0.1234), percent(None) == NONE
    ('12.3', True)
    """
    return number(None if value is None else 100 * value, digits)


def interval(low: float | None, high: float | None) -> str:
    """Return the ends of an interval of a share, in percent; a dash if there is none.

    >>> interval(0.25, 0.5) == f"25.0{TO}50.0", interval(None, None) == NONE
    (True, True)
    """
    return NONE if low is None else f"{percent(low)}{TO}{percent(high)}"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number, without a negative zero; a dash for None.

    >>> number(-0.0001), number(1.5, 2), number(-1.5, 1) == f"{MINUS}1.5"
    ('0.000', '1.50', True)
    """
    return NONE if value is None else f"{round(value, digits) + 0.0:.{digits}f}".replace("-", MINUS)


Styles = Mapping[str, Style]
