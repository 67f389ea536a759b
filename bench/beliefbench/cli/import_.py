"""``beliefbench import``: the paper's released files, products, and logs of Inspect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from beliefbench.cli.console import echo, report_errors
from beliefbench.cli.options import RESULTS, Results
from beliefbench.errors import UsageError, printable

PATH = "The unpacked folder of the released files, one interaction file, or a log of `inspect eval` (*.eval)."


@report_errors
def import_(path: Annotated[Path, typer.Argument(help=PATH)], results: Results = RESULTS) -> None:
    """Import the paper's released files, or a log of Inspect.

    The users in the released files become the domains released/... The data is kept in $BELIEFBENCH_DATA, or in your
    data folder if that is not set. A log of a task of beliefbench (*.eval) becomes a run in the results folder.
    """
    console = Console(stderr=True)
    with console.status("reading") as status:
        if path.suffix == ".eval":
            from beliefbench.exchange.inspect.importing import import_log

            folders = import_log(path, results, lambda done, total: status.update(f"{done} of {total} users read"))
            for folder in folders:
                echo(f"{folder}: a run. `beliefbench leaderboard --results {results}` shows it.")
            return
        if path.is_dir() and (logs := sorted(path.glob("*.eval"))):
            raise UsageError(f"'{path}' is a folder of logs of Inspect; import one: beliefbench import {logs[0]}")
        from beliefbench.released.importing import import_path

        names = import_path(path, report=print, progress=lambda sentence: status.update(printable(sentence)))
    for name in names:
        echo(f"`beliefbench run --domain {name}` runs agents on it.")
