"""``beliefbench export``: runs and tasks in the formats of other tools."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beliefbench.cli.console import echo, report_errors
from beliefbench.cli.options import RESULTS, Plugins, add_plugins
from beliefbench.errors import UsageError, counted

if TYPE_CHECKING:
    from beliefbench.leaderboard.ranking import Leaderboard


class Format(StrEnum):
    """What is written."""

    netcdf = "netcdf"
    csv = "csv"
    parquet = "parquet"
    lm_eval = "lm-eval"
    every_eval_ever = "every-eval-ever"
    card = "card"


OUT = "The file to write (netcdf, csv, parquet), or the folder (lm-eval, every-eval-ever, card)."
FORMAT = (
    "netcdf: runs as an xarray DataTree for ArviZ. csv, parquet: a row an answer. lm-eval: tasks of domains for "
    "lm-evaluation-harness. every-eval-ever: metrics and answers in that schema. card: one agent's metrics for a model "
    "card of Hugging Face."
)
ONLY_TASKS = "Only for lm-eval, as in `beliefbench run`."


@report_errors
def export(
    out: Annotated[Path, typer.Option(metavar="PATH", help=OUT)],
    format: Annotated[Format, typer.Option(help=FORMAT)] = Format.netcdf,
    results: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help=f"The folder that holds the runs. Default: {RESULTS}.", show_default=False),
    ] = None,
    domain: Annotated[
        list[str] | None, typer.Option("--domain", help="This domain only; for lm-eval, a suite too. Repeat for more.")
    ] = None,
    agent: Annotated[
        list[str] | None, typer.Option("--agent", help="This agent only, named as in the table. Repeat for more.")
    ] = None,
    users: Annotated[int | None, typer.Option(help=f"{ONLY_TASKS} Default: 100.", show_default=False)] = None,
    rounds: Annotated[int | None, typer.Option(help=f"{ONLY_TASKS} Default: 5.", show_default=False)] = None,
    heldout: Annotated[int | None, typer.Option(help=f"{ONLY_TASKS} Default: 30.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help=f"{ONLY_TASKS} Default: 0.", show_default=False)] = None,
    plugins: Plugins = None,
) -> None:
    """Write finished runs, or the questions of domains, in a format that other tools read.

    netcdf fits the skill model if its posterior is not stored yet; this takes about 20 seconds.
    """
    add_plugins(plugins)
    numbers = {"users": users, "rounds": rounds, "heldout": heldout, "seed": seed}
    if format is Format.lm_eval:
        if agent:
            raise UsageError("--format lm-eval writes the questions of domains, for any model; leave out --agent.")
        if results is not None:
            raise UsageError("--format lm-eval writes the questions of domains and reads no runs; leave out --results.")
        _tasks(domain or [], {name: value for name, value in numbers.items() if value is not None}, out)
        return
    if given := [name for name, value in numbers.items() if value is not None]:
        raise UsageError(f"--{given[0]} is for --format lm-eval; runs have their own numbers: leave it out.")
    from beliefbench.leaderboard.ranking import read_leaderboard

    results = results or RESULTS
    board = read_leaderboard(results)
    for problem in board.problems:
        echo(f"warning: {problem}")
    if not board.rows:
        raise UsageError(
            f"there are no finished runs below '{results}'; `beliefbench run --results {results}` makes some."
        )
    board = board.only(domain or [], agent or [])
    try:
        WRITERS[format](board, results, out)
    except OSError as error:
        raise UsageError(f"'{out}' cannot be written ({error.strerror or error}); name another.") from error


def _tasks(names: list[str], numbers: dict[str, int], out: Path) -> None:
    from beliefbench.exchange.lm_eval.tasks import write_tasks
    from beliefbench.plugins.names import load_suite
    from beliefbench.protocol.protocol import Protocol

    if not names:
        raise UsageError("--format lm-eval needs a domain: add --domain NAME.")
    domains = tuple(domain for name in names for domain in load_suite(name))
    protocols = tuple(Protocol.of(domain, preset="standard", **numbers) for domain in domains)
    for group in write_tasks(domains, protocols, out):
        echo(f"`lm_eval --include_path {out} --tasks {group} --model hf --model_args pretrained=MODEL` runs it.")


def _netcdf(board: Leaderboard, results: Path, out: Path) -> None:
    from beliefbench.folders import write_atomically
    from beliefbench.leaderboard.datatree import compressed, tree_of

    tree = tree_of(board, results)
    with TemporaryDirectory() as scratch:
        draft = Path(scratch) / "runs.nc"
        tree.to_netcdf(draft, engine="h5netcdf", encoding=compressed(tree))
        write_atomically(out, draft.read_bytes())
    echo(f"{out}: {counted(len(board.rows), 'run')}.")


def _answers(board: Leaderboard, results: Path, out: Path, form: str) -> None:
    from beliefbench.exchange.answers import write_csv, write_parquet

    with TemporaryDirectory(dir=out.parent, prefix=".export-") as scratch:
        draft = Path(scratch) / out.name
        (write_csv if form == "csv" else write_parquet)(board.rows, draft)
        draft.replace(out)
    echo(f"{out}: the answers of {counted(len(board.rows), 'run')}.")


def _schema(board: Leaderboard, results: Path, out: Path) -> None:
    from beliefbench.exchange.every_eval_ever import write_runs

    files, problems = write_runs(board.rows, out)
    for problem in problems:
        echo(f"warning: {problem}")
    echo(f"{out}: {counted(len(files), 'run')}.")


def _card(board: Leaderboard, results: Path, out: Path) -> None:
    from beliefbench.exchange.model_card import write_card

    agents = sorted({row.fields["agent"] for row in board.rows})
    if len(agents) > 1:
        raise UsageError(f"a model card is of one agent; add --agent with one of: {', '.join(agents)}.")
    for file in write_card(board.rows, out):
        echo(f"{file} is written.")


WRITERS: dict[Format, Callable[[Any, Path, Path], None]] = {
    Format.netcdf: _netcdf,
    Format.csv: lambda board, results, out: _answers(board, results, out, "csv"),
    Format.parquet: lambda board, results, out: _answers(board, results, out, "parquet"),
    Format.every_eval_ever: _schema,
    Format.card: _card,
}
