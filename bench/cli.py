"""The command line: ``beliefbench list | run | leaderboard | export | publish | verify | check | import | teach``."""

from __future__ import annotations

import sys
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.console import say, sentences
from bench.finished import finished
from bench.options import RESULTS, Plugins, Results, add_plugins
from bench.teaching.commands import teach

app = typer.Typer(
    name="beliefbench",
    help="Measure how well assistants learn a person's hidden preferences, against the exact Bayesian answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(teach, name="teach")
app.add_typer(finished)
CHECKS = Path("results/checks")


class Preset(StrEnum):
    """How much to run where nothing else is said."""

    quick = "quick"
    paper = "paper"


class Executor(StrEnum):
    """Where agents are asked."""

    local = "local"
    ray = "ray"


class What(StrEnum):
    """What can be listed."""

    domains = "domains"
    agents = "agents"
    metrics = "metrics"


def _version(asked: bool) -> None:
    if asked:
        print(version("beliefbench"))
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole traceback of an error.")] = False,
) -> None:
    pass


@app.command("list")
@sentences
def list_(
    what: Annotated[What | None, typer.Argument(help="Domains, agents or metrics; all where left out.")] = None,
    plugins: Plugins = None,
) -> None:
    """List the domains, agents and metrics that are installed, anybody's plugins among them."""
    from bench import listing

    add_plugins(plugins)
    listing.print_lists(Console(), [what.value] if what else [each.value for each in What])


@app.command()
@sentences
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
    from bench.batch import Plan, planned, run_plan
    from bench.forms.terminal import to_terminal

    add_plugins(plugins)
    plan = Plan(preset.value, domain, agent, users, rounds, heldout, seed, results, executor.value, until_width)
    if estimate:
        from bench.estimate import estimates, print_estimates

        print_estimates(estimates(planned(plan, say), results, say), Console())
        return
    standings, failures = run_plan(plan, Console(file=sys.stderr), say)
    to_terminal(standings, Console())
    for problem in dict.fromkeys(map(str, (*standings.problems, *failures))):  # a model may fail alike on every domain
        say(f"error: {problem}")
    if standings.problems or failures:
        raise typer.Exit(1)


@app.command()
@sentences
def check(
    name: Annotated[str, typer.Argument(help="A domain, a suite of them, or an agent's SPEC.")],
    evidence: Annotated[Path, typer.Option(help="The folder that the evidence is written to, as JSON.")] = CHECKS,
    plugins: Plugins = None,
) -> None:
    """Check a domain or an agent, built in or anybody's, against its contract; a domain also against its PyMC model."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from bench.check import check as check_name

    add_plugins(plugins)
    columns = (SpinnerColumn(), TextColumn("checking"), TimeElapsedColumn())
    console = Console(file=sys.stderr)
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, disable=quiet) as bars:

        def report(line: str) -> None:
            bars.stop()
            print(line)
            bars.start()

        bars.add_task("")
        passed = check_name(name, evidence_folder=evidence, report=report)
    if not passed:
        raise typer.Exit(1)


@app.command("import")
@sentences
def import_(
    path: Annotated[Path, typer.Argument(help="The folder of the released files, unpacked, or one interaction file.")],
) -> None:
    """Import the paper's released files; their users appear as domains released/..., to run agents on.

    They are kept in $BELIEFBENCH_DATA, or in your own data folder where it is not set.
    """
    from bench.released.importing import import_path

    for name in import_path(path, report=print):
        say(f"`beliefbench run --domain {name}` runs agents on it.")


def main() -> None:
    """Run the command line; ``--debug`` may stand anywhere in it."""
    arguments = sys.argv[1:]
    app([argument for argument in arguments if argument != "--debug"])
