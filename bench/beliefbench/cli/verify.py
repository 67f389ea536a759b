"""``beliefbench verify``: what the files of runs show, recomputed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from beliefbench.cli.console import echo, report_errors
from beliefbench.cli.options import Plugins, add_plugins


@report_errors
def verify(
    folder: Annotated[Path, typer.Argument(help="A run's folder, published or not, or one with runs below it.")],
    rerun: Annotated[
        int, typer.Option(metavar="N", min=0, help="Ask each run's agent again on N of its users, drawn at random.")
    ] = 0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the choice of those users; one of its own where left out.")
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Recompute what runs' files say from their seeds, and say what is missing, edited, duplicated or made up."""
    from beliefbench.publishing.verify import verify_all

    add_plugins(plugins)
    wrong = runs = 0
    for report in verify_all(folder, rerun, seed):
        print(*report.lines(), sep="\n", flush=True)
        runs, wrong = runs + 1, wrong + (not report.passed)
    echo(f"{runs - wrong} of {runs} runs are sound in all that was checked; what was not is marked --.")
    if wrong:
        raise typer.Exit(1)
