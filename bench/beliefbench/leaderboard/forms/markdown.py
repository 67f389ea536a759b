"""The leaderboard as Markdown tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

from tabulate import tabulate

from beliefbench.leaderboard.forms.cells import (
    BELIEF_TABLES,
    MARKS,
    PRIVILEGED_MARK,
    REFERENCE_HEADERS,
    REFERENCE_NOTE,
    SCORE_HEADERS,
    accuracies,
    accuracy_interval,
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
from beliefbench.leaderboard.ranking import Leaderboard
from beliefbench.leaderboard.reference.published import published
from beliefbench.leaderboard.row import Row, blocks_of

Cells = Callable[[Row], Sequence[str]]


def to_markdown(board: Leaderboard, reference: bool = False) -> str:
    """Return the leaderboard as Markdown tables, one a group; ``reference``: with what was published on its domain."""
    parts = []
    for group in board.groups():
        said = [*map(_literal, footnotes(group, escaped)), *map(escaped, reproductions(group))]
        notes = "\n".join(f"- {note}" for note in said)
        parts += [f"**{escaped(title_of(group))}**", *_tables(group), notes]
        if reference and (known := published(group[0].fields["domain"])):
            parts += [
                "Published elsewhere:",
                _github(REFERENCE_HEADERS, [list(map(str, one)) for one in known]),
                REFERENCE_NOTE,
            ]
    return "\n\n".join(parts) + "\n"


def _literal(note: str) -> str:
    r"""Return a note whose first character begins no list of its own.

    >>> print(_literal("*: the agent sees the users' true preferences."))
    \*: the agent sees the users' true preferences.
    """
    return f"\\{note}" if note[0] in "*-" else note


def escaped(text: str) -> str:
    r"""Return text as Markdown shows it, in a table too, without a link.

    >>> print(escaped("a|b <i> __init__ $x$ http://c"))
    a\|b &lt;i> \_\_init\_\_ \$x\$ http&#58;//c
    """
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("://", "&#58;//").replace("www.", "www&#46;")
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", text)


def _tables(group: list[Row]) -> list[str]:
    """Return the tables of a group, a title above each but the first."""
    stages = [one["round"] for one in group[0].rounds]
    headers = [*(f"acc {stage}" for stage in stages), "95%", *SCORE_HEADERS, *cost_headers(group)]
    tables = [
        _table(group, headers, _cells(bool(cost_headers(group))), _noted),
        "*Calibration error (ECE), % after round*",
        _table(group, [f"ECE {stage}" for stage in stages], eces),
    ]
    for title, columns in diagnostic_columns(group):
        headers = [column.header for column in columns]
        tables += [f"*{title}*", _table(group, headers, partial(cells_of, columns))]
    stating = [row for row in group if row.beliefs]
    if stating:
        headers = [f"{short} {stage}" for short, _, _ in BELIEF_TABLES for stage in stages]
        tables += ["*Stated beliefs, % after round*", _table(stating, headers, _beliefs, _noted)]
    return tables


def _beliefs(row: Row) -> list[str]:
    return [cell for _, _, cells in BELIEF_TABLES for cell in cells(row)]


def _cells(costs_too: bool) -> Cells:
    return lambda row: [*accuracies(row), accuracy_interval(row), *scores(row), *(costs(row) if costs_too else [])]


def _marked(row: Row) -> str:
    """Return a row's agent, marked where it is privileged and by what its run may be called."""
    return escaped(row.label) + PRIVILEGED_MARK * row.fields["privileged"] + MARKS[row.standing]


def _noted(row: Row) -> str:
    return _marked(row) + (f" ({escaped(row.note)})" if row.note else "")


def _table(group: list[Row], headers: Sequence[str], cells: Cells, name: Callable[[Row], str] = _marked) -> str:
    lines: list[list[str]] = []
    for heading, rows in blocks_of(group):
        if heading:
            lines.append(["", f"*{heading}:*", *[""] * len(headers)])
        lines += [[rank_of(row), name(row), *cells(row)] for row in rows]
    return _github(["#", "agent", *headers], lines)


def _github(headers: Sequence[str], lines: list[list[str]]) -> str:
    return tabulate(lines, headers=headers, tablefmt="github", disable_numparse=True)
