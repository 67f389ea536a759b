"""The command line, ``beliefbench``: each command has a file beside this one."""

from __future__ import annotations

import sys
from functools import cache
from typing import Annotated, Any

import typer

from beliefbench.cli.check import check
from beliefbench.cli.compare import compare
from beliefbench.cli.export import export
from beliefbench.cli.grpo import grpo
from beliefbench.cli.import_ import import_
from beliefbench.cli.leaderboard import leaderboard
from beliefbench.cli.list import list_
from beliefbench.cli.publish import publish
from beliefbench.cli.run import run
from beliefbench.cli.teach import teach
from beliefbench.cli.verify import verify
from beliefbench.folders import keep_compiled_programs

app = typer.Typer(
    name="beliefbench",
    help="Measure how well an assistant learns a user's preferences, against the exact Bayesian answer.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command, function in {
    "list": list_,
    "run": run,
    "check": check,
    "import": import_,
    "leaderboard": leaderboard,
    "compare": compare,
    "export": export,
    "publish": publish,
    "verify": verify,
}.items():
    app.command(command)(function)
teach.command("grpo")(grpo)
app.add_typer(teach, name="teach")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("beliefbench"))
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the full traceback of an error.")] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; ``--debug`` may be anywhere in it."""
    keep_compiled_programs()
    arguments = sys.argv[1:]
    _command()([argument for argument in arguments if argument != "--debug"])


@cache  # to build it takes longer than many calls of a process that makes several
def _command() -> Any:
    return typer.main.get_command(app)
