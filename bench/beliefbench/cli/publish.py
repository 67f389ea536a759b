"""``beliefbench publish``: finished runs, packed small, with their evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from beliefbench.cli.console import echo, report_errors

PUBLISHED = Path("results/published")


@report_errors
def publish(
    run: Annotated[Path, typer.Argument(help="A finished run's folder, or a folder with finished runs below it.")],
    out: Annotated[Path, typer.Option(help="The folder that published runs are kept in.")] = PUBLISHED,
) -> None:
    """Pack finished runs, in 16 bits and 2 MB each at most, with the evidence that `verify` wants beside them."""
    from beliefbench.publishing.publish import publish_all

    if not publish_all(run, out, echo):
        raise typer.Exit(1)
