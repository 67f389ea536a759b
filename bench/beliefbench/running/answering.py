"""Asking: the questions to some users' assistants, as a value that can be sent to any process, and an agent's
answers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa

from beliefbench.agent import Agent, Brief, Prediction, break_ties
from beliefbench.domain import OPTIONS, Domain
from beliefbench.errors import BeliefBenchError, cut, guarded
from beliefbench.exact.questionnaire import choices_of_levels, level_marginals, usable_beliefs
from beliefbench.folders import well_formed
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import QUICK, Protocol
from beliefbench.protocol.stopping import SampleOf, StoppingRule, stopping_rule
from beliefbench.running.contract import check_answers, identity_of, note_of
from beliefbench.running.states import changed, held_by
from beliefbench.running.store import ROWS, SCHEMA, DomainIdentity, RunIdentity

USERS_PER_CALL = 1024
OTHERS = ("user", "stage", "question", "truth", *(f"exact_{option}" for option in range(OPTIONS)))
ANSWERS = pa.schema([field for field in ROWS if field.name not in OTHERS])


@dataclass(frozen=True)
class Job:
    """One run: an agent that is asked on a domain by a protocol.

    ``specs`` are the SPECs of the domain (or of its suite) and of the agent; another process loads them by these. None
    if they were given as objects. ``stopping`` is the rule for stopping early; None: all users are asked.
    """

    domain: Domain
    agent: Agent
    protocol: Protocol
    specs: tuple[str, str] | None = None
    stopping: StoppingRule | None = None

    @classmethod
    def of(
        cls,
        domain: Domain,
        agent: Agent,
        specs: tuple[str, str] | None = None,
        *,
        preset: str,
        users: int | None = None,
        rounds: int | None = None,
        heldout: int | None = None,
        seed: int = 0,
        sample: int | None = None,
        until_width: float | None = None,
    ) -> Job:
        """Return the run of an agent on a domain, checked; a number that is None is the preset's.

        The quick preset asks an agent that has ``quick_users`` about a sample of that many users.
        """
        protocol = Protocol.of(domain, users=users, rounds=rounds, heldout=heldout, seed=seed, preset=preset)
        rule = stopping_rule(sample, until_width)
        few: int | None = getattr(agent, "quick_users", None)
        if rule is None and users is None and preset == QUICK and few is not None:
            rule = SampleOf(few)
        return cls(domain, agent, protocol, specs, rule)

    @property
    def looks(self) -> tuple[int, ...]:
        """The numbers of users after which the run may end."""
        users = self.protocol.users
        return self.stopping.looks(users) if self.stopping else (users,)


@dataclass(frozen=True)
class Shard:
    """Users who are asked about together, with their rounds and held-out sets.

    places int[users], their positions in the episodes; users int[users], their numbers; keys uint32[users, ...], the
    data of the agent's random keys; options float[users, rounds, 3, features]; chosen int[users, rounds]; heldout
    float[heldout, 3, features], or float[users, heldout, 3, features]; truth {site: value[users]}, for privileged
    agents only; answered bool[rounds + 1], the stages that need not be asked; recommended int[users, rounds + 1], what
    was recommended at those.
    """

    places: np.ndarray
    users: np.ndarray
    keys: np.ndarray
    options: np.ndarray
    chosen: np.ndarray
    heldout: np.ndarray
    truth: Mapping[str, np.ndarray] | None
    answered: np.ndarray
    recommended: np.ndarray

    def after(self, answers: Answers) -> Shard:
        """Return the shard when it has answered one more stage."""
        answered, recommended = self.answered.copy(), self.recommended.copy()
        answered[answers.stage] = True
        recommended[:, answers.stage] = answers.choice(len(self.users))[:, -1]
        return replace(self, answered=answered, recommended=recommended)


@dataclass(frozen=True)
class Answers:
    """The answers of a shard at one stage: the columns `ANSWERS`, by user and set, and the time that they took; and the
    agent's ``note`` after them; or the ``counts`` from which it makes its note."""

    stage: int
    columns: pa.Table
    seconds: float
    note: str | None = None
    counts: Mapping[str, int] | None = None

    def choice(self, users: int) -> np.ndarray:
        """Return the choices, int[users, sets]."""
        return self.columns["choice"].to_numpy().reshape(users, -1)


def run_identity(job: Job) -> RunIdentity:
    """Return everything that a run's rows depend on; raise `BeliefBenchError` as `identity_of`."""
    return RunIdentity(
        schema=SCHEMA,
        domain=DomainIdentity(**job.domain.identity()),
        agent=identity_of(job.agent),
        stopping=job.stopping.identity() if job.stopping else None,
        **job.protocol.identity(),
    )


def shards_of(
    job: Job, episodes: Episodes, answered: np.ndarray, recommended: np.ndarray, slots: int
) -> Iterator[Shard]:
    """Yield shards of all users with unanswered stages, small enough for a call, and at least one per slot.

    answered bool[users, rounds + 1]; recommended int[users, rounds + 1]. Users with the same unanswered stages are
    together.
    """
    keys = np.asarray(jax.random.key_data(episodes.agent_keys(job.agent.name)))
    most = getattr(job.agent, "users_per_call", USERS_PER_CALL)
    for pattern in np.unique(answered[~answered.all(axis=1)], axis=0):
        waiting = np.flatnonzero((answered == pattern).all(axis=1))
        size = min(most, -(-len(waiting) // slots))
        for places in (waiting[at : at + size] for at in range(0, len(waiting), size)):
            yield Shard(
                places=places,
                users=episodes.users[places],
                keys=keys[places],
                options=episodes.options[places],
                chosen=episodes.chosen[places],
                heldout=episodes.heldout[places] if episodes.heldout.ndim == 4 else episodes.heldout,
                truth=episodes.latents_of(places) if job.agent.privileged else None,
                answered=pattern,
                recommended=recommended[places],
            )


def ask(job: Job, shard: Shard) -> Iterator[Answers]:
    """Ask a shard at every stage that it has not answered, and replay the other stages; yield each answer when it is
    complete.

    Raises
    ------
    BeliefBenchError
        If the agent breaks.
    """
    agent, users, stages = job.agent, np.arange(len(shard.users)), len(shard.answered)
    who = f"agent '{agent.name}' broke on {job.domain.name}:"
    # Copies of all, since an agent may spoil what it is handed, and what came from another process is read-only.
    with guarded(who):
        truth = None if shard.truth is None else {name: value.copy() for name, value in shard.truth.items()}
        state = agent.begin(Brief.of(job.domain), jax.random.wrap_key_data(jnp.asarray(shard.keys)), truth)
    for stage in range(stages):
        recommended = shard.recommended[:, stage].copy()
        if not shard.answered[stage]:
            questions = questions_at(shard, users, stage)
            with guarded(who):
                held = held_by(state)
                started = time.perf_counter()
                answers = agent.predict(state, questions.copy())
                seconds = time.perf_counter() - started
                check_answers(answers, questions.shape[:2], agent)
                if where := changed(held, held_by(state)):
                    raise BeliefBenchError(
                        f"agent '{agent.name}' broke its contract: predict changed the state ({cut(where, 60)}); "
                        "expected predict to leave it as it is, and observe to return the next one."
                    )
                recommended = answers.choice[:, -1].copy()
                columns, note = _columns(answers), note_of(agent)
                implied = _implied(job.domain, shard, stage, questions, answers.beliefs)
            yield Answers(stage, pa.table({**columns, **implied}, schema=ANSWERS), seconds, note, answers.counts)
        if stage + 1 < stages:
            options, chosen = shard.options[:, stage].copy(), shard.chosen[:, stage].copy()
            with guarded(who):
                state = agent.observe(state, options, recommended, chosen)


def questions_at(met: Episodes | Shard, places: np.ndarray, stage: int) -> np.ndarray:
    """Return the sets that are asked at a stage: the held-out sets, then the next round's own set if there is a next
    round."""
    sets = met.heldout[places] if met.heldout.ndim == 4 else met.heldout
    heldout = np.broadcast_to(sets, (len(places), *sets.shape[-3:]))
    return np.concatenate([heldout, met.options[places, stage : stage + 1]], axis=1)


def _columns(answers: Prediction) -> dict[str, pa.Array]:
    """Return an agent's answers as columns, by user and set; without ``beliefs``."""
    shape = answers.choice.shape
    none = [None] * answers.choice.size
    probs = np.full((*shape, OPTIONS), np.nan) if answers.probs is None else np.array(answers.probs, np.float64)
    probs[answers.choice < 0] = np.nan
    columns: dict[str, Any] = {
        "choice": answers.choice.ravel(),
        **{f"prob_{option}": probs[..., option].ravel() for option in range(OPTIONS)},
    }
    for name in ("tokens", "text", "seconds", "bounded"):
        value = getattr(answers, name)
        columns[name] = none if value is None else np.ravel(np.asarray(value, object if name == "text" else None))
    if answers.text is not None:
        columns["text"] = [None if one is None else well_formed(one) for one in columns["text"]]
    return {name: pa.array(value, type=ROWS.field(name).type, from_pandas=True) for name, value in columns.items()}


def _implied(
    domain: Domain, shard: Shard, stage: int, questions: np.ndarray, stated: np.ndarray | None
) -> dict[str, pa.Array]:
    """Return stated beliefs, the exact beliefs, and the options that the stated beliefs imply."""
    users, sets = questions.shape[:2]
    by_beliefs: list[int | None] = [None] * (users * sets)
    beliefs: list[Any] = [None] * (users * sets)
    exact: list[Any] = [None] * (users * sets)
    for user, of_user in enumerate(stated if stated is not None else ()):
        first = slice(user * sets, user * sets + 1)
        usable = usable_beliefs(np.asarray(of_user, np.float64))
        seen = shard.options[user, :stage], shard.chosen[user, :stage]
        exact[first] = [level_marginals(domain, *seen, on_contradiction="ignore").tolist()]
        beliefs[first] = [np.asarray(of_user, np.float64).tolist()]
        options = np.full(sets, -1)
        if usable is not None:
            keys = jax.random.wrap_key_data(jnp.asarray(shard.keys[[user]]))
            options = break_ties(choices_of_levels(domain, usable, questions[user])[None], keys, stage)[0]
        by_beliefs[user * sets : (user + 1) * sets] = options.tolist()
    columns = {"by_beliefs": by_beliefs, "beliefs": beliefs, "exact_beliefs": exact}
    return {name: pa.array(value, type=ROWS.field(name).type) for name, value in columns.items()}
