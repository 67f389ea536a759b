"""``beliefbench leaderboard``: the leaderboard of finished runs, in any form."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from beliefbench.cli.console import echo, report_errors
from beliefbench.cli.options import RESULTS, Results
from beliefbench.errors import UsageError


class Format(StrEnum):
    """How the leaderboard is written."""

    table = "table"
    md = "md"
    html = "html"
    latex = "latex"
    csv = "csv"
    json = "json"


@report_errors
def leaderboard(
    results: Results = RESULTS,
    format: Annotated[Format, typer.Option(help="table is for the terminal, the others for files.")] = Format.table,
    out: Annotated[Path | None, typer.Option(help="Write to this file.")] = None,
    reference: Annotated[
        bool, typer.Option("--reference", help="Also show what the paper printed of its models, marked as such.")
    ] = False,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also draw the pictures, as PNG and SVG in this folder.")
    ] = None,
) -> None:
    """Show the leaderboard of the finished runs below a folder; every metric is recomputed from their rows."""
    from beliefbench.leaderboard.forms.formats import writer
    from beliefbench.leaderboard.forms.terminal import to_terminal
    from beliefbench.leaderboard.ranking import read_leaderboard
    from beliefbench.running.store import write_atomically

    write = writer(format.value, reference)
    console = Console(file=sys.stderr)
    with console.status("reading runs"):
        board = read_leaderboard(results)
    with console.status(f"fitting the skill model to {len(board.rows)} runs; it is kept for the next time"):
        board = board.with_skill(results)
    for problem in board.problems:
        echo(f"warning: {problem}")
    if not board.rows:
        echo(f"there are no finished runs below '{results}'; `beliefbench run --results {results}` makes some.")
    if pictures is not None:
        from beliefbench.leaderboard.page.pictures import draw_all

        try:
            echo(f"{len(draw_all(board, pictures))} pictures are in '{pictures}'.")
        except OSError as error:
            raise UsageError(f"'{pictures}' cannot be written ({error.strerror}); name another folder.") from error
    if format is Format.table and out is None:
        to_terminal(board, Console(), reference)
        return
    text = write(board)
    if out is None:
        print(text, end="")
        return
    try:
        write_atomically(out, text.encode())
    except OSError as error:
        raise UsageError(f"'{out}' cannot be written ({error.strerror}); name another file.") from error
    echo(f"the leaderboard is in {out}.")
