"""Commands on finished runs: ``beliefbench leaderboard | export | publish | verify``."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from bench.console import say, sentences
from bench.errors import UsageError
from bench.options import RESULTS, Plugins, Results, add_plugins

finished = typer.Typer()
PUBLISHED = Path("results/published")


class Format(StrEnum):
    """How the leaderboard is written."""

    table = "table"
    md = "md"
    html = "html"
    latex = "latex"
    csv = "csv"
    json = "json"


@finished.command()
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
    from bench.forms.terminal import to_terminal
    from bench.forms.writer import writer
    from bench.standings import read_standings
    from bench.store import write_atomically

    write = writer(format.value, reference)
    console = Console(file=sys.stderr)
    with console.status("reading runs"):
        standings = read_standings(results)
    with console.status(f"fitting the skill model to {len(standings.rows)} runs; it is kept for the next time"):
        standings = standings.with_skill(results)
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
    text = write(standings)
    if out is None:
        print(text, end="")
        return
    try:
        write_atomically(out, text.encode())
    except OSError as error:
        raise UsageError(f"'{out}' cannot be written ({error.strerror}); name another file.") from error
    say(f"the leaderboard is in {out}.")


@finished.command()
@sentences
def export(
    out: Annotated[Path, typer.Option(metavar="FILE", help="The NetCDF file to write, such as runs.nc.")],
    results: Results = RESULTS,
) -> None:
    """Write finished runs as an xarray DataTree: answers, truth, exact answers, and the skill model's posterior."""
    from bench.exchange import compressed, tree_of
    from bench.standings import read_standings
    from bench.store import write_atomically

    standings = read_standings(results)
    for problem in standings.problems:
        say(f"warning: {problem}")
    if not standings.rows:
        raise UsageError(
            f"there are no finished runs below '{results}'; `beliefbench run --results {results}` makes some."
        )
    tree = tree_of(standings, results)
    try:
        with TemporaryDirectory() as scratch:
            draft = Path(scratch) / "runs.nc"
            tree.to_netcdf(draft, engine="h5netcdf", encoding=compressed(tree))
            write_atomically(out, draft.read_bytes())
    except OSError as error:
        raise UsageError(f"'{out}' cannot be written ({error.strerror or error}); name another file.") from error
    say(f"{out}: {len(standings.rows)} runs.")


@finished.command()
@sentences
def publish(
    run: Annotated[Path, typer.Argument(help="A finished run's folder, or a folder with finished runs below it.")],
    out: Annotated[Path, typer.Option(help="The folder that published runs are kept in.")] = PUBLISHED,
) -> None:
    """Pack finished runs, in 16 bits and 2 MB each at most, with the evidence that `verify` wants beside them."""
    from bench.publishing.publish import publish_all

    if not publish_all(run, out, say):
        raise typer.Exit(1)


@finished.command()
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
