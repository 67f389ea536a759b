"""Styles of agents in pictures: each has its own colour, dash pattern and marker, so that they differ in grey too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from beliefbench.leaderboard.row import Row, unique_labels

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


def labels_of(group: Sequence[Row]) -> list[str]:
    """Return the labels of rows in one table: the agent's name, with a number if another row has it too."""
    return unique_labels([row.fields["agent"] for row in group])


def marked(row: Row, label: str) -> str:
    """Return a row's label, with a mark if its agent sees the true preferences."""
    return f"{label}{PRIVILEGED_MARK}" if row.fields["privileged"] else label


def slugs_of(names: Sequence[str]) -> list[str]:
    """Return names in characters for addresses and file names, no two alike.

    >>> slugs_of(["webshop-hats", "prompted:A/b", "prompted:a-b", "<>"])
    ['webshop-hats', 'prompted-a-b', 'prompted-a-b-2', 'x']
    """
    found: list[str] = []
    for name in names:
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "x"
        free, number = slug, 1
        while free in found:
            number += 1
            free = f"{slug}-{number}"
        found.append(free)
    return found


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in percent; a dash for None.

    >>> percent(0.1234), percent(None) == NONE
    ('12.3', True)
    """
    return number(None if value is None else 100 * value, digits)


def number(value: float | None, digits: int = 3) -> str:
    """Return a number, without a negative zero; a dash for None.

    >>> number(-0.0001), number(1.5, 2), number(-1.5, 1) == f"{MINUS}1.5"
    ('0.000', '1.50', True)
    """
    return NONE if value is None else f"{round(value, digits) + 0.0:.{digits}f}".replace("-", MINUS)


Styles = Mapping[str, Style]
