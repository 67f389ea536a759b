"""What ``beliefbench run`` does: many agents on many domains, with progress bars, one failure harming no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from bench.agent import Agent
from bench.domain import Domain
from bench.errors import BeliefBenchError, UsageError
from bench.harness import run
from bench.plugins import load_agent, load_suite, names, stands_alone
from bench.protocol import Protocol
from bench.standings import Standings, read_standings
from bench.store import prepare_results

PRESETS = {"quick": (12, 8), "paper": (1000, 100)}
"""Preset: users (or all there are, where they are fewer), held-out sets."""


@dataclass(frozen=True)
class Plan:
    """A call of ``beliefbench run``; None is for the preset's, or all."""

    preset: str
    domains: list[str] | None
    agents: list[str] | None
    users: int | None
    rounds: int | None
    heldout: int | None
    seed: int
    results: Path

    def protocol(self, domain: Domain) -> Protocol:
        """Return the protocol for a domain, checked."""
        return Protocol.of(
            domain,
            users=self.users,
            rounds=self.rounds,
            heldout=self.heldout,
            seed=self.seed,
            preset=PRESETS[self.preset],
        )


def run_plan(plan: Plan, console: Console, say: Callable[[str], None]) -> tuple[Standings, list[BeliefBenchError]]:
    """Run a plan; return the standings of its runs, and what failed.

    Raises
    ------
    UsageError
        Before anything is run, where any part of the call is wrong.
    """
    work: list[tuple[Domain, Protocol, list[Agent]]] = []
    refused: dict[str, list[tuple[Domain, BeliefBenchError]]] = {}
    for name in dict.fromkeys(plan.domains or names("domain")):
        try:
            for domain in load_suite(name):
                if domain not in [other for other, _, _ in work]:  # one domain may have two names, or be in a suite
                    work.append((domain, plan.protocol(domain), _agents(plan, domain, refused, say)))
        except BeliefBenchError as error:
            if plan.domains or isinstance(error, UsageError):
                raise
            say(f"domain '{name}' is left out: {error}")
    for spec, refusals in refused.items():
        if len(refusals) == len(work):
            raise refusals[0][1]
        for domain, refusal in refusals:
            say(f"agent '{spec}' is left out of {domain.name}: {refusal}")
    prepare_results(plan.results)
    folders, failures = [], []
    with _bars(console) as bars:
        for domain, protocol, agents in work:
            for agent in agents:
                bar = bars.add_task(f"{domain.name}  {agent.name}", total=None, state="")
                try:
                    done = run(
                        domain,
                        agent,
                        **protocol.identity(),
                        results=plan.results,
                        progress=partial(_advance, bars, bar),
                    )
                except BeliefBenchError as error:
                    failures.append(error)
                    bars.update(bar, state="[red]failed")
                    bars.stop_task(bar)
                    continue
                for file in done.damaged:
                    say(f"warning: {file} could not be read; it was set aside and made again.")
                folders.append(done.folder)
                stages = protocol.users * (protocol.rounds + 1)
                bars.update(bar, completed=stages, total=stages, state="reused" if done.reused else "done")
    return read_standings(plan.results, only=folders), failures


def _agents(
    plan: Plan,
    domain: Domain,
    refused: dict[str, list[tuple[Domain, BeliefBenchError]]],
    say: Callable[[str], None],
) -> list[Agent]:
    """Make the agents that were named, or all that need no model and can be had here.

    A named agent that cannot be made for a domain goes to ``refused``: it may do for the others.
    """
    if plan.agents:
        named = []
        for spec in dict.fromkeys(plan.agents):
            try:
                named.append(load_agent(spec, domain))
            except BeliefBenchError as error:
                refused.setdefault(spec, []).append((domain, error))
        return named
    agents = []
    for name in names("agent"):
        try:
            if stands_alone(name):
                agent = load_agent(name, domain)
                if agent.privileged and domain.recorded is not None and domain.recorded.latents is None:
                    say(f"agent '{name}' is left out: nobody knows what the recorded users of {domain.name} want.")
                    continue
                agents.append(agent)
        except BeliefBenchError as error:
            say(f"agent '{name}' is left out: {error}")
    return agents


def _advance(bars: Progress, bar: TaskID, done: int, total: int) -> None:
    bars.update(bar, completed=done, total=total)


def _bars(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[state]}"),
        console=console,
    )
