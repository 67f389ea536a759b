"""``beliefbench import``: the paper's released files, and products."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from beliefbench.cli.console import echo, report_errors


@report_errors
def import_(
    path: Annotated[Path, typer.Argument(help="The folder of the released files, unpacked, or one interaction file.")],
) -> None:
    """Import the paper's released files; their users appear as domains released/..., to run agents on.

    They are kept in $BELIEFBENCH_DATA, or in your own data folder where it is not set.
    """
    from beliefbench.released.importing import import_path

    for name in import_path(path, report=print):
        echo(f"`beliefbench run --domain {name}` runs agents on it.")
