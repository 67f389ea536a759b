"""``beliefbench export``: finished runs as an xarray DataTree."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from beliefbench.cli.console import echo, report_errors
from beliefbench.cli.options import RESULTS, Results
from beliefbench.errors import UsageError, counted


@report_errors
def export(
    out: Annotated[Path, typer.Option(metavar="FILE", help="The NetCDF file to write, such as runs.nc.")],
    results: Results = RESULTS,
) -> None:
    """Write finished runs as an xarray DataTree: answers, truth, exact answers, and the posterior of the skill model.

    The skill model is fitted if its posterior is not stored yet; this takes about 20 seconds.
    """
    from beliefbench.folders import write_atomically
    from beliefbench.leaderboard.datatree import compressed, tree_of
    from beliefbench.leaderboard.ranking import read_leaderboard

    board = read_leaderboard(results)
    for problem in board.problems:
        echo(f"warning: {problem}")
    if not board.rows:
        raise UsageError(
            f"there are no finished runs below '{results}'; `beliefbench run --results {results}` makes some."
        )
    tree = tree_of(board, results)
    try:
        with TemporaryDirectory() as scratch:
            draft = Path(scratch) / "runs.nc"
            tree.to_netcdf(draft, engine="h5netcdf", encoding=compressed(tree))
            write_atomically(out, draft.read_bytes())
    except OSError as error:
        raise UsageError(f"'{out}' cannot be written ({error.strerror or error}); name another file.") from error
    echo(f"{out}: {counted(len(board.rows), 'run')}.")
