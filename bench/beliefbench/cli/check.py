"""``beliefbench check``: a domain or an agent against its contract."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from beliefbench.cli.console import report_errors, shown
from beliefbench.cli.options import Plugins, add_plugins

CHECKS = Path("results/local/checks")


@report_errors
def check(
    name: Annotated[str, typer.Argument(help="A domain, a suite, or the SPEC of an agent.")],
    evidence: Annotated[Path, typer.Option(metavar="DIR", help="The folder for the evidence, a JSON file.")] = CHECKS,
    plugins: Plugins = None,
) -> None:
    """Check a domain or an agent against its contract. Compare a domain with its PyMC model too, if it has one.

    The comparison needs PyMC (pip install pymc). Without it, the rest is checked, and the report says what is not.
    """
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from beliefbench.checking.check import check as check_name

    add_plugins(plugins)
    columns = (SpinnerColumn(), TextColumn("checking"), TimeElapsedColumn())
    console = Console(file=sys.stderr)
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, disable=quiet) as bars:

        def report(line: str) -> None:
            bars.stop()
            print(shown(line))
            bars.start()

        bars.add_task("")
        passed = check_name(name, evidence_folder=evidence, report=report)
    if not passed:
        raise typer.Exit(1)
