"""The executor ``ray``: workers of a Ray cluster ask shards, and only this process writes the answers.

A worker receives names and arrays, never an agent, a domain or a state. It loads the domain and the agent by their
SPECs, keeps them from shard to shard, and replays earlier answers. If a worker dies, only its current stage is lost,
and answers that were on their way; they are asked again.
"""

from __future__ import annotations

import json
import os
import platform
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray._private import worker as driver

from beliefbench.errors import BeliefBenchError, UsageError, in_short
from beliefbench.folders import data_folder
from beliefbench.plugins import sources
from beliefbench.plugins.names import load_agent, load_suite
from beliefbench.protocol.protocol import Protocol
from beliefbench.protocol.stopping import StoppingRule
from beliefbench.running.answering import Answers, Job, Shard, ask, run_identity
from beliefbench.running.executors.base import ExecutorError, Name
from beliefbench.running.executors.ray_session import CPUS, GPUS, check_address, join, setting

MAX_WORKER_DEATHS = 3
"""Workers that may die over one stage of a shard."""


@dataclass(frozen=True)
class JobOrder:
    """What a worker is to load, and what of this process it is to take on before."""

    domain: str
    domain_name: str
    agent: str
    protocol: Protocol
    stopping: StoppingRule | None
    identity: str
    plugins: tuple[str, ...]
    data: str
    folder: str

    @classmethod
    def of(cls, job: Job) -> JobOrder:
        """Return the order for a job, or raise `UsageError` if it has no SPECs."""
        domain, agent = _specs(job)
        return cls(
            domain=domain,
            domain_name=job.domain.name,
            agent=agent,
            protocol=job.protocol,
            stopping=job.stopping,
            identity=_identity(job),
            plugins=tuple(str(folder) for folder in sources.plugin_folders()),
            data=str(data_folder().absolute()),
            folder=os.getcwd(),
        )

    def load(self) -> Job:
        """Load the job here, and check that it is the same as in the process that ordered it."""
        with suppress(OSError):  # a folder that is not on this machine matters only to a SPEC that is a path below it
            os.chdir(self.folder)
        os.environ["BELIEFBENCH_DATA"] = self.data
        for folder in self.plugins:
            sources.add_plugin_folder(Path(folder))
        (domain,) = [one for one in load_suite(self.domain) if one.name == self.domain_name]
        job = Job(domain, load_agent(self.agent, domain), self.protocol, stopping=self.stopping)
        wanted, found = json.loads(self.identity), json.loads(_identity(job))
        for part in ("domain", "agent"):
            if other := [key for key in wanted[part] if wanted[part][key] != found[part].get(key)]:
                raise BeliefBenchError(
                    f"{part} '{wanted[part]['name']}' differs from the one that started the run (its "
                    f"{', '.join(other)}: {_short(found[part].get(other[0]))}, not {_short(wanted[part][other[0]])}); "
                    "install the same versions, files and weights on both, or name in the SPEC what to use."
                )
        return job


class Worker:
    """A process of the cluster. It keeps the domain and the agent that it loaded last."""

    def __init__(self) -> None:
        self.order: JobOrder | None = None
        self.job: Job | None = None

    def ask(self, order: JobOrder, shard: Shard) -> Iterator[Answers]:
        """Ask a shard."""
        try:
            if self.job is None or order != self.order:
                self.order = self.job = None  # before it loads: two models may not fit the memory
                self.order, self.job = order, _loaded(order)
            yield from ask(self.job, shard)
        except BeliefBenchError as error:  # our own class, since a plugin's class may not be picklable
            kind = UsageError if isinstance(error, UsageError) else BeliefBenchError
            raise kind(str(error)) from error


def _loaded(order: JobOrder) -> Job:
    try:
        return order.load()
    except BeliefBenchError as error:
        raise BeliefBenchError(f"Ray worker on {platform.node()}: {error}") from error


@dataclass
class PendingShard:
    """A shard that a worker is asking, and the number of workers that died at its current stage."""

    shard: Shard
    worker: Any
    losses: int


class RayExecutor:
    """A Ray cluster: the one that ``RAY_ADDRESS`` names or that Ray finds; otherwise one on this machine, started and
    stopped here. It is connected on first use.
    """

    name: Name = "ray"

    def __init__(self) -> None:
        self.cpus = setting(CPUS) or 1.0
        self.gpus = setting(GPUS)  # None: until it is known whether the cluster has any
        check_address()
        self.connected = self.connected_here = False
        self.idle: list[Any] = []

    def check(self, job: Job) -> None:
        """Raise `UsageError` if a job has no SPECs."""
        _specs(job)

    def slots(self) -> int:
        """Return the number of workers that fit into the cluster, or raise `ExecutorError` if none fits."""
        self._connect()
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if self.gpus is None:
            self.gpus = 1.0 if any(node.get("GPU") for node in nodes) else 0.0
        wanted = {"CPU": self.cpus, "GPU": self.gpus}
        slots = sum(
            min(int(node.get(kind, 0) / number + 1e-9) for kind, number in wanted.items() if number) for node in nodes
        )
        if not slots:
            raise ExecutorError(
                f"no node of the Ray cluster has {self.cpus:g} CPUs and {self.gpus:g} GPUs for a worker; "
                f"set {CPUS} and {GPUS} to what there is."
            )
        return slots

    def ask(self, job: Job, shards: Iterable[Shard]) -> Iterator[tuple[Shard, Answers]]:
        """Ask shards, one per slot at a time. If a worker dies, its shard is asked again.

        Raises
        ------
        BeliefBenchError
            If the agent breaks, a worker cannot load it, or workers die repeatedly at the same stage of a shard.
        """
        order, slots = ray.put(JobOrder.of(job)), self.slots()
        waiting = deque((shard, 0) for shard in shards)
        busy: dict[Any, PendingShard] = {}
        try:
            while waiting or busy:
                while waiting and len(busy) < slots:
                    shard, losses = waiting.popleft()
                    worker = self.idle.pop() if self.idle else self._new_worker()
                    task = worker.ask.options(num_returns="streaming").remote(order, shard)
                    busy[task] = PendingShard(shard, worker, losses)
                ready, _ = ray.wait(list(busy), num_returns=1)
                stream: Any = ready[0]
                pending = busy[stream]
                try:
                    answers: Answers = ray.get(next(stream))
                except StopIteration:
                    self.idle.append(busy.pop(stream).worker)
                except ray.exceptions.RayTaskError as error:
                    raise _sentence(error) from error
                except ray.exceptions.RayError as error:
                    ray.kill(busy.pop(stream).worker)
                    if pending.losses + 1 >= MAX_WORKER_DEATHS:
                        raise _worker_deaths(job, pending.shard, error) from error
                    waiting.appendleft((pending.shard, pending.losses + 1))
                else:
                    shard, pending.shard, pending.losses = pending.shard, pending.shard.after(answers), 0
                    yield shard, answers
        finally:
            for pending in busy.values():
                ray.kill(pending.worker)

    def close(self) -> None:
        """End the workers, and the cluster if it was started here."""
        if self.connected_here:
            ray.shutdown()
            return
        for worker in self.idle:
            ray.kill(worker)

    def _new_worker(self) -> Any:
        return ray.remote(num_cpus=self.cpus, num_gpus=self.gpus or 0)(Worker).remote()

    def _connect(self) -> None:
        if not (self.connected or ray.is_initialized()):
            self.connected_here = True  # from now on: what an interrupt leaves half started is stopped too
            join()
        driver._worker_logs_enabled = False  # it prints the deaths of workers on standard output
        self.connected = True


def _specs(job: Job) -> tuple[str, str]:
    if job.specs is None:
        raise UsageError(
            "executor 'ray' needs the names of the domain and the agent, since its workers load them; got an object: "
            "give SPECs, or use executor 'local'."
        )
    return job.specs


def _identity(job: Job) -> str:
    return json.dumps(run_identity(job).json_values())


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _sentence(error: Any) -> BeliefBenchError:
    """Return what a worker raised."""
    cause = error.cause
    if isinstance(cause, BeliefBenchError):
        return cause
    return BeliefBenchError(f"a Ray worker failed: {in_short(cause if isinstance(cause, Exception) else error)}.")


def _worker_deaths(job: Job, shard: Shard, error: Exception) -> BeliefBenchError:
    return BeliefBenchError(
        f"{MAX_WORKER_DEATHS} Ray workers died one after the other while agent '{job.agent.name}' was asked on "
        f"{job.domain.name} about {len(shard.users)} users, number {shard.users[0]} the first ({in_short(error)}); "
        "earlier answers are kept."
    )
