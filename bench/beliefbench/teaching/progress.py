"""The progress display of a training: a bar, the loss, and the validation results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

if TYPE_CHECKING:
    from beliefbench.teaching.trainer import Progress


@contextmanager
def progress_bar(console: Console) -> Iterator[Callable[[Progress], None]]:
    """Show a training while it runs; yield the function to call after each step.

    Where the console is no terminal, such as a file, there is a line for each tenth of the steps in place of a bar.
    """
    if not console.is_terminal:
        yield partial(_print_tenths, console, set())
        return
    columns = (
        SpinnerColumn(),
        TextColumn("steps"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
    )
    bars = Bars(*columns, console=console)
    bar = bars.add_task("", total=None, loss="")

    def on_progress(progress: Progress) -> None:
        bars.start()  # no sooner: what is wrong with a call is said without a bar
        bars.update(bar, completed=progress.step, total=progress.steps)
        if said := _measured(progress):
            bars.update(bar, loss=said)
        _print_validation(console, progress)

    try:
        yield on_progress
    finally:
        if bars.live.is_started:
            bars.stop()


def _print_tenths(console: Console, seen: set[int], progress: Progress) -> None:
    """Print a line if the training has come to another tenth of its steps; ``seen`` are those that were printed."""
    tenth = 10 * progress.step // max(progress.steps, 1)
    if tenth not in seen:
        seen.add(tenth)
        said = ", ".join(filter(None, [f"step {progress.step} of {progress.steps}", _measured(progress)]))
        console.print(said, soft_wrap=True)
    _print_validation(console, progress)


def _measured(progress: Progress) -> str:
    if progress.reward is not None:
        return f"reward {progress.reward:.3f}"
    return "" if progress.loss is None else f"loss {progress.loss:.3f}"


def _print_validation(console: Console, progress: Progress) -> None:
    if found := progress.validation:
        agreement, distance = 100 * found["agreement"], found["kl_exact"]
        console.print(f"step {progress.step}: agreement {agreement:.1f}%, KL from exact {distance:.3f} nats")
