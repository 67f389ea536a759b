"""Where agents are asked: in this process, or by the workers of a Ray cluster. Where it is changes no row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, Protocol, get_args

from bench.answering import Answers, Job, Shard, ask
from bench.errors import BeliefBenchError, UsageError

Name = Literal["local", "ray"]


class ExecutorError(BeliefBenchError):
    """There is nowhere to ask agents: whatever else was to be asked there cannot be asked either."""


class Executor(Protocol):
    """Somewhere to ask agents."""

    name: Name

    def check(self, job: Job) -> None:
        """Raise `UsageError` where a job cannot be done there; starts nothing."""
        ...

    def slots(self) -> int:
        """Return how many shards are asked at a time."""
        ...

    def ask(self, job: Job, shards: Iterable[Shard]) -> Iterator[tuple[Shard, Answers]]:
        """Ask shards (`bench.answering.ask`), in any order; yield the answers of a shard at a stage as they come."""
        ...


class Local:
    """This process."""

    name: Name = "local"

    def check(self, job: Job) -> None:
        """Do nothing: any job can be done here."""

    def slots(self) -> int:
        """Return 1."""
        return 1

    def ask(self, job: Job, shards: Iterable[Shard]) -> Iterator[tuple[Shard, Answers]]:
        """Ask one shard after the other."""
        for shard in shards:
            for answers in ask(job, shard):
                yield shard, answers


@contextmanager
def open_executor(name: str) -> Iterator[Executor]:
    """Open an executor by its name, and close it in the end.

    Raises
    ------
    UsageError
        Where there is none of that name, or it is set up wrongly.
    ExecutorError
        Where it needs what is not installed.

    >>> with open_executor("local") as executor:
    ...     executor.slots()
    1
    """
    if name == "local":
        yield Local()
        return
    if name != "ray":
        raise UsageError(f"there is no executor '{name}'; expected {' or '.join(get_args(Name))}.")
    try:
        from bench.cluster import Cluster
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ExecutorError("executor 'ray' needs Ray: pip install ray.") from error
    cluster = Cluster()
    try:
        yield cluster
    finally:
        cluster.close()
