"""The whole leaderboard as tables for the terminal: every metric of every group. `forms.compact` has the short one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from io import StringIO

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from beliefbench.leaderboard.forms.cells import (
    BELIEF_TABLES,
    MARKS,
    PRIVILEGED_MARK,
    REFERENCE_HEADERS,
    REFERENCE_NOTE,
    SCORE_HEADERS,
    accuracies,
    accuracy_interval,
    agent_of,
    cells_of,
    cost_headers,
    costs,
    diagnostic_columns,
    eces,
    footnotes,
    rank_of,
    reproductions,
    scores,
    title_of,
)
from beliefbench.leaderboard.forms.columns import Column
from beliefbench.leaderboard.naming import shortened
from beliefbench.leaderboard.ranking import Leaderboard
from beliefbench.leaderboard.reference.published import published
from beliefbench.leaderboard.row import UNMARKED, Row, blocks_of

CONTINUED = " (continued: this terminal is too narrow for one table)"


def to_terminal(board: Leaderboard, console: Console, reference: bool = False) -> None:
    """Print the leaderboard: for each group of comparable rows, accuracy and then calibration by round.

    ``reference``: with what was published on the domain below it.
    """
    for group in board.groups():
        console.print(_group(group, console.width))
        if reference and (known := published(group[0].fields["domain"])):
            table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
            for header in REFERENCE_HEADERS:
                table.add_column(header, justify="left" if header in ("model", "taught") else "right")
            for one in known:
                table.add_row(*map(str, one))
            console.print(
                Text("Published elsewhere", style="italic"), table, Text(REFERENCE_NOTE, style="dim"), sep="\n"
            )


def to_full_text(board: Leaderboard, reference: bool = False) -> str:
    """Return what `to_terminal` prints on a page of 100 columns."""
    page = StringIO()
    to_terminal(board, Console(file=page, width=100), reference)
    return page.getvalue()


def _group(group: list[Row], width: int) -> RenderableType:
    short = shortened([row.label for row in group], width // 2 - len(PRIVILEGED_MARK) - max(map(len, MARKS.values())))
    about = [f"{row.label}: {row.note}" for row in group if row.note]
    about += [f"{short[row.label]}: {row.label}" for row in group if short[row.label] != row.label]
    group = [replace(row, label=short[row.label]) for row in group]
    names = max(cell_len(name) for row in group for name in (_named(row)[1], UNMARKED))
    fitting = max(1, (width - names - 20) // 6)  # a stage takes 6 columns; rank, interval and edges 20
    stages = [f"{one['round']}" for one in group[0].rounds]
    parts: list[RenderableType] = [Text(f"\n{title_of(group)}", style="bold")]
    for title, cells in (("Accuracy, % after round", accuracies), ("Calibration error (ECE), % after round", eces)):
        for first in range(0, len(stages), fitting):
            shown = slice(first, first + fitting)
            last = title.startswith("Accuracy") and first + fitting >= len(stages)
            headers, shown_cells = stages[shown] + ["95%"] * last, partial(_shown, cells, shown, last)
            parts.append(_table(group, title + CONTINUED * (first > 0), headers, shown_cells))
    scored = [Column(header, partial(_score, at)) for at, header in enumerate(SCORE_HEADERS)]
    parts += _tables(group, f"After round {stages[-1]}", scored, width - names - 8)
    stating = [row for row in group if row.beliefs]
    for _, title, beliefs in BELIEF_TABLES if stating else ():
        for first in range(0, len(stages), fitting):
            shown = slice(first, first + fitting)
            continued = title + CONTINUED * (first > 0)
            parts.append(_table(stating, continued, stages[shown], partial(_shown, beliefs, shown, False)))
    for title, columns in diagnostic_columns(group):
        parts += _tables(group, title, columns, width - names - 8)
    if cost_headers(group):
        counted = [row for row in group if row.tokens is not None]
        parts.append(_table(counted, "Tokens and time of all answers", cost_headers(group), costs))
    return Group(*parts, *[Text(note, style="dim") for note in (*about, *footnotes(group), *reproductions(group))])


def _score(at: int, row: Row) -> str:
    return scores(row)[at]


def _tables(group: list[Row], title: str, columns: Sequence[Column], width: int) -> list[RenderableType]:
    """Return columns in as many tables as it takes for each to fit a width, or be a single column."""
    parts: list[list[Column]] = [[]]
    used = 0
    for column in columns:
        wide = 2 + max(map(len, (column.header, *(column.cell(row) for row in group))))
        if parts[-1] and used + wide > width:
            parts.append([])
            used = 0
        parts[-1].append(column)
        used += wide
    return [
        _table(group, title + CONTINUED * (at > 0), [column.header for column in part], partial(cells_of, part))
        for at, part in enumerate(parts)
    ]


def _shown(cells: Callable[[Row], list[str]], shown: slice, interval: bool, row: Row) -> list[str]:
    return cells(row)[shown] + [accuracy_interval(row)] * interval


def _table(group: list[Row], title: str, headers: Sequence[str], cells: Callable[[Row], list[str]]) -> RenderableType:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("agent", no_wrap=True)
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    for heading, rows in blocks_of(group):
        if heading:
            table.add_row("", Text(heading, style="italic"))
        for row in rows:
            table.add_row(*[Text(cell) for cell in (*_named(row), *cells(row))])
    return Group(Text(title, style="italic"), table)  # a title of the table's own would wrap at its width


def _named(row: Row) -> list[str]:
    """Return the rank and the name of a row."""
    return [rank_of(row), agent_of(row) + MARKS[row.standing]]
