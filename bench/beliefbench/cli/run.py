"""``beliefbench run``: agents on domains, and their leaderboard."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from beliefbench.cli.console import echo, report_errors
from beliefbench.cli.options import RESULTS, Plugins, Results, add_plugins


class Preset(StrEnum):
    """How much to run where nothing else is said."""

    quick = "quick"
    paper = "paper"


class Executor(StrEnum):
    """Where agents are asked."""

    local = "local"
    ray = "ray"


@report_errors
def run(
    preset: Annotated[
        Preset,
        typer.Option(help="quick: 8 users, 8 held-out sets. paper: all users (1,000 at most), 100 held-out sets."),
    ] = Preset.quick,
    domain: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A domain or a suite of them; may be repeated. All where left out."),
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC",
            help="NAME, NAME:MODEL or NAME:MODEL,key=value; may be repeated. All that need no MODEL where left out.",
        ),
    ] = None,
    users: Annotated[int | None, typer.Option(help="Users a domain, in place of the preset's.")] = None,
    rounds: Annotated[
        int | None, typer.Option(help="Rounds a user; 5, or as many as were recorded, where left out.")
    ] = None,
    heldout: Annotated[int | None, typer.Option(help="Held-out sets a stage, in place of the preset's.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    results: Results = RESULTS,
    executor: Annotated[
        Executor,
        typer.Option(
            help="local: agents are asked in this process. ray: by the workers of a Ray cluster ($RAY_ADDRESS, or one "
            "that Ray finds, or one started here), each with $BELIEFBENCH_RAY_CPUS processors (1) and "
            "$BELIEFBENCH_RAY_GPUS GPUs (1, or 0 where the cluster has none; a share such as 0.25 is possible)."
        ),
    ] = Executor.local,
    until_width: Annotated[
        float | None,
        typer.Option(
            metavar="W",
            help="Ask users in a fixed random order, and no more once the 95% interval of an agent's accuracy after "
            "the last round is narrower than W, such as 0.05; it is looked at after 48, 72, 108, ... users.",
        ),
    ] = None,
    estimate: Annotated[
        bool,
        typer.Option("--estimate", help="Only say how many answers, requests and tokens it takes, and how long."),
    ] = False,
    plugins: Plugins = None,
) -> None:
    """Run agents on domains, go on with runs that were stopped, reuse finished ones, and show their leaderboard."""
    from beliefbench.cli.batch import Plan, planned, run_plan
    from beliefbench.leaderboard.forms.terminal import to_terminal
    from beliefbench.leaderboard.ranking import read_leaderboard

    add_plugins(plugins)
    plan = Plan(preset.value, domain, agent, users, rounds, heldout, seed, results, executor.value, until_width)
    if estimate:
        from beliefbench.cli.estimate import estimates, print_estimates

        print_estimates(estimates(planned(plan, echo), results, echo), Console())
        return
    runs, failures = run_plan(plan, Console(file=sys.stderr), echo)
    board = read_leaderboard(results, only=[done.folder for done in runs])
    to_terminal(board, Console())
    for problem in dict.fromkeys(map(str, (*board.problems, *failures))):  # a model may fail alike on every domain
        echo(f"error: {problem}")
    if board.problems or failures:
        raise typer.Exit(1)
