"""``beliefbench run``: agents on domains, and their leaderboard."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from beliefbench.cli.console import echo, report_errors
from beliefbench.cli.options import RESULTS, Full, Plugins, Results, add_plugins
from beliefbench.errors import UsageError

if TYPE_CHECKING:
    from beliefbench.running.harness import Run


class Preset(StrEnum):
    """How many users and held-out sets to run by default."""

    quick = "quick"
    standard = "standard"
    paper = "paper"


class Executor(StrEnum):
    """Where agents are asked."""

    local = "local"
    ray = "ray"


@report_errors
def run(
    preset: Annotated[
        Preset,
        typer.Option(
            help="quick: 8 users, 8 held-out sets; prompted:MODEL is asked about 3 of the users. standard: 100 users, "
            "30 held-out sets. paper: all users (1,000 at most), 100 held-out sets."
        ),
    ] = Preset.quick,
    domain: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A domain, or a suite. Repeat it for more. The default is all domains."),
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC",
            help="NAME, NAME:MODEL or NAME:MODEL,key=value. Put double quotes around a MODEL or value that contains a "
            "comma, and then single quotes around the whole SPEC, for the shell. Repeat it for more. The default is "
            "all agents that need no MODEL.",
        ),
    ] = None,
    users: Annotated[int | None, typer.Option(help="Users of each domain, instead of the preset's number.")] = None,
    rounds: Annotated[
        int | None, typer.Option(help="Rounds of each user. The default is 5; for imported users, all their rounds.")
    ] = None,
    heldout: Annotated[int | None, typer.Option(help="Held-out sets, instead of the preset's number.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random draws.")] = 0,
    results: Results = RESULTS,
    executor: Annotated[
        Executor,
        typer.Option(
            help="local: this process asks the agents. ray: the workers of a Ray cluster ask them. The cluster is "
            "$RAY_ADDRESS, or one that Ray finds, or a new one on this machine. Each worker has $BELIEFBENCH_RAY_CPUS "
            "processors (default 1) and $BELIEFBENCH_RAY_GPUS GPUs (default 1, or 0 if the cluster has none; 0.25 is "
            "possible)."
        ),
    ] = Executor.local,
    sample: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Ask about N of the users only, drawn at random. The row has no rank if other rows have all users.",
        ),
    ] = None,
    until_width: Annotated[
        float | None,
        typer.Option(
            metavar="W",
            help="Stop an agent's run when the 95% interval of its accuracy after the last round is narrower than W, "
            "such as 0.05. The users are in random order. The check is after 48, 72, 108, ... users.",
        ),
    ] = None,
    estimate: Annotated[
        bool,
        typer.Option(
            "--estimate",
            help="Do not run; show how many answers, requests and tokens the run takes, and how long. This sends "
            "nothing to a server. It asks an agent on this machine a few questions.",
        ),
    ] = False,
    price_in: Annotated[
        float | None,
        typer.Option(metavar="P", min=0, help="With --estimate: the price of a million tokens that are read."),
    ] = None,
    price_out: Annotated[
        float | None,
        typer.Option(metavar="P", min=0, help="With --estimate: the price of a million tokens that are written."),
    ] = None,
    full: Full = False,
    plugins: Plugins = None,
) -> None:
    """Run agents on domains, then show their leaderboard.

    A stopped run continues. A finished run is not repeated.
    """
    from beliefbench.cli.batch import Plan, planned, run_plan
    from beliefbench.leaderboard.forms.compact import to_compact
    from beliefbench.leaderboard.forms.terminal import to_terminal
    from beliefbench.leaderboard.ranking import read_leaderboard

    def show_first(runs: list[Run]) -> None:
        to_compact(read_leaderboard(results, only=[done.folder for done in runs]), progress)
        progress.print("\nLanguage models are asked next. Their rows join the table.")

    add_plugins(plugins)
    if (price_in is not None or price_out is not None) and not estimate:
        raise UsageError("--price-in and --price-out need --estimate.")
    settings = (users, rounds, heldout, seed, results, executor.value, until_width, sample)
    plan = Plan(preset.value, domain, agent, *settings)
    progress = Console(file=sys.stderr)
    if estimate:
        from beliefbench.cli.estimate import Prices, estimates, print_estimates

        prices = None if price_in is None and price_out is None else Prices(price_in or 0.0, price_out or 0.0)
        work, broken = planned(plan, echo)
        print_estimates(estimates(work, results, echo), Console(), prices)
        for failure in broken:
            echo(f"error: {failure}")
        if broken:
            raise typer.Exit(1)
        return
    runs, failures = run_plan(plan, progress, echo, show_first)
    board = read_leaderboard(results, only=[done.folder for done in runs])
    (to_terminal if full else to_compact)(board, Console())
    for problem in dict.fromkeys(map(str, (*board.problems, *failures))):  # a model may fail alike on every domain
        echo(f"error: {problem}")
    if board.problems or failures:
        raise typer.Exit(1)
