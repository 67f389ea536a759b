"""Options that several commands share."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from beliefbench.cli.console import echo

RESULTS = Path("results/local")
Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="The folder that holds the runs.")]

Full = Annotated[
    bool, typer.Option("--full", help="Show all metrics in the terminal, one table for each kind of metric.")
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugins", metavar="DIR", help="A folder of plugin files (*.py) that are not packaged. Repeat it for more."
    ),
]

Key = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", show_default=False, help="Sign with this private SSH key."),
]
Trust = Annotated[
    Path | None,
    typer.Option(
        "--trust",
        metavar="FILE",
        show_default=False,
        help="The keys that you trust, a line 'NAME ssh-ed25519 KEY' each (OpenSSH's allowed_signers).",
    ),
]


SimulatedDomain = Annotated[
    str, typer.Option(metavar="SPEC", help="The domain of the simulated users: NAME or NAME,key=value.")
]


def run_command(domain: str, spec: str, plugins: list[Path] | None) -> str:
    """Return the command that asks an agent on a domain."""
    folders = [part for folder in plugins or [] for part in ("--plugins", str(folder))]
    return shlex.join(["beliefbench", "run", *folders, "--domain", domain, "--agent", spec])


def add_plugins(folders: list[Path] | None) -> None:
    """Add folders of plugin files, and say what is wrong with files that could not be loaded."""
    from beliefbench.plugins.sources import add_plugin_folders, broken_sources

    add_plugin_folders(folders or [])
    for error in broken_sources():
        echo(f"warning: {error}")
