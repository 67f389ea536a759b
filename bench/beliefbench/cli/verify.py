"""``beliefbench verify``: what the files of runs show, recomputed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from beliefbench.cli.console import echo, report_errors, shown
from beliefbench.cli.options import Key, Plugins, Trust, add_plugins
from beliefbench.errors import UsageError, counted


class Allow(StrEnum):
    """The values of `beliefbench.plugins.reach.Reach` that can be allowed."""

    remote_code = "remote-code"
    path = "path"
    hub = "hub"
    budget = "budget"
    settings = "settings"


@report_errors
def verify(
    folder: Annotated[Path, typer.Argument(help="The folder of a run, published or not, or a folder that holds runs.")],
    rerun: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Ask the agent again about N random users of each run."),
    ] = 0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed that draws those users. The default is a new seed for each call.")
    ] = None,
    allow: Annotated[
        list[Allow] | None,
        typer.Option(
            metavar="WHAT",
            show_default=False,
            help="What the SPEC in a run may do here: remote-code (run code that comes with a model), path (read and "
            "write paths), hub (download models), budget (take more memory or time), settings (give a plugin settings "
            "of which it does not declare what they do). Repeat it for more. The default is nothing.",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="Your name. Beside each published run whose agent gave the same answers (--rerun), write a record "
            "that says so: reproduced-<n>.json, with your name, today's date and the differences.",
        ),
    ] = None,
    key: Key = None,
    trust: Trust = None,
    plugins: Plugins = None,
) -> None:
    """Check the files of runs: recompute what follows from their seeds, and report what is missing, edited or
    duplicated.

    A published run that passes is intact: its files agree with each other, which anybody can make. With --rerun, a run
    whose agent gives the same answers again is reproduced.
    """
    from beliefbench.plugins.reach import Reach
    from beliefbench.publishing.reproductions import check_name
    from beliefbench.publishing.several import record_reproduction, verify_all
    from beliefbench.publishing.signatures import check_trusted

    add_plugins(plugins)
    if by is not None:
        if not rerun:
            raise UsageError("--by records that you asked an agent again; add --rerun N, the number of users.")
        by = check_name(by)
    elif key is not None:
        raise UsageError("--key signs the record of a reproduction; add --by with your name.")
    wrong = runs = intact = reproduced = 0
    for report in verify_all(folder, rerun, seed, [Reach(one) for one in allow or []], check_trusted(trust)):
        print(*map(shown, report.lines()), sep="\n", flush=True)
        runs, wrong = runs + 1, wrong + (not report.passed)
        intact, reproduced = intact + report.intact, reproduced + (report.intact and report.asked_again is not None)
        if by is not None:
            echo(record_reproduction(report, by, key))
    passed = f"{runs - wrong} of {counted(runs, 'run')}"
    echo(f"{passed} passed every check that was made; -- marks checks that are not possible here.")
    echo(f"{counted(intact, 'run')} intact; {counted(reproduced, 'run')} reproduced here.")
    if wrong:
        raise typer.Exit(1)
