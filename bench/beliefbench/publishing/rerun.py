"""Asking an agent the same questions again: digests cannot show whether the agent gave the answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beliefbench.checking.results import CheckFailedError
from beliefbench.errors import counted
from beliefbench.publishing.recompute import Recomputed
from beliefbench.publishing.reproductions import CHANGED, FURTHEST
from beliefbench.running.answering import Job, shards_of
from beliefbench.running.executors.registry import open_executor
from beliefbench.running.packing import PROBS

NEAR_TIE = 1e-3
"""A choice may differ where the probabilities of the two options, asked again, are this near the largest."""


@dataclass(frozen=True)
class RerunAnswers:
    """Answers to the rows of some users, asked again: choice int[users, rows of a user], probs float[..., 3] or NaN."""

    choice: np.ndarray
    probs: np.ndarray


def check_rerun(run: Recomputed, job: Job, number: int, seed: int) -> tuple[str, dict[str, float]]:
    """Ask a run's agent, ``job`` from `declared.job_of`, again about ``number`` of its users; return a sentence on the
    differences, and its figures: ``seed``, ``users``, ``answers``, ``choices_differ``, and ``probabilities_differ`` if
    the agent has any.

    A choice may differ between near ties only (`clearly_differ`). A conversation continues with the agent's own
    recommendations. If one of these differs because it was nearly a tie, the user's later questions differ too, and
    are not compared.

    Raises
    ------
    CheckFailedError
        If its answers differ by more than that.
    """
    at = np.sort(np.random.default_rng(seed).permutation(run.layout.users)[:number])
    again = _ask(run, job, run.places[at])
    layout = run.layout
    choice = layout.columns(run.rows, "choice")[0][at]
    probs = layout.options(run.rows, "prob")[at]
    changed = again.choice != choice
    parted = np.cumsum(changed[:, layout.own], axis=1) > 0  # [users, rounds]: it went another way in this round
    compared = np.ones(changed.shape, bool)
    later = layout.stage > 0
    compared[:, later] = ~parted[:, layout.stage[later] - 1]
    gap = np.where(compared, abs(again.probs - probs).max(axis=-1), np.nan)
    furthest = 0.0 if np.isnan(gap).all() else float(np.nanmax(gap))
    clear = compared & clearly_differ(again, choice)
    share = float(changed[compared].mean())
    unlike = compared & (np.isnan(again.probs).all(axis=-1) != np.isnan(probs).all(axis=-1))
    found = f"{counted(len(at), 'user')} asked again (--seed {seed}): {share:.2%} of {compared.sum():,} choices differ"
    figures: dict[str, float] = {
        "seed": seed,
        "users": len(at),
        "answers": int(compared.sum()),
        "choices_differ": share,
    }
    others = share > CHANGED
    if job.agent.probabilistic:
        figures["probabilities_differ"] = furthest
        found = f"{found}, and probabilities by {furthest:.1e} at most"
        if clear.any():
            found = f"{found}; {counted(int(clear.sum()), 'choice')} where there is no near tie"
        others = furthest > FURTHEST or bool(clear.any() or unlike.any())
    if others:
        raise CheckFailedError(f"{found}; these are not the answers of {job.agent.name}.", figures)
    return f"{found}.", figures


def clearly_differ(again: RerunAnswers, choice: np.ndarray) -> np.ndarray:
    """Return which choices differ from those asked again otherwise than between near ties, bool[users, rows of a user].

    A near tie: the probabilities of both options, as the agent states them now, are within `NEAR_TIE` of its largest.
    What the run says its probabilities were does not count, because a forger can choose it.
    """
    largest = again.probs.max(axis=-1)
    below = largest - np.minimum(_of(choice, again.probs), _of(again.choice, again.probs))
    clear: np.ndarray = (again.choice != choice) & ~(below <= NEAR_TIE)  # also where there are no probabilities
    return clear


def _ask(run: Recomputed, job: Job, places: np.ndarray) -> RerunAnswers:
    """Ask everything about the users at some positions, from the beginning."""
    layout, stages = run.layout, run.layout.rounds + 1
    answered = np.ones((len(run.episodes.users), stages), bool)
    answered[places] = False
    rows = (len(places), len(layout.stage))
    choice, probs = np.empty(rows, int), np.empty((*rows, 3))
    with open_executor("local") as executor:
        executor.check(job)
        nothing = np.full(answered.shape, -1)
        for shard, answers in executor.ask(job, shards_of(job, run.episodes, answered, nothing, executor.slots())):
            users = np.array([int(np.flatnonzero(places == place)[0]) for place in shard.places])
            here = np.flatnonzero(layout.stage == answers.stage)
            here = np.concatenate([here[~layout.own[here]], here[layout.own[here]]])  # as they are asked: own set last
            at = np.ix_(users, here)
            choice[at] = answers.choice(len(users))
            stated = np.stack([answers.columns[name].to_numpy() for name in PROBS], axis=-1)
            probs[at] = stated.reshape(len(users), -1, len(PROBS))
    return RerunAnswers(choice, probs)


def _of(choice: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Return the probabilities of choices, NaN if there is none."""
    named = np.take_along_axis(probs, np.maximum(choice, 0)[..., None], axis=-1)[..., 0]
    return np.where(choice >= 0, named, np.nan)
