"""Sets of options as tables: what a reader reads in place of the suite's words.

A table has a row for each number that options have on a labelled line, and a row for each other item that some of the
options have, but not all. So what must be compared is side by side. The chat template of a reader (`chat_template`)
writes these tables; this module writes the same tables faster, because it knows the conversation before it is words.
Only strings are split and compared: no number is read, and no word of any domain is known. Rows have numbers in place
of labels and items, so that words that the reader was never taught make no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

START, ROUND, SET, IS = "<start>", "<round>", "<set>", "<is>"
"""The first token; before the table of a finished round; before the word for an option and a question's table; between
these two."""
ANSWER, END, PAD = "<assistant>", "<end>", "<pad>"
FIRST, SECOND, CHOSEN, OTHER = "<1>", "<2>", "<chosen>", "<other>"
"""After the numbers of the first two options of a question, and of a finished round, whose chosen option is first."""
LINES = 64
"""Rows have one of so many numbers, again from 1 where there are more."""
HAS = {shown: f"<has {shown}>" for shown in ("100", "010", "001", "110", "101", "011")}
"""Which options of a question have an item."""
CHOSEN_HAS = {shown: f"<chosen {shown[0]} others {shown[1]}>" for shown in ("01", "02", "10", "11")}
"""Whether the chosen option of a finished round has an item, and how many of the others have it."""
SEPARATORS = ("\n- ", "; ", " | ", ", and ", ", ", " and ")
"""They end a part of an option's text, as the end of a line does."""
COLON, COLONS = ": ", (" = ",)
"""Between a label and what is on its line; ``COLONS`` stand for the same."""

Cell = TypeVar("Cell")
Key = tuple[int, str, str]
"""A number's place on its line, or -1; an item, or an empty text; the label."""


def line_token(number: int) -> str:
    """Return the token of a row, which is numbered from 0.

    >>> line_token(0), line_token(64)
    ('<line 1>', '<line 1>')
    """
    return f"<line {number % LINES + 1}>"


def table_tokens() -> list[str]:
    """Return all tokens that only tables have."""
    lines = [line_token(number) for number in range(LINES)]
    return [START, ROUND, SET, IS, FIRST, SECOND, CHOSEN, OTHER, *HAS.values(), *CHOSEN_HAS.values(), *lines]


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Parameters
    ----------
    number
        The row's number in the conversation, from 0: the same in all tables.
    label
        The label of the line.
    place
        The place of a number among the numbers of the line; -1 for an item.
    cells
        For each option the text of its number, or the item where the option has it; otherwise an empty text.
    """

    number: int
    label: str
    place: int
    cells: tuple[str, ...]

    @property
    def item(self) -> str:
        """The item; the row is no row of numbers."""
        return max(self.cells)

    @property
    def has(self) -> tuple[bool, ...]:
        """Which options have the item."""
        return tuple(bool(cell) for cell in self.cells)

    def pieces(self, chosen: int | None = None) -> list[str]:
        """Return the tokens and texts that the row is written with.

        >>> Row(4, "price", 0, ("$10", "$30", "$20")).pieces()
        ['$10', '<1>', '$30', '<2>', '$20', '<line 5>']
        >>> Row(4, "price", 0, ("$10", "$30", "$20")).pieces(chosen=2)
        ['$20', '<chosen>', '$10', '<other>', '$30', '<line 5>']
        >>> Row(6, "has", -1, ("", "lid", "lid")).pieces()
        ['<has 011>', '<line 7>']
        """
        cells = self.cells if chosen is None else in_order(self.cells, chosen)
        line = line_token(self.number)
        if self.place >= 0:
            after = (FIRST, SECOND) if chosen is None else (CHOSEN, OTHER)
            return [piece for piece in (cells[0], after[0], cells[1], after[1], cells[2], line) if piece]
        has = [int(bool(cell)) for cell in cells]
        return [HAS["".join(map(str, has))] if chosen is None else CHOSEN_HAS[f"{has[0]}{has[1] + has[2]}"], line]


def in_order(cells: tuple[Cell, ...], chosen: int) -> tuple[Cell, ...]:
    """Return the cells with that of the chosen option first.

    >>> in_order(("a", "b", "c"), 1)
    ('b', 'a', 'c')
    """
    return (cells[chosen], *cells[:chosen], *cells[chosen + 1 :])


class Tables:
    """The tables of a conversation, which number its rows; ``keys`` are the rows so far."""

    def __init__(self, keys: Sequence[Key] = ()) -> None:
        self.keys = list(keys)

    def rows(self, options: Sequence[str]) -> list[Row]:
        """Return the rows of a set of options, and number those that are new.

        >>> tables = Tables()
        >>> for row in tables.rows(["price: $1, has: lid, lock", "price: $2, has: lid", "price: $3, has: lamp"]):
        ...     print(row.number, row.label, row.cells)
        0 price ('$1', '$2', '$3')
        1 has ('lid', 'lid', '')
        2 has ('lock', '', '')
        3 has ('', '', 'lamp')
        """
        found = [cells_of(option) for option in options]
        rows, known = [], {key: number for number, key in enumerate(self.keys)}
        for key in dict.fromkeys(key for one in found for key in one):
            place, _, label = key
            cells = tuple(one.get(key, "") for one in found)
            if place < 0 and all(cells):
                continue
            if key not in known:
                known[key] = len(known)
                self.keys.append(key)
            rows.append(Row(known[key], label, place, cells))
        return rows


@lru_cache(maxsize=64)  # a set is read when it is asked about, and again when its round is finished
def cells_of(option: str) -> Mapping[Key, str]:
    """Return the text of each number and item of an option.

    A part without a label belongs to the line before. Parts before the first label are a title, which is left out. If
    a label comes twice, its first numbers count, and all its items.

    >>> cells_of("Jug, price: $5, bags: 1 big, 2 small, has: lid and lock")
    ... # doctest: +NORMALIZE_WHITESPACE
    {(0, '', 'price'): '$5', (0, '', 'bags'): '1 big', (1, '', 'bags'): '2 small', (-1, 'lid', 'has'): 'lid',
     (-1, 'lock', 'has'): 'lock'}
    """
    for separator in SEPARATORS:
        option = option.replace(separator, "\n")
    for colon in COLONS:
        option = option.replace(colon, COLON)
    found: dict[Key, str] = {}
    label, place = "", 0
    for part in option.split("\n"):
        before, colon, item = part.partition(COLON)
        if colon:
            label, place = before, 0
        else:
            item = part
        if not label or not item:
            continue
        if any(letter in "0123456789" for letter in item):
            found.setdefault((place, "", label), item)
            place += 1
        else:
            found.setdefault((-1, item, label), item)
    return found
