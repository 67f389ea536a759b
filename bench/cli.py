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
from bench.errors import UsageError
from bench.teaching.commands import teach

app = typer.Typer(
    name="beliefbench",
    help="Measure how well assistants learn a person's hidden preferences, against the exact Bayesian answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(teach, name="teach")
RESULTS = Path("results/local")
CHECKS = Path("results/checks")
PUBLISHED = Path("results/published")


class Preset(StrEnum):
    """How much to run where nothing else is said."""

    quick = "quick"
    paper = "paper"


class Executor(StrEnum):
    """Where agents are asked."""

    local = "local"
    ray = "ray"


class Format(StrEnum):
    """How the leaderboard is written."""

    table = "table"
    md = "md"
    html = "html"
    latex = "latex"
    csv = "csv"
    json = "json"


class What(StrEnum):
    """What can be listed."""

    domains = "domains"
    agents = "agents"
    metrics = "metrics"


Results = Annotated[Path, typer.Option("--results", help="The folder that runs are kept in.")]

Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugins", metavar="DIR", help="A folder of plugin files (*.py) not yet packaged; may be repeated."),
]


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
        typer.Option(help="quick: 12 users, 8 held-out sets. paper: all users (1,000 at most), 100 held-out sets."),
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
    from bench.tables import to_terminal

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
def leaderboard(
    results: Results = RESULTS,
    format: Annotated[Format, typer.Option(help="table is for the terminal, the others for files.")] = Format.table,
    out: Annotated[Path | None, typer.Option(help="Write to this file.")] = None,
    reference: Annotated[
        bool, typer.Option("--reference", help="Also show what the paper printed of its models, marked as such.")
    ] = False,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also draw the pictures, as PNG and SVG in this folder.")
    ] = None,
) -> None:
    """Show the leaderboard of the finished runs below a folder; every metric is recomputed from their rows."""
    from bench.formats import written
    from bench.standings import read_standings
    from bench.store import write_atomically
    from bench.tables import to_terminal

    console = Console(file=sys.stderr)
    with console.status("fitting the skill model" if console.is_terminal else ""):
        standings = read_standings(results).with_skill(results)
    for problem in standings.problems:
        say(f"warning: {problem}")
    if not standings.rows:
        say(f"there are no finished runs below '{results}'; `beliefbench run --results {results}` makes some.")
    if pictures is not None:
        from bench.page.pictures import draw_all

        try:
            say(f"{len(draw_all(standings, pictures))} pictures are in '{pictures}'.")
        except OSError as error:
            raise UsageError(f"'{pictures}' cannot be written ({error.strerror}); name another folder.") from error
    if format is Format.table and out is None:
        to_terminal(standings, Console(), reference)
        return
    text = written(standings, format.value, reference)
    if out is None:
        print(text, end="")
        return
    try:
        write_atomically(out, text.encode())
    except OSError as error:
        raise UsageError(f"'{out}' cannot be written ({error.strerror}); name another file.") from error
    say(f"the leaderboard is in {out}.")


@app.command()
@sentences
def export(
    out: Annotated[Path, typer.Option(metavar="FILE", help="The NetCDF file to write, such as runs.nc.")],
    results: Results = RESULTS,
) -> None:
    """Write finished runs as an xarray DataTree: answers, truth, exact answers, and the skill model's posterior."""
    from bench.exchange import compressed, tree_of
    from bench.standings import read_standings

    standings = read_standings(results)
    for problem in standings.problems:
        say(f"warning: {problem}")
    if not standings.rows:
        raise UsageError(
            f"there are no finished runs below '{results}'; `beliefbench run --results {results}` makes some."
        )
    tree = tree_of(standings, results)
    try:
        tree.to_netcdf(out, engine="h5netcdf", encoding=compressed(tree))
    except OSError as error:
        raise UsageError(f"'{out}' cannot be written ({error.strerror or error}); name another file.") from error
    say(f"{out}: {len(standings.rows)} runs.")


@app.command()
@sentences
def publish(
    run: Annotated[Path, typer.Argument(help="A finished run's folder, or a folder with finished runs below it.")],
    out: Annotated[Path, typer.Option(help="The folder that published runs are kept in.")] = PUBLISHED,
) -> None:
    """Pack finished runs, in 16 bits and 2 MB each at most, with the evidence that `verify` wants beside them."""
    from bench.publishing.publish import publish_all

    if not publish_all(run, out, say):
        raise typer.Exit(1)


@app.command()
@sentences
def verify(
    folder: Annotated[Path, typer.Argument(help="A run's folder, published or not, or one with runs below it.")],
    rerun: Annotated[
        int, typer.Option(metavar="N", min=0, help="Ask each run's agent again on N of its users, drawn at random.")
    ] = 0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the choice of those users; one of its own where left out.")
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Recompute what runs' files say from their seeds, and say what is missing, edited, duplicated or made up."""
    from bench.publishing.verify import verify_all

    add_plugins(plugins)
    wrong = runs = 0
    for report in verify_all(folder, rerun, seed):
        print(*report.lines(), sep="\n", flush=True)
        runs, wrong = runs + 1, wrong + (not report.passed)
    say(f"{runs - wrong} of {runs} runs are sound in all that was checked; what was not is marked --.")
    if wrong:
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


def add_plugins(folders: list[Path] | None) -> None:
    """Add folders of plugin files, and say what is wrong with files that could not be loaded."""
    from bench.sources import add_plugin_folder, broken_files

    for folder in folders or []:
        add_plugin_folder(folder)
    for error in broken_files():
        say(f"warning: {error}")


def main() -> None:
    """Run the command line; ``--debug`` may stand anywhere in it."""
    arguments = sys.argv[1:]
    app([argument for argument in arguments if argument != "--debug"])
