"""What runs would take: answers, requests, tokens and time. No server is asked.

An agent whose answers cost money says what they take (its ``cost``), for a few users at every stage. Any other agent is
timed with a few questions after the last round.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from beliefbench.agent import Brief, Cost
from beliefbench.errors import printable
from beliefbench.leaderboard.forms.cells import duration
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.stopping import UntilWidth, order_of_users
from beliefbench.running.answering import USERS_PER_CALL, Job, questions_at, run_identity
from beliefbench.running.harness import answered_so_far, episodes_of
from beliefbench.running.store import RunStore, run_folder, run_key

USERS, SETS = 3, 4  # of a sample
AGENT = 1  # the column of the agent
NARROW = 8  # columns; with fewer for the agents, their names are below the table
HEADERS = ("answers", "requests", "read", "written", "time")


@dataclass(frozen=True)
class Estimate:
    """What is left to do of a run: ``answers``, and what they take.

    If a rule may stop the run before, ``expected`` is the number of users after which it is expected to stop; otherwise
    None.
    """

    job: Job
    answers: int
    cost: Cost
    expected: int | None = None


@dataclass(frozen=True)
class Prices:
    """Prices of a million tokens, read and written, in any currency.

    >>> Prices(read=2.5, written=10.0).of(Cost(tokens=1_200_000, written=200_000))
    4.5
    """

    read: float
    written: float

    def of(self, cost: Cost) -> float:
        """Return the price of answers."""
        return ((cost.tokens - cost.written) * self.read + cost.written * self.written) / 1e6


def estimates(jobs: Iterable[Job], results: Path, echo: Callable[[str], None] = lambda said: None) -> list[Estimate]:
    """Return what is left to do of each run; ``results`` is the folder of runs, and ``echo`` says which agents are
    timed."""
    return [_estimate(job, results, echo) for job in jobs]


def print_estimates(found: list[Estimate], console: Console, prices: Prices | None = None) -> None:
    """Print estimates as a table, with the sum of all, and what it costs if prices are given."""
    most = any(one.expected is not None for one in found)
    title = f"What is left to do, {'at most' if most else 'about'}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("domain", overflow="fold")
    table.add_column("agent", overflow="fold")
    for name in (*HEADERS, *(["price"] if prices else [])):
        table.add_column(name, justify="right", no_wrap=True)
    total = sum((one.cost for one in found), Cost())
    sums = [("all", "", *_cells(sum(one.answers for one in found), total, prices))] if len(found) > 1 else []
    lines = [(*_named(one.job), *_cells(one.answers, one.cost, prices)) for one in found]
    others = [column for at, column in enumerate(zip(*lines, *sums, strict=True)) if at != AGENT]
    taken = sum(3 + max(map(cell_len, (*column, HEADERS[1]))) for column in others)
    room = console.width - taken
    names = list(dict.fromkeys(line[AGENT] for line in lines))
    for line in lines:
        name = broken(line[AGENT], room) if room >= NARROW else f"({1 + names.index(line[AGENT])})"
        table.add_row(*map(Text, (*line[:AGENT], name, *line[AGENT + 1 :])))  # a name is no markup
    for line in sums:
        table.add_section()
        table.add_row(*line)
    console.print(table)
    for number, name in enumerate(names, start=1) if room < NARROW else ():
        console.print(Text(f"({number}) {name}", overflow="fold"))
    for one in found:
        if one.expected is not None and one.answers:
            console.print(_expectation(one.job, one.expected), markup=False)
    if total.requests:
        console.print(
            "For a server, this assumes 1 second per request, as many requests at once as the agent has workers, 4 "
            "characters per token, answers and thoughts of the greatest length, and all samples of a question in one "
            "response. It also counts answers that an earlier run has stored, which cost nothing. read and written: "
            "tokens; --price-in and --price-out compute their price."
        )
    if any(one.answers and not one.cost.requests for one in found):
        console.print(
            f"For an agent on this machine, the time comes from {SETS} questions after the last round, which it has "
            "just answered. It leaves out loading a model and compiling, which take up to half a minute per process."
        )


def broken(name: str, width: int) -> str:
    """Return a name in lines of a width, broken after a slash, a comma or a colon; longer parts are not broken.

    >>> broken("prompted:/home/me/models/taught,dtype=float32", 20).splitlines()
    ['prompted:/home/me/', 'models/taught,', 'dtype=float32']
    """
    lines = [""]
    for part in re.findall(r"[^/,:]*[/,:]|[^/,:]+", name):
        if lines[-1] and cell_len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _named(job: Job) -> tuple[str, str]:
    """Return the domain and the SPEC of a job, without control characters."""
    return printable(job.domain.name), printable(job.specs[1] if job.specs else job.agent.name)


def _expectation(job: Job, users: int) -> str:
    domain, spec = _named(job)
    return (
        f"{spec} on {domain}: expected to stop after {users} of {job.protocol.users:,} users, with "
        f"{users / job.protocol.users:.0%} of that, if accuracies differ between users as those of the exact answer do."
    )


def _cells(answers: int, cost: Cost, prices: Prices | None) -> list[str]:
    return [
        f"{answers:,}",
        f"{cost.requests:,}" if cost.requests else "-",
        f"{cost.tokens - cost.written:,}" if cost.tokens else "-",
        f"{cost.written:,}" if cost.written else "-",
        duration(cost.seconds),
        *([f"{prices.of(cost):,.2f}" if cost.requests else "-"] if prices else []),
    ]


def _estimate(job: Job, results: Path, echo: Callable[[str], None]) -> Estimate:
    protocol = job.protocol
    key = run_key(run_identity(job).json_values())
    store = RunStore(run_folder(results, job.domain.name, job.agent.name, key))
    record = store.record()
    if record and record.finished:
        return Estimate(job, 0, Cost())
    episodes = episodes_of(job.domain, protocol)
    answered, _ = answered_so_far(episodes, store.rows())
    wanted = np.ones(protocol.users, bool)
    if job.stopping:
        order = order_of_users(protocol.seed, job.domain.name, protocol.users)
        wanted[order[job.looks[-1] :]] = False
    waiting = (~answered & wanted[:, None]).sum(axis=0)  # users, at each stage
    sets = protocol.heldout + (np.arange(protocol.rounds + 1) < protocol.rounds)
    answers = int((waiting * sets).sum())
    if getattr(job.agent, "cost", None):
        cost = sum((one.times(left) for one, left in zip(_told(job, episodes), waiting, strict=True)), Cost())
    else:
        echo(f"timing {_named(job)[1]} on {job.domain.name}, at {SETS} questions ...")
        cost = _timed(job, episodes, int(answered.size and waiting.max())).times(answers)
    rule = job.stopping
    return Estimate(job, answers, cost, _expected(job, rule, episodes) if isinstance(rule, UntilWidth) else None)


def _expected(job: Job, rule: UntilWidth, episodes: Episodes) -> int:
    """Return the number of users after which a rule would stop a run of the exact answer."""
    accuracy = (episodes.exact[:, -1].argmax(axis=-1) == episodes.truth).mean(axis=-1)
    order = order_of_users(job.protocol.seed, job.domain.name, job.protocol.users)
    return next((look for look in job.looks if rule.enough(accuracy[order[:look]])), job.protocol.users)


def _told(job: Job, episodes: Episodes) -> list[Cost]:
    """Return what one user's answers at each stage would cost, as the agent estimates it."""
    users = np.arange(min(USERS, job.protocol.users))
    agent: Any = job.agent
    state, costs = _begun(job, episodes, users), []
    for stage in range(job.protocol.rounds + 1):
        costs.append(agent.cost(state, questions_at(episodes, users, stage)).times(1 / len(users)))
        if stage < job.protocol.rounds:
            state = _after(job, episodes, users, state, stage)
    return costs


def _timed(job: Job, episodes: Episodes, waiting: int) -> Cost:
    """Return what an answer costs after the last round, by asking."""
    users = np.arange(max(1, min(getattr(job.agent, "users_per_call", USERS_PER_CALL), waiting)))
    state = _begun(job, episodes, users)
    for stage in range(job.protocol.rounds):
        state = _after(job, episodes, users, state, stage)
    questions = questions_at(episodes, users, job.protocol.rounds)[:, :SETS]
    job.agent.predict(state, questions)  # loads weights, and compiles
    started = time.perf_counter()
    answers = job.agent.predict(state, questions)
    seconds = time.perf_counter() - started
    tokens = 0 if answers.tokens is None else int(answers.tokens.sum())
    return Cost(0, tokens, seconds).times(1 / answers.choice.size)


def _begun(job: Job, episodes: Episodes, users: np.ndarray) -> Any:
    truth = episodes.latents_of(users) if job.agent.privileged else None
    return job.agent.begin(Brief.of(job.domain), episodes.agent_keys(job.agent.name)[users], truth)


def _after(job: Job, episodes: Episodes, users: np.ndarray, state: Any, stage: int) -> Any:
    """Return the state after a round in which the first option was recommended."""
    chosen = episodes.chosen[users, stage]
    return job.agent.observe(state, episodes.options[users, stage], np.zeros_like(chosen), chosen)
