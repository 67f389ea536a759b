"""The harness: asks an agent all that the protocol asks, writes each answer once, and goes on where it stopped."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.agent import Agent, Brief, Prediction
from bench.domain import OPTIONS, Domain
from bench.episodes import Episodes
from bench.errors import BeliefBenchError, UsageError
from bench.plugins import load_agent, load_domain
from bench.protocol import Protocol
from bench.provenance import installed_versions, now
from bench.store import (
    OWN_SET,
    ROWS,
    SCHEMA,
    AgentRecord,
    DomainIdentity,
    RunIdentity,
    RunRecord,
    RunStore,
    Sitting,
    prepare_results,
    run_folder,
    run_key,
)

USERS_PER_CALL = 1024

Progress = Callable[[int, int], None]
"""Called with (answers done, answers in all), in units of one user at one stage."""


@dataclass(frozen=True)
class Run:
    """A finished run: where it lies, and its record."""

    folder: Path
    record: RunRecord
    reused: bool
    """True: it was finished before, and nothing was asked."""
    damaged: tuple[Path, ...] = ()
    """Files that could not be read and were set aside; their answers were asked again."""

    def rows(self) -> pa.Table:
        """Return its answers; `bench.store.ROWS` tells the columns."""
        return RunStore(self.folder).rows()


def run(
    domain: Domain | str,
    agent: Agent | str,
    *,
    users: int | None = None,
    rounds: int | None = None,
    heldout: int | None = None,
    seed: int = 0,
    results: str | Path = "results/local",
    progress: Progress | None = None,
) -> Run:
    """Run an agent on a domain, or finish or reuse the run where it was begun before.

    Parameters
    ----------
    domain, agent
        Names (an agent's SPEC), or the objects themselves.
    users
        How many; all there are, 1,000 at most, where None.
    rounds, heldout
        Rounds a user and held-out sets a stage; 5 and 100, or as many as were recorded, where None.
    seed
        Of all draws.
    results
        The folder that runs are kept in.
    progress
        Called as ``progress(done, total)`` after each call of the agent.

    Raises
    ------
    UsageError
        Where a name is unknown, a number out of range, or the folder cannot hold results.
    BeliefBenchError
        Where the agent breaks; what was answered before stays and is not asked again.

    >>> import tempfile
    >>> done = run("flights", "random", users=2, rounds=1, heldout=3, results=tempfile.mkdtemp())
    >>> done.rows().num_rows  # 2 users x (3 + 1 at stage 0, 3 at stage 1)
    14
    """
    domain = load_domain(domain) if isinstance(domain, str) else domain
    agent = load_agent(agent, domain) if isinstance(agent, str) else agent
    protocol = Protocol.of(domain, users=users, rounds=rounds, heldout=heldout, seed=seed)
    if agent.privileged and domain.recorded is not None and domain.recorded.latents is None:
        raise UsageError(f"nobody knows what the recorded users of {domain.name} want; leave this agent out.")
    prepare_results(Path(results))
    identity = run_identity(domain, agent, protocol)
    store = RunStore(run_folder(Path(results), domain.name, agent.name, run_key(identity.json_values())))
    with store.held():
        damaged = store.set_damaged_aside(identity.rows)
        begun = store.record()
        if begun and begun.finished and store.rows_file.exists():
            return Run(store.folder, begun, reused=True)
        record = _gone_on(begun) if begun else _new_record(identity, agent)
        store.write_record(record)
        if not store.rows_file.exists():
            _ask_all(episodes_of(domain, protocol), agent, store, progress or (lambda done, total: None))
        record = store.finish(record.model_copy(update={"finished": now()}))
    return Run(store.folder, record, reused=False, damaged=tuple(damaged))


def run_identity(domain: Domain, agent: Agent, protocol: Protocol) -> RunIdentity:
    """Return everything a run's rows depend on."""
    return RunIdentity(
        schema=SCHEMA,
        domain=DomainIdentity(**domain.identity()),
        agent={"name": agent.name, "version": agent.version, **agent.identity()},
        stopping=None,
        **protocol.identity(),
    )


@lru_cache(maxsize=2)
def episodes_of(domain: Domain, protocol: Protocol) -> Episodes:
    """Return the episodes of a protocol, drawn once for all agents."""
    return Episodes(domain, protocol)


def _ask_all(episodes: Episodes, agent: Agent, store: RunStore, progress: Progress) -> None:
    stages = episodes.protocol.rounds + 1
    answered, recommended = _answered(episodes, store.rows())
    done = int(answered.sum())
    progress(done, answered.size)
    keys = episodes.agent_keys(agent.name)
    for pattern in np.unique(answered[~answered.all(axis=1)], axis=0):  # users who miss the same stages go together
        waiting = np.flatnonzero((answered == pattern).all(axis=1))
        size = getattr(agent, "users_per_call", USERS_PER_CALL)
        for shard in (waiting[at : at + size] for at in range(0, len(waiting), size)):
            truth = episodes.latents_of(shard) if agent.privileged else None
            try:
                state = agent.begin(Brief.of(episodes.domain), keys[shard], truth)
                for stage in range(stages):
                    if not pattern[stage]:
                        started = time.perf_counter()
                        answers = agent.predict(state, questions_at(episodes, shard, stage))
                        seconds = time.perf_counter() - started
                        check_answers(answers, (len(shard), episodes.protocol.heldout + (stage + 1 < stages)), agent)
                        name = f"{stage:03d}-{episodes.users[shard[0]]:07d}"
                        store.write_part(name, _rows(episodes, shard, stage, answers), seconds)
                        recommended[shard, stage] = answers.choice[:, -1]
                        done += len(shard)
                        progress(done, answered.size)
                    if stage + 1 < stages:
                        state = agent.observe(
                            state,
                            episodes.options[shard, stage],
                            recommended[shard, stage],
                            episodes.chosen[shard, stage],
                        )
            except BeliefBenchError:
                raise
            except Exception as error:
                raise BeliefBenchError(
                    f"agent '{agent.name}' broke on {episodes.domain.name}: {type(error).__name__}: {error}"
                ) from error


def _answered(episodes: Episodes, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return which users have answered which stages, bool[users, stages], and what was recommended, int likewise."""
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


def questions_at(episodes: Episodes, shard: np.ndarray, stage: int) -> np.ndarray:
    """Return what is asked at a stage: the held-out sets, then the next round's own set where there is a next round."""
    sets = episodes.heldout[shard] if episodes.heldout.ndim == 4 else episodes.heldout
    heldout = np.broadcast_to(sets, (len(shard), *sets.shape[-3:]))
    return np.concatenate([heldout, episodes.options[shard, stage : stage + 1]], axis=1)


def check_answers(answers: Prediction, shape: tuple[int, int], agent: Agent) -> None:
    """Raise `BeliefBenchError` where answers for ``shape`` = (users, sets) are not what the agent contract says."""
    choice, probs = np.asarray(answers.choice), answers.probs
    who = f"agent '{agent.name}' broke its contract:"
    if choice.shape != shape or not np.issubdtype(choice.dtype, np.integer):
        raise BeliefBenchError(f"{who} choice is {choice.dtype}{list(choice.shape)}; expected int{list(shape)}.")
    if choice.min() < -1 or choice.max() >= OPTIONS:
        raise BeliefBenchError(f"{who} choices are 0, 1, 2, or -1 for none; got {choice.min()} to {choice.max()}.")
    if (probs is not None) != agent.probabilistic:
        raise BeliefBenchError(f"{who} probabilistic is {agent.probabilistic}, but probs is {type(probs).__name__}.")
    if probs is None:
        return
    if np.shape(probs) != (*shape, OPTIONS):
        raise BeliefBenchError(f"{who} probs have shape {list(np.shape(probs))}; expected {[*shape, OPTIONS]}.")
    given = probs[choice >= 0]
    if not (np.isfinite(given).all() and (given >= 0).all() and (abs(given.sum(axis=-1) - 1) < 1e-6).all()):
        raise BeliefBenchError(f"{who} probs must be numbers of 0 or more that sum to 1 for each set.")


def _rows(episodes: Episodes, shard: np.ndarray, stage: int, answers: Prediction) -> pa.Table:
    heldout, sets = episodes.protocol.heldout, answers.choice.shape[1]
    own = episodes.chosen[shard, stage : stage + 1]
    exact = np.full((len(shard), sets, OPTIONS), np.nan)
    exact[:, :heldout] = episodes.exact[shard, stage]
    probs = np.full(exact.shape, np.nan) if answers.probs is None else np.asarray(answers.probs, np.float64).copy()
    probs[answers.choice < 0] = np.nan
    columns = {
        "user": np.repeat(episodes.users[shard], sets),
        "stage": np.full(len(shard) * sets, stage),
        "question": np.tile(np.r_[np.arange(heldout), [OWN_SET] * (sets - heldout)].astype(int), len(shard)),
        "truth": np.concatenate([episodes.truth[shard], own], axis=1).ravel(),
        "choice": answers.choice.ravel(),
        **{f"prob_{option}": probs[..., option].ravel() for option in range(OPTIONS)},
        **{f"exact_{option}": exact[..., option].ravel() for option in range(OPTIONS)},
        "tokens": [None] * (len(shard) * sets) if answers.tokens is None else np.ravel(answers.tokens),
        "text": [None] * (len(shard) * sets) if answers.text is None else np.ravel(answers.text),
    }
    arrays = [pa.array(columns[field.name], type=field.type, from_pandas=True) for field in ROWS]
    return pa.Table.from_arrays(arrays, schema=ROWS)


def _new_record(identity: RunIdentity, agent: Agent) -> RunRecord:
    return RunRecord(
        schema_version=SCHEMA,
        key=run_key(identity.json_values()),
        identity=identity,
        agent=AgentRecord(
            name=agent.name,
            version=agent.version,
            probabilistic=agent.probabilistic,
            privileged=agent.privileged,
            note=getattr(agent, "note", None),
        ),
        **_sitting().model_dump(),
    )


def _gone_on(record: RunRecord) -> RunRecord:
    return record.model_copy(update={"finished": None, "resumed": [*record.resumed, _sitting()]})


def _sitting() -> Sitting:
    machine = {"system": platform.platform(), "processor": platform.machine(), "cores": str(os.cpu_count())}
    return Sitting(started=now(), versions=installed_versions(), machine=machine)
