"""The harness: asks an agent all questions of a protocol, writes each answer once, and continues a stopped run."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from beliefbench.agent import Agent
from beliefbench.domain import OPTIONS, Domain
from beliefbench.errors import BeliefBenchError, UsageError, guarded, printable
from beliefbench.plugins.members import wrong_agent, wrong_domain
from beliefbench.plugins.names import load_agent, load_domain
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import QUICK, Protocol
from beliefbench.protocol.stopping import order_of_users
from beliefbench.running.answering import Answers, Job, run_identity, shards_of
from beliefbench.running.completeness import final_accuracy, is_whole, set_faulty_parts_aside
from beliefbench.running.contract import as_note
from beliefbench.running.executors.base import Executor
from beliefbench.running.executors.base import Name as ExecutorName
from beliefbench.running.executors.registry import open_executor
from beliefbench.running.files import read_schema
from beliefbench.running.provenance import now
from beliefbench.running.recording import changed_code, elsewhere, new_record, resumed
from beliefbench.running.store import (
    OWN_SET,
    ROWS,
    RunRecord,
    RunStore,
    prepare_results,
    run_folder,
    run_key,
)

Progress = Callable[[int, int], None]
"""Called with (answers done, answers in all), in units of one user at one stage."""


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run: its folder and its record. `beliefbench.metrics` returns its metrics."""

    folder: Path
    record: RunRecord
    reused: bool
    """True if the run was finished before, so that nothing was asked."""
    damaged: tuple[Path, ...] = ()
    """Damaged files that were set aside; their answers were asked again."""
    elsewhere: str | None = None
    """The server that answered some of it, if the agent's server is another one now."""
    changed: str | None = None
    """A sentence, if some of it was answered by other code of a plugin than there is now."""

    def __repr__(self) -> str:
        one = self.record.identity
        users = f"{one.users} users" if self.record.asked is None else f"{self.record.asked} of {one.users} users"
        sizes = f"{users}, {one.rounds} rounds, {one.heldout} held-out sets, seed {one.seed}"
        return printable(f"<Run of {self.record.agent.name} on {one.domain.name}: {sizes}, in {self.folder}>")

    @property
    def units(self) -> int:
        """The number of users asked, times the number of stages."""
        identity = self.record.identity
        return (self.record.asked or identity.users) * (identity.rounds + 1)

    def rows(self) -> pa.Table:
        """Return its answers as a table; `beliefbench.running.store.ROWS` describes the columns."""
        return RunStore(self.folder).rows()


def run(
    domain: Domain | str,
    agent: Agent | str,
    *,
    preset: str = QUICK,
    users: int | None = None,
    rounds: int | None = None,
    heldout: int | None = None,
    seed: int = 0,
    results: str | Path = "results/local",
    progress: Progress | None = None,
    executor: ExecutorName = "local",
    sample: int | None = None,
    until_width: float | None = None,
) -> Run:
    """Run an agent on a domain. Continue the run if it was stopped before, and reuse it if it was finished.

    Warns if a plugin's code has changed since, and its version has not.

    Parameters
    ----------
    domain
        Its name, with settings if it takes any (its SPEC), or the object itself.
    agent
        Its SPEC, or the object itself.
    preset
        The default size, as for the command. ``"quick"``: 8 users and 8 held-out sets, and a sample of the users if the
        agent is slow (``quick_users``). ``"standard"``: 100 users and 30 sets. ``"paper"``: all users (1,000 at most)
        and 100 sets.
    users
        The number of users, instead of the preset's.
    rounds
        The number of rounds; 5 by default, or all that were recorded.
    heldout
        The number of held-out sets, instead of the preset's.
    seed
        The seed of all random draws.
    results
        The folder that holds the runs.
    progress
        Called as ``progress(done, total)`` after each call of the agent.
    executor
        ``"local"``: this process asks the agent. ``"ray"``: the workers of a Ray cluster ask it; they load the domain
        and the agent by name. The rows are the same.
    sample
        Ask about a random sample of this many users only. The row says "3 of 8 users", and has no rank beside rows of
        all users.
    until_width
        Ask users in a fixed random order, until the 95% interval of the accuracy after the last round is narrower than
        this share (`beliefbench.protocol.stopping`). Such a run has another key than a run of all users.

    Raises
    ------
    UsageError
        If a name is unknown, a number is out of range, the folder cannot hold results, or objects cannot be sent to the
        executor.
    BeliefBenchError
        If the agent or the executor breaks. Earlier answers are kept and not asked again.

    >>> import tempfile
    >>> done = run("flights", "random", users=2, rounds=1, heldout=3, results=tempfile.mkdtemp())
    >>> done.rows().num_rows  # 2 users x (3 + 1 at stage 0, 3 at stage 1)
    14
    """
    specs = (domain, agent) if isinstance(domain, str) and isinstance(agent, str) else None
    domain = load_domain(domain) if isinstance(domain, str) else domain
    if wrong := wrong_domain(domain):
        raise UsageError(f"domain '{domain.name}' cannot be used: {wrong}.")
    agent = load_agent(agent, domain) if isinstance(agent, str) else agent
    if wrong := wrong_agent(agent):
        raise UsageError(f"the agent cannot be used: {wrong}.")
    numbers = {"users": users, "rounds": rounds, "heldout": heldout, "sample": sample}
    job = Job.of(domain, agent, specs, preset=preset, seed=seed, until_width=until_width, **numbers)
    with open_executor(executor) as where:
        done = execute(job, where, Path(results), progress)
    if done.changed:
        warnings.warn(done.changed, stacklevel=2)
    return done


def execute(job: Job, executor: Executor, results: Path, progress: Progress | None = None) -> Run:
    """Do a job as `run` does it, by an executor that is open."""
    executor.check(job)
    if job.agent.privileged and job.domain.recorded is not None and job.domain.recorded.latents is None:
        raise UsageError(f"nobody knows what the recorded users of {job.domain.name} want; leave this agent out.")
    prepare_results(results)
    identity = run_identity(job)
    store = RunStore(run_folder(results, job.domain.name, job.agent.name, run_key(identity.json_values())))
    with store.held():
        whole = [users * identity.rows_per_user for users in job.looks]
        damaged = store.quarantine_damaged(whole)
        begun = store.record()
        if begun and begun.finished and store.rows_file.exists():
            return _run(store, begun, job, reused=True)
        record = resumed(begun, job, executor) if begun else new_record(identity, job, executor)
        store.write_record(record)
        if not store.rows_file.exists():
            damaged += set_faulty_parts_aside(store, episodes_of(job.domain, job.protocol))
            for _ in range(2):  # what was lost meanwhile is asked again
                note = _ask_all(job, executor, store, progress or (lambda done, total: None))
                rows = store.rows()
                if rows.num_rows in whole and is_whole(rows, identity.rounds, identity.heldout):
                    break
            else:
                raise BeliefBenchError(f"answers in {store.parts} were lost or changed meanwhile; run it again.")
            record = _with_note(record, note)
        asked = len(pa.compute.unique(store.rows()["user"])) if job.stopping else None
        record = store.finish(record.model_copy(update={"finished": now(), "asked": asked}))
    return _run(store, record, job, reused=False, damaged=damaged)


def _run(store: RunStore, record: RunRecord, job: Job, *, reused: bool, damaged: Sequence[Path] = ()) -> Run:
    changed = changed_code(store.folder, record, job)
    return Run(store.folder, record, reused, tuple(damaged), elsewhere(record, job), changed)


@lru_cache(maxsize=2)
def episodes_of(domain: Domain, protocol: Protocol) -> Episodes:
    """Return the episodes of a protocol, drawn once for all agents."""
    return Episodes(domain, protocol)


def _ask_all(job: Job, executor: Executor, store: RunStore, progress: Progress) -> str | None:
    """Ask users up to each check of the stopping rule, until it is satisfied or all are asked; return the last note."""
    episodes = episodes_of(job.domain, job.protocol)
    users = job.protocol.users
    order = order_of_users(job.protocol.seed, job.domain.name, users) if job.stopping else np.arange(users)
    note = None
    with episodes.remembering():
        for look in job.looks:
            note = _ask_some(job, executor, store, progress, episodes, order[:look]) or note
            if job.stopping and job.stopping.enough(final_accuracy(episodes, store.rows())):
                break
    return note


def _ask_some(
    job: Job, executor: Executor, store: RunStore, progress: Progress, episodes: Episodes, places: np.ndarray
) -> str | None:
    """Ask about the users at some positions in the episodes, as far as stages are unanswered; return the agent's last
    note."""
    answered, recommended = answered_so_far(episodes, store.rows())
    wanted = np.isin(np.arange(len(answered)), places)
    done, total = int(answered[wanted].sum()), answered[wanted].size
    progress(done, total)
    counts = _counts_so_far(store)
    if done == total:
        return _noted(job.agent, counts)
    note = None
    shards = shards_of(job, episodes, answered | ~wanted[:, None], recommended, executor.slots())
    for shard, answers in executor.ask(job, shards):
        name = f"{answers.stage:03d}-{shard.users[0]:07d}"
        store.write_part(name, rows_of(episodes, shard.places, answers), answers.seconds, answers.counts)
        counts.update(answers.counts or {})
        new = _noted(job.agent, counts) or answers.note
        if new != note and (record := store.record()):
            store.write_record(_with_note(record, new))  # so that a stopped run has it too
        note = new
        done += len(shard.users)
        progress(done, total)
    return note


def _counts_so_far(store: RunStore) -> Counter[str]:
    """Return the sum of what the agent's note counts in the answers so far, of all sessions."""
    about = (read_schema(part).metadata or {} for part in store.parts.glob("*.parquet"))
    return sum((Counter(json.loads(one.get(b"counts", b"{}"))) for one in about), Counter())


def _noted(agent: Any, counts: Mapping[str, int]) -> str | None:
    """Return the note of an agent whose note counts answers, after these; None if it counts none."""
    if not counts:
        return None
    with guarded(f"agent '{agent.name}': noted() raised"):
        return as_note(agent, agent.noted(counts))


def _with_note(record: RunRecord, note: str | None) -> RunRecord:
    """Return a record with an agent's last note: some agents know only after answers how they could be asked."""
    if note is None:
        return record
    return record.model_copy(update={"agent": record.agent.model_copy(update={"note": note})})


def answered_so_far(episodes: Episodes, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the answered stages, bool[users, stages], and the recommendations, int[users, stages]."""
    protocol, stages = episodes.protocol, episodes.protocol.rounds + 1
    position = {int(user): at for at, user in enumerate(episodes.users)}
    user = np.array([position[int(one)] for one in rows["user"].to_numpy()], dtype=int)
    stage, question, choice = (rows[name].to_numpy() for name in ("stage", "question", "choice"))
    answers = np.zeros((protocol.users, stages), dtype=int)
    np.add.at(answers, (user, stage), 1)
    recommended = np.full((protocol.users, stages), -1)
    own = question == OWN_SET
    recommended[user[own], stage[own]] = choice[own]
    return answers == protocol.heldout + (np.arange(stages) < protocol.rounds), recommended


def rows_of(episodes: Episodes, places: np.ndarray, answers: Answers) -> pa.Table:
    """Return the rows (`ROWS`) of a shard's answers at a stage; places int[users], its positions in the episodes."""
    heldout, stage = episodes.protocol.heldout, answers.stage
    users, sets = len(places), answers.columns.num_rows // len(places)
    own = episodes.chosen[places, stage : stage + 1]
    exact = np.full((users, sets, OPTIONS), np.nan)
    exact[:, :heldout] = _exact(episodes)[places, stage]
    columns = {
        "user": np.repeat(episodes.users[places], sets),
        "stage": np.full(users * sets, stage),
        "question": np.tile(np.r_[np.arange(heldout), [OWN_SET] * (sets - heldout)].astype(int), users),
        "truth": np.concatenate([episodes.truth[places], own], axis=1).ravel(),
        **{f"exact_{option}": exact[..., option].ravel() for option in range(OPTIONS)},
    }
    arrays = [
        pa.array(columns[field.name], type=field.type, from_pandas=True)
        if field.name in columns
        else answers.columns[field.name]
        for field in ROWS
    ]
    return pa.Table.from_arrays(arrays, schema=ROWS)


def _exact(episodes: Episodes) -> np.ndarray:
    with guarded(f"domain '{episodes.domain.name}' broke:"):
        return episodes.exact
