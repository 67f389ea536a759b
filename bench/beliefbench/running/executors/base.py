"""The executor contract: somewhere to ask agents. Where it is changes no row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, Protocol

from beliefbench.errors import BeliefBenchError
from beliefbench.running.answering import Answers, Job, Shard

Name = Literal["local", "ray"]


class ExecutorError(BeliefBenchError):
    """There is nowhere to ask agents: whatever else was to be asked there cannot be asked either."""


class Executor(Protocol):
    """Somewhere to ask agents."""

    name: Name

    def check(self, job: Job) -> None:
        """Raise `UsageError` if a job cannot be done there; starts nothing."""
        ...

    def slots(self) -> int:
        """Return how many shards are asked at a time."""
        ...

    def ask(self, job: Job, shards: Iterable[Shard]) -> Iterator[tuple[Shard, Answers]]:
        """Ask shards (`running.answering.ask`), in any order; yield the answers of a shard at a stage as they come."""
        ...
