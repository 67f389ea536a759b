"""``beliefbench leaderboard``: the leaderboard of finished runs, in any form."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from beliefbench.cli.console import echo, print_or_write, report_errors
from beliefbench.cli.options import RESULTS, Full, Plugins, Results, Trust, add_plugins
from beliefbench.errors import UsageError, counted


class Format(StrEnum):
    """How the leaderboard is written."""

    table = "table"
    md = "md"
    html = "html"
    latex = "latex"
    csv = "csv"
    json = "json"


class Sort(StrEnum):
    """The metrics that rows can be sorted by."""

    accuracy = "accuracy"
    agreement = "agreement"
    log_score = "log_score"
    coverage = "coverage"
    brier = "brier"
    ece = "ece"
    kl_exact = "kl_exact"


@report_errors
def leaderboard(
    results: Results = RESULTS,
    format: Annotated[
        Format,
        typer.Option(help="table: one table for the terminal, or all with --full. The other formats have all metrics."),
    ] = Format.table,
    full: Full = False,
    domain: Annotated[
        list[str] | None, typer.Option("--domain", help="Show this domain only. Repeat it for more.")
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option("--agent", help="Show this agent only, named as in the table. Repeat it for more. Ranks stay."),
    ] = None,
    sort: Annotated[
        Sort | None,
        typer.Option(help="Sort by this metric after the last round, best first. The default is by accuracy."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write to this file.")] = None,
    skill: Annotated[
        bool | None,
        typer.Option(
            "--skill/--no-skill",
            help="Fit the skill model if its posterior is not in DIR/skill yet; this takes about 20 seconds. The "
            "default is --skill for html, and for other files if all runs are published; --no-skill for all else. A "
            "stored posterior that this machine fitted is always used.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        bool, typer.Option("--reference", help="Also show the paper's published figures, marked as such.")
    ] = False,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also draw the pictures as PNG and SVG files in this folder.")
    ] = None,
    trust: Trust = None,
    plugins: Plugins = None,
) -> None:
    """Show the leaderboard of the finished runs in a folder. Every metric is recomputed from the recorded answers."""
    os.environ.setdefault(
        "OPENBLAS_NUM_THREADS", "1"
    )  # runs are read in threads: more of them would wait for each other
    from beliefbench.leaderboard.forms.compact import to_compact
    from beliefbench.leaderboard.forms.formats import writer
    from beliefbench.leaderboard.forms.terminal import to_terminal
    from beliefbench.leaderboard.ranking import read_leaderboard
    from beliefbench.publishing.signatures import check_trusted

    add_plugins(plugins)
    full = full or reference
    write = writer(format.value, reference, full)
    console = Console(file=sys.stderr)
    with console.status("reading runs"):
        board = read_leaderboard(results, trusted=check_trusted(trust))
    published = bool(board.rows) and all(row.published for row in board.rows)
    fit = format is Format.html or (format is not Format.table and published) if skill is None else skill
    doing = f"fitting the skill model to {counted(len(board.rows), 'run')}; the fit is kept" if fit else "reading runs"
    with console.status(doing):
        board = board.with_skill(results, fit)
    for problem in board.problems:
        echo(f"warning: {problem}")
    if unmarked := sum(row.published and row.found_intact is None for row in board.rows):
        echo(f"{counted(unmarked, 'published run')} without a mark; `beliefbench verify {results}` gives marks.")
    if board.rows:
        board = board.only(domain or [], agent or [])
        board = board.sorted_by(sort.value) if sort else board
    if not board.rows:
        echo(f"there are no finished runs below '{results}'; `beliefbench run --results {results}` makes some.")
    if pictures is not None:
        from beliefbench.leaderboard.page.pictures import draw_all

        try:
            echo(f"{len(draw_all(board, pictures))} pictures are in '{pictures}'.")
        except OSError as error:
            raise UsageError(f"'{pictures}' cannot be written ({error.strerror}); name another folder.") from error
    if format is Format.table and out is None:
        if full:
            to_terminal(board, Console(), reference)
        else:
            to_compact(board, Console())
        return
    text = write(board)
    print_or_write(text, out, "the leaderboard")
