"""``beliefbench compare``: two agents on the same questions."""

from __future__ import annotations

import sys
from enum import StrEnum
from io import StringIO
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from beliefbench.cli.console import print_or_write, report_errors
from beliefbench.cli.options import RESULTS, Plugins, Results, add_plugins


class Format(StrEnum):
    """How a comparison is written."""

    table = "table"
    md = "md"
    csv = "csv"
    json = "json"


NAMED = "An agent, named as in the table of `beliefbench leaderboard`, or the folder of a run."


@report_errors
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help=NAMED)],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    results: Results = RESULTS,
    domain: Annotated[
        list[str] | None, typer.Option("--domain", help="Compare on this domain only. Repeat it for more.")
    ] = None,
    format: Annotated[Format, typer.Option(help="csv and json have every metric after every round.")] = Format.table,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write to this file.")] = None,
    plugins: Plugins = None,
) -> None:
    """Compare two agents that answered the same questions: paired differences with 95% intervals, after each round.

    It also says how small a difference so many users can show, and how many users would show 2 percentage points.
    """
    import pandas as pd

    from beliefbench.leaderboard.comparing import as_json, pairs_of, record_of
    from beliefbench.leaderboard.forms.formats import plain
    from beliefbench.leaderboard.forms.pairs import to_markdown, to_terminal
    from beliefbench.leaderboard.ranking import read_leaderboard

    add_plugins(plugins)
    with Console(file=sys.stderr).status("reading runs"):
        board = read_leaderboard(results)
        pairs = pairs_of(board, first, second, results, domain or [])
    if format is Format.table and out is None:
        to_terminal(pairs, Console())
        return
    if format is Format.json:
        text = as_json(pairs)
    elif format is Format.md:
        text = to_markdown(pairs)
    elif format is Format.table:
        page = StringIO()
        to_terminal(pairs, Console(file=page, width=100))
        text = page.getvalue()
    else:
        lines = [record_of(line) for pair in pairs for line in pair.lines]
        text = pd.DataFrame(lines).map(plain).to_csv(index=False)
    print_or_write(text, out, "the comparison")
