"""A batch of runs: many agents on many domains, with progress bars, one failure harming no other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from beliefbench.agent import Agent
from beliefbench.domain import Domain
from beliefbench.errors import BeliefBenchError, UsageError, printable
from beliefbench.language.assistant import Assistant
from beliefbench.language.chat_function import ChatAgent
from beliefbench.plugins.names import agent_source, load_agent, load_suite, names, stands_alone
from beliefbench.protocol.protocol import Protocol
from beliefbench.protocol.stopping import UntilWidth
from beliefbench.running.answering import Job, run_identity
from beliefbench.running.executors.base import ExecutorError
from beliefbench.running.executors.registry import open_executor
from beliefbench.running.harness import Run, execute
from beliefbench.running.store import RunStore, prepare_results, run_folder, run_key


@dataclass(frozen=True)
class Plan:
    """A call of ``beliefbench run``; None: the preset's number, or all."""

    preset: str
    domains: list[str] | None
    agents: list[str] | None
    users: int | None
    rounds: int | None
    heldout: int | None
    seed: int
    results: Path
    executor: str = "local"
    until_width: float | None = None
    sample: int | None = None

    def job(self, specs: tuple[str, str], domain: Domain, agent: Agent) -> Job:
        """Return the run of an agent on a domain, checked; ``specs`` are the SPECs of the domain and the agent."""
        return Job.of(domain, agent, specs, **self._numbers, sample=self.sample, until_width=self.until_width)

    def protocol(self, domain: Domain) -> Protocol:
        """Return the protocol for a domain, checked."""
        return Protocol.of(domain, **self._numbers)

    @property
    def _numbers(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("preset", "users", "rounds", "heldout", "seed")}


def run_plan(
    plan: Plan, console: Console, echo: Callable[[str], None], before_models: Callable[[list[Run]], None]
) -> tuple[list[Run], list[BeliefBenchError]]:
    """Run a plan; return its finished runs, and what failed.

    On each domain, language models are asked last. ``before_models`` is called once with the runs that are finished
    when the first of them is to be asked.

    Raises
    ------
    UsageError
        If any part of the call is wrong; nothing has been run then.
    ExecutorError
        If there is no executor to run it.
    """
    work, failures = planned(plan, echo)
    prepare_results(plan.results)
    agents = Counter((job.domain.name, job.agent.name) for job in work)  # two checkpoints may have one name
    runs: list[Run] = []
    with open_executor(plan.executor) as executor, _bars(console) as bars:
        shown = False
        for job in work:
            if runs and not shown and _is_model(job) and not _finished(job, plan.results):
                before_models(runs)
                shown = True
            alone = agents[job.domain.name, job.agent.name] == 1
            bar = _Bar(bars, job, job.specs[1] if job.specs and not alone else job.agent.name)
            try:
                done = execute(job, executor, plan.results, progress=bar)
            except ExecutorError:
                raise
            except BeliefBenchError as error:
                failures.append(error)
                bar.end("[red]failed")
                continue
            for file in done.damaged:
                echo(f"warning: {file} could not be read; it was set aside and made again.")
            if done.elsewhere:
                echo(
                    f"warning: {done.folder} has answers of the server {done.elsewhere}. If another model answers "
                    "under this name now, name it with revision=, or use another folder (--results)."
                )
            if done.changed:
                echo(f"warning: {done.changed}")
            runs.append(done)
            bar.end("reused" if done.reused else "done", done.units)
    return runs, failures


def planned(plan: Plan, echo: Callable[[str], None]) -> tuple[list[Job], list[BeliefBenchError]]:
    """Return the runs of a plan, and why named domains and agents are broken, if others are left.

    Raises
    ------
    UsageError
        If any part of the call is wrong.
    BeliefBenchError
        If nothing is left to run.
    """
    for spec in plan.agents or []:  # a misspelt name is an error before any domain is loaded
        agent_source(spec)
    work: list[Job] = []
    failures: list[BeliefBenchError] = []
    domains: list[Domain] = []
    refused: dict[str, list[tuple[Domain, BeliefBenchError]]] = {}
    for name in dict.fromkeys(plan.domains or names("domain")):
        try:
            for domain in load_suite(name):
                if domain not in domains:  # one domain may have two names, or be in a suite
                    domains.append(domain)
                    work += sorted(_jobs(plan, name, domain, refused, echo), key=_is_model)
        except BeliefBenchError as error:
            if isinstance(error, UsageError):
                raise
            if plan.domains:
                failures.append(error)
            else:
                echo(f"domain '{name}' is left out: {error}")
    for spec, refusals in refused.items():
        if all(job.specs and job.specs[1] != spec for job in work):
            if isinstance(refusals[0][1], UsageError):
                raise refusals[0][1]
            failures.append(refusals[0][1])
            continue
        for domain, refusal in refusals:
            echo(f"agent '{spec}' is left out of {domain.name}: {refusal}")
    if failures and not work:
        raise failures[0]
    return work, failures


def _jobs(
    plan: Plan,
    domain_spec: str,
    domain: Domain,
    refused: dict[str, list[tuple[Domain, BeliefBenchError]]],
    echo: Callable[[str], None],
) -> list[Job]:
    """Make the agents that were named, or all that need no model and can be had here.

    A named agent that cannot be made for a domain goes to ``refused``: it may do for the others.
    """
    plan.protocol(domain)  # a number out of range is said before any agent is made
    if plan.agents:
        named = []
        for spec in dict.fromkeys(plan.agents):
            try:
                named.append(plan.job((domain_spec, spec), domain, load_agent(spec, domain)))
            except BeliefBenchError as error:
                refused.setdefault(spec, []).append((domain, error))
        return named
    jobs = []
    for name in names("agent"):
        try:
            if stands_alone(name):
                agent = load_agent(name, domain)
                if agent.privileged and domain.recorded is not None and domain.recorded.latents is None:
                    echo(f"agent '{name}' is left out: the preferences of {domain.name}'s recorded users are unknown.")
                    continue
                jobs.append(plan.job((domain_spec, name), domain, agent))
        except BeliefBenchError as error:
            echo(f"agent '{name}' is left out: {error}")
    return jobs


def _is_model(job: Job) -> bool:
    return isinstance(job.agent, (Assistant, ChatAgent))


def _finished(job: Job, results: Path) -> bool:
    try:
        key = run_key(run_identity(job).json_values())
        record = RunStore(run_folder(results, job.domain.name, job.agent.name, key)).record()
    except BeliefBenchError:  # a damaged file is set aside when the job is done, and what else is wrong is said then
        return False
    return record is not None and record.finished is not None


class _Bar:
    """The progress bar of a run. It says how long the rest takes, as soon as the first step does not count any more:
    in that step an agent loads and compiles."""

    def __init__(self, bars: Progress, job: Job, name: str) -> None:
        self.bars, self.local_model = bars, isinstance(job.agent, Assistant) and job.agent.cost is None
        self.grows = isinstance(job.stopping, UntilWidth)  # its total is that of the next check
        self.steps: list[tuple[int, float]] = []
        self.bar = bars.add_task(printable(f"{job.domain.name}  {name}"), total=None, shown="", state="")

    def __call__(self, done: int, total: int) -> None:
        """Show how many of all users at all stages are done."""
        self.steps.append((done, time.monotonic()))
        shown, state = _shown(done, total), ""
        known: int | None = total
        if len(self.steps) == 1 and self.local_model and done < total:
            shown, state, known = f"{done}/{total}", "loads the model, then answers", None
        elif len(self.steps) > 2 and done < total and not self.grows:
            (before, start), (_, now) = self.steps[1], self.steps[-1]
            left = round((now - start) * (total - done) / max(1, done - before))
            state = f"{left} s left" if left < 100 else f"{round(left / 60)} min left"
        self.bars.update(self.bar, completed=done, total=known, shown=shown, state=state)

    def end(self, state: str, units: int | None = None) -> None:
        """Stop the bar; ``units``: all that were done."""
        if units is None:
            self.bars.stop_task(self.bar)
            self.bars.update(self.bar, state=state)
        else:
            self.bars.update(self.bar, completed=units, total=units, shown=_shown(units, units), state=state)


def _shown(done: int, total: int) -> str:
    return f"{done}/{total} users x stages"


def _bars(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=8),
        TextColumn("{task.fields[shown]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[state]}"),
        console=console,
    )
