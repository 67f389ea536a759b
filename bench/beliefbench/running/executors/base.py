"""The executor contract: an executor asks agents, in this process or elsewhere. The rows do not depend on the
executor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, Protocol

from beliefbench.errors import BeliefBenchError
from beliefbench.running.answering import Answers, Job, Shard

Name = Literal["local", "ray"]


class ExecutorError(BeliefBenchError):
    """The executor cannot be used: no other job can run on it either."""


class Executor(Protocol):
    """The executor contract."""

    name: Name

    def check(self, job: Job) -> None:
        """Raise `UsageError` if this executor cannot do a job. Starts nothing."""
        ...

    def slots(self) -> int:
        """Return how many shards are asked at a time."""
        ...

    def ask(self, job: Job, shards: Iterable[Shard]) -> Iterator[tuple[Shard, Answers]]:
        """Ask shards (`running.answering.ask`), in any order; yield the answers of a shard at a stage as they come."""
        ...
