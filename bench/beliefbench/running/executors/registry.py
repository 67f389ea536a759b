"""Executors by name. Only this module knows all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

from beliefbench.errors import UsageError
from beliefbench.running.executors.base import Executor, ExecutorError, Name
from beliefbench.running.executors.local import LocalExecutor


@contextmanager
def open_executor(name: str) -> Iterator[Executor]:
    """Open an executor by its name, and close it at the end.

    Raises
    ------
    UsageError
        If there is no such executor, or its settings are wrong.
    ExecutorError
        If a package that it needs is not installed.

    >>> with open_executor("local") as executor:
    ...     executor.slots()
    1
    """
    if name == "local":
        yield LocalExecutor()
        return
    if name != "ray":
        raise UsageError(f"there is no executor '{name}'; expected {' or '.join(get_args(Name))}.")
    try:
        from beliefbench.running.executors.ray import RayExecutor
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ExecutorError("executor 'ray' needs Ray: pip install ray.") from error
    cluster = RayExecutor()
    try:
        yield cluster
    finally:
        cluster.close()
