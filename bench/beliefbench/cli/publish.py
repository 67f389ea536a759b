"""``beliefbench publish``: finished runs, packed small, with their evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from beliefbench.cli.console import echo, report_errors
from beliefbench.cli.options import Key

PUBLISHED = Path("results/published")


@report_errors
def publish(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run, or a folder that holds finished runs.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of published runs.")] = PUBLISHED,
    key: Key = None,
) -> None:
    """Pack finished runs, and write the evidence that `verify` needs.

    Probabilities are stored in 16 bits. A run takes 2 MB at most.
    """
    from beliefbench.publishing.publish import publish_all

    if not publish_all(run, out, echo, key):
        raise typer.Exit(1)
