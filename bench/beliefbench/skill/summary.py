"""The skill model's results for the leaderboard, with the diagnostics of its sampler."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from beliefbench.intervals import Estimate
from beliefbench.running.derived import keep, key_of, recalled
from beliefbench.skill.convergence import Convergence
from beliefbench.skill.counts import MIN_USERS, Comparable
from beliefbench.skill.learning import Curve
from beliefbench.skill.storage import curves_of, posterior_file, posterior_of, stored_posterior

if TYPE_CHECKING:
    from xarray import DataTree

SMALL_GAIN = 0.02
"""An agent that gains less than this after the first round is on a plateau."""
RHAT, ESS = 1.01, 400


@dataclass(frozen=True)
class Skill:
    """The skill model's results for one run, compared with the runs with the same questions.

    accuracy: posterior mean and 95% interval after each round, [0, 1]; rank: the 95% interval of its rank after the
    last round; best: P(it is the best agent that is not privileged), None for privileged agents; beats: for each run of
    the group, P(this run has the higher accuracy after the last round), 1/2 for itself; gain: accuracy after the last
    round minus after the first, and plateau: P(gain < `SMALL_GAIN`), both None with fewer than 2 rounds; curves: the
    learning curves compared (`beliefbench.skill.learning`). rhat: the largest of its accuracies; ess_bulk, ess_tail:
    the smallest; problems: the reasons why it is not sound, empty if it is.
    """

    accuracy: list[Estimate]
    rank: tuple[int, int]
    best: float | None
    beats: list[float]
    gain: Estimate | None
    plateau: float | None
    curves: dict[str, Curve]
    rhat: float
    ess_bulk: float
    ess_tail: float
    divergences: int
    problems: list[str]


class Fit(NamedTuple):
    """Runs that are fitted together, all with the same number of rounds: groups of runs, a label per run, and the
    original (group, position) of each run."""

    rounds: int
    groups: list[Comparable]
    labels: list[str]
    places: list[tuple[int, int]]


def fits(groups: Sequence[Comparable], labels: Sequence[Sequence[str]]) -> list[Fit]:
    """Return the runs with at least `MIN_USERS` users, separated by the number of rounds."""
    found = []
    for stages in sorted({run.right.shape[1] for group in groups for run in group.runs}):
        fit = Fit(stages - 1, [], [], [])
        for number, group in enumerate(groups):
            chosen = [
                place
                for place, run in enumerate(group.runs)
                if run.right.shape[1] == stages and len(run.users) >= MIN_USERS
            ]
            if chosen:
                agents = [group.agents[place] for place in chosen]
                privileged_runs = [at for at, place in enumerate(chosen) if place in group.privileged]
                fit.groups.append(Comparable(agents, [group.runs[place] for place in chosen], privileged_runs))
                fit.labels.extend(labels[number][place] for place in chosen)
                fit.places.extend((number, place) for place in chosen)
        if fit.groups:
            found.append(fit)
    return found


def skills(
    groups: Sequence[Comparable], labels: Sequence[Sequence[str]], results: Path, fit_now: bool = True
) -> list[list[Skill | None]]:
    """Return the skill model's results for each run of each group.

    Parameters
    ----------
    groups
        Runs that met the same questions.
    labels
        The names of the runs in the stored posterior.
    results
        The folder of results that the posterior is kept in.
    fit_now
        False: nothing is fitted, and only a stored posterior is used.

    Returns
    -------
    A list a group. None for a run with fewer than `MIN_USERS` users, and for a run whose posterior is not stored if
    ``fit_now`` is False.
    """
    found: list[list[Skill | None]] = [[None] * len(group.runs) for group in groups]
    for fit in fits(groups, labels):
        for (number, place), skill in zip(fit.places, _skills_of(fit, results, fit_now) or [], strict=False):
            found[number][place] = skill
    return found


def _skills_of(fit: Fit, results: Path, fit_now: bool) -> list[Skill] | None:
    """Return the results for the runs of a fit; None if its posterior is not stored and ``fit_now`` is False."""
    file = posterior_file(fit.groups, fit.labels, results)
    key, value = None, None  # a posterior that is fitted now is there the next time
    if file.is_file():
        posterior = hashlib.sha256(file.read_bytes()).hexdigest()
        key = key_of("skill", posterior=posterior, runs=file.name, labels=fit.labels)
        value = recalled(key)
    if value is None:
        tree = (posterior_of if fit_now else stored_posterior)(fit.groups, fit.labels, results)
        if tree is None:
            return None
        value = [asdict(skill) for skill in _summed(fit.groups, tree)]
        if key is not None:
            keep(key, value)
    return [_skill(one) for one in value]


def _skill(value: dict[str, Any]) -> Skill:
    """Return a skill from its JSON values."""
    return Skill(
        **{
            **value,
            "accuracy": [Estimate(*one) for one in value["accuracy"]],
            "rank": tuple(value["rank"]),
            "gain": value["gain"] and Estimate(*value["gain"]),
            "curves": {name: Curve(*one) for name, one in value["curves"].items()},
        }
    )


def _summed(groups: Sequence[Comparable], tree: DataTree) -> list[Skill]:
    divergences = int(tree["sample_stats"]["diverging"].sum())
    accuracy = np.asarray(tree["posterior"]["accuracy"])  # [chains, draws, runs, rounds]
    found = Convergence.of(accuracy.reshape(*accuracy.shape[:2], -1))
    rhat, bulk, tail = (of_each.reshape(accuracy.shape[2:]) for of_each in found)
    largest, bulk, tail = rhat.max(axis=1), bulk.min(axis=1), tail.min(axis=1)
    draws = accuracy.reshape(-1, *accuracy.shape[2:]).astype(float)  # [draws, runs, rounds]
    skills: list[Skill] = []
    start = 0
    for group in groups:
        mine = slice(start, start + len(group.runs))
        start = mine.stop
        final = draws[:, mine, -1]
        above = final[:, :, None] > final[:, None, :]  # [draws, runs, others]
        rank = 1 + above.sum(axis=1)
        rivals = [place for place in range(len(group.runs)) if place not in group.privileged]
        highest = final[:, rivals].max(axis=1, initial=0)
        for place in range(len(group.runs)):
            at = mine.start + place
            curves = curves_of(tree, at)
            gain = draws[:, at, -1] - draws[:, at, 1] if draws.shape[-1] > 2 else None
            beats = above[:, place].mean(axis=0)
            beats[place] = 0.5
            diagnosis = (float(largest[at]), float(bulk[at]), float(tail[at]), divergences)
            low, high = np.quantile(rank[:, place], [0.025, 0.975], method="nearest")
            skills.append(
                Skill(
                    [_estimate(np.clip(draws[:, at, stage], 0, 1)) for stage in range(draws.shape[-1])],
                    (int(low), int(high)),
                    None if place in group.privileged else float((final[:, place] >= highest).mean()),
                    beats.tolist(),
                    None if gain is None else _estimate(gain),
                    None if gain is None else float((gain < SMALL_GAIN).mean()),
                    curves,
                    *diagnosis,
                    _problems(*diagnosis),
                )
            )
    return skills


def _estimate(draws: np.ndarray) -> Estimate:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(float(draws.mean()), float(low), float(high))


def _problems(rhat: float, bulk: float, tail: float, divergences: int) -> list[str]:
    """Return the problems of a fit, in a few words each.

    >>> _problems(1.02, 500.0, 300.0, 0)
    ['R-hat 1.020', 'tail ESS 300']
    """
    # Written so that what is not a number, such as the R-hat of a chain that never moved, is a problem too.
    return [
        *([] if rhat < RHAT else [f"R-hat {rhat:.3f}"]),
        *([] if bulk > ESS else [f"bulk ESS {bulk:.0f}"]),
        *([] if tail > ESS else [f"tail ESS {tail:.0f}"]),
        *([f"{divergences} divergences"] if divergences else []),
    ]
