"""Every form that a leaderboard is written in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.errors import UsageError
from bench.forms.latex import to_latex
from bench.forms.markdown import to_markdown
from bench.forms.terminal import to_text
from bench.standings import Standings


def to_html(standings: Standings, reference: bool = False) -> str:
    """Return the leaderboard as one self-contained page."""
    from bench.page.page import to_html as page  # templates and pictures take a while to load

    return page(standings, reference)


def to_csv(standings: Standings) -> str:
    """Return one line for each row and round; the fields of JSON, an empty cell where an agent has none."""
    return standings.as_frame().to_csv(index=False)


def to_json(standings: Standings) -> str:
    """Return ``{"schema": 1, "rows": [...]}``."""
    return standings.as_json() + "\n"


FOR_PEOPLE: dict[str, Callable[..., str]] = {
    "table": to_text,
    "md": to_markdown,
    "html": to_html,
    "latex": to_latex,
}
FOR_PROGRAMS: dict[str, Callable[[Standings], str]] = {"csv": to_csv, "json": to_json}


def writer(form: str, reference: bool = False) -> Callable[[Standings], str]:
    """Return what writes a leaderboard in a form; ``reference``: with what others published on its domains beside it.

    Raises
    ------
    UsageError
        Where published figures are asked for in a form that holds runs alone.
    """
    if form in FOR_PEOPLE:
        return partial(FOR_PEOPLE[form], reference=reference)
    if reference:
        raise UsageError(f"--format {form} holds runs alone; --reference is for {', '.join(FOR_PEOPLE)}.")
    return FOR_PROGRAMS[form]
