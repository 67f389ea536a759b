"""Every form that a leaderboard is written in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from beliefbench.errors import UsageError
from beliefbench.leaderboard.forms.compact import to_text
from beliefbench.leaderboard.forms.latex import to_latex
from beliefbench.leaderboard.forms.markdown import to_markdown
from beliefbench.leaderboard.forms.terminal import to_full_text
from beliefbench.leaderboard.ranking import Leaderboard
from beliefbench.plugins.sources import is_builtin
from beliefbench.running.derived import keep, key_of, recalled

FORMULA = ("=", "+", "-", "@")
"""What formulas of spreadsheets begin with."""


def to_html(board: Leaderboard, reference: bool = False) -> str:
    """Return the leaderboard as one self-contained page."""
    key = _key_of_page(board, reference)
    page: str | None = None if key is None else recalled(key)
    if page is None:
        from beliefbench.leaderboard.page.page import to_html as page_of  # templates and pictures take a while to load

        page = page_of(board, reference)
        if key is not None:
            keep(key, page)
    return page


def _key_of_page(board: Leaderboard, reference: bool) -> str | None:
    """Return the key of a page among what is kept; None if it also follows from files that the key does not cover."""
    if not all(row.digest and is_builtin(row.record.identity.domain.name) for row in board.rows):
        return None
    rows = [
        [row.digest, row.folder.parts[-3:], row.skill and asdict(row.skill), row.fields["rank"], row.label, row.marks]
        for row in board.rows
    ]
    return key_of("page", rows=rows, problems=board.problems, reference=reference)


def to_csv(board: Leaderboard) -> str:
    """Return one line for each row and round; the fields of JSON, an empty cell where an agent has none.

    Text that a spreadsheet would take for a formula begins with an apostrophe, which spreadsheets do not show.
    """
    return board.as_frame().map(plain).to_csv(index=False)


def plain(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula.

    >>> plain("=1+1"), plain("p"), plain(-1.0)
    ("'=1+1", 'p', -1.0)
    """
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip()[:1] in FORMULA else cell


def to_json(board: Leaderboard) -> str:
    """Return ``{"schema": 1, "rows": [...]}``."""
    return board.as_json() + "\n"


FOR_PEOPLE: dict[str, Callable[..., str]] = {
    "table": to_full_text,
    "md": to_markdown,
    "html": to_html,
    "latex": to_latex,
}
FOR_PROGRAMS: dict[str, Callable[[Leaderboard], str]] = {"csv": to_csv, "json": to_json}


def writer(form: str, reference: bool = False, full: bool = False) -> Callable[[Leaderboard], str]:
    """Return the function that writes a leaderboard in a form.

    Parameters
    ----------
    form
        One of `FOR_PEOPLE` or `FOR_PROGRAMS`.
    reference
        Whether to add the figures that others published on its domains. The table is then the full one.
    full
        Whether the table holds all metrics. The other forms always do.

    Raises
    ------
    UsageError
        If published figures are asked for in a form that holds runs alone.
    """
    if form == "table" and not (full or reference):
        return to_text
    if form in FOR_PEOPLE:
        return partial(FOR_PEOPLE[form], reference=reference)
    if reference:
        raise UsageError(f"--format {form} holds runs alone; --reference is for {', '.join(FOR_PEOPLE)}.")
    return FOR_PROGRAMS[form]
