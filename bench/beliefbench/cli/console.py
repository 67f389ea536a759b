"""What every command shares: how it speaks, and how it ends.

Exit status 0: done; 1: something failed; 2: the call is wrong. Tables go to standard output, all else to standard
error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from inspect import cleandoc
from pathlib import Path
from typing import Any

import typer

from beliefbench.errors import BeliefBenchError, UsageError, in_short, printable
from beliefbench.folders import write_atomically

RESUMABLE = ("run", "student", "reader", "curves", "grpo")
"""Commands that continue where they stopped."""
LONGEST = 2000
"""The most letters of a sentence on standard error; names of files and plugins may be of any length."""


def echo(sentence: str) -> None:
    """Print a sentence to standard error; escape sequences in it, of a name for example, are shown and not obeyed."""
    print(f"beliefbench: {shown(in_part(sentence))}", file=sys.stderr)


def in_part(sentence: str) -> str:
    """Return a sentence with at most `LONGEST` letters: its beginning and its end, which says what to do.

    >>> len(in_part("x" * 10_000)), in_part("short")
    (2000, 'short')
    """
    half = LONGEST // 2
    return sentence if len(sentence) <= LONGEST else f"{sentence[: half - 5]} ... {sentence[-half:]}"


def shown(text: str) -> str:
    """Return lines as a terminal may show them."""
    return printable(text, keep="\n\t")


def report_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Make a command say its errors in one sentence; the whole traceback only with ``--debug``."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except (BeliefBenchError, OSError) as error:
            if "--debug" in sys.argv:
                raise
            echo(f"error: {error}")
            raise typer.Exit(getattr(error, "exit_status", 1)) from error
        except BaseException as error:
            if type(error) is not KeyboardInterrupt:  # one of a plugin's own kind is no wish of the user
                if "--debug" in sys.argv:
                    raise
                what = in_short(error)
                echo(f"error: this is a bug or a broken plugin ({what}); --debug shows where.")
                raise typer.Exit(1) from error
            goes_on = command.__name__ in RESUMABLE and not kwargs.get("estimate")
            echo("stopped; the same command continues the run." if goes_on else "stopped.")
            sys.stderr.flush()
            os._exit(130)  # an orderly exit waits for compilations under way, and can crash in them

    # The help text: each paragraph on one line, so that the terminal's width alone wraps it.
    paragraphs = cleandoc(command.__doc__ or "").split("\n\n")
    wrapped.__doc__ = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    return wrapped


def print_or_write(text: str, out: Path | None, what: str) -> None:
    """Print a text to standard output, or write it to a file and say so; ``what`` is in it."""
    if out is None:
        print(text, end="")
        return
    try:
        write_atomically(out, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise UsageError(f"'{out}' cannot be written ({error.strerror}); name another file.") from error
    echo(f"{what} is in {out}.")
