"""``beliefbench import``: the paper's released files, and products."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from beliefbench.cli.console import echo, report_errors
from beliefbench.errors import printable


@report_errors
def import_(
    path: Annotated[Path, typer.Argument(help="The unpacked folder of the released files, or one interaction file.")],
) -> None:
    """Import the paper's released files. Their users become the domains released/...

    The data is kept in $BELIEFBENCH_DATA, or in your data folder if that is not set.
    """
    from beliefbench.released.importing import import_path

    console = Console(stderr=True)
    with console.status("reading") as status:
        names = import_path(path, report=print, progress=lambda sentence: status.update(printable(sentence)))
    for name in names:
        echo(f"`beliefbench run --domain {name}` runs agents on it.")
