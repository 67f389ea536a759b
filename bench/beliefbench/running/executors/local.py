"""The executor ``local``: this process asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from beliefbench.running.answering import Answers, Job, Shard, ask
from beliefbench.running.executors.base import Name


class LocalExecutor:
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
