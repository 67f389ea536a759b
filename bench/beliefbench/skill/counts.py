"""The data of the skill model: for each run, user and stage, the number of right answers of the agent and of the exact
answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from beliefbench.scoring.heldout import HeldOut
from beliefbench.scoring.updating import exact_accuracy

FOLDER = "skill"
"""Below a folder of results: the posteriors of the skill model."""
MIN_USERS = 24
"""The model leaves out runs with fewer users: for 8, its intervals cover in fewer than 93% of samples."""


class Counts(NamedTuple):
    """A run: users int[users]; right [users, stages], the number of right answers among ``heldout``; exact [users,
    stages], the same for the exact answer. Ties count in equal parts, so exact need not be whole."""

    users: np.ndarray
    right: np.ndarray
    heldout: int
    exact: np.ndarray

    @classmethod
    def of(cls, answers: HeldOut) -> Counts:
        """Count the answers of a run that are right."""
        heldout = answers.choice.shape[-1]
        right = (answers.choice == answers.truth).sum(axis=-1)
        return cls(answers.users, right, heldout, heldout * exact_accuracy(answers.truth, answers.exact))

    @classmethod
    def of_exact(cls, runs: Sequence[Counts]) -> Counts:
        """Return the exact answer as a run, for all users of the runs with the same questions.

        >>> one = Counts(np.array([0, 2]), np.array([[1], [2]]), 4, np.array([[2], [3]]))
        >>> Counts.of_exact([one, one._replace(users=np.array([1, 2]))]).right.ravel().tolist()
        [2, 2, 3]
        """
        users, first = np.unique(np.concatenate([run.users for run in runs]), return_index=True)
        exact = np.concatenate([run.exact for run in runs])[first]
        return cls(users, exact, runs[0].heldout, exact)

    @property
    def share(self) -> np.ndarray:
        """Each user's accuracy at each stage, float[users, stages]."""
        return self.right / self.heldout


class Comparable(NamedTuple):
    """Runs with the same questions: the names of their agents, their counts, and the positions of privileged agents.

    Runs of one name are those of one agent, in this group and in others, and are pooled.
    """

    agents: Sequence[str]
    runs: Sequence[Counts]
    privileged: Collection[int] = ()


def means_and_covariance(runs: Sequence[Counts]) -> tuple[np.ndarray, np.ndarray]:
    """Return the accuracies of runs that met the same users, and the covariance of their errors as estimates.

    All runs have the same randomly drawn users, so the errors of agents and stages are correlated; this makes two
    agents comparable. A user is one draw: no assumption is made about the dependence between the answers of one user.

    Correlations are shrunk towards 0 (Schaefer and Strimmer, 2005), since there may be fewer users than accuracies.
    Variances are those of Student's t for this number of users. If all users of a run have the same accuracy, its
    variance is that of the mean of this many yes-or-no answers (Agresti and Coull, 1998).

    Returns
    -------
    mean float[runs x stages], covariance float[runs x stages, runs x stages], positive definite.

    >>> rng = np.random.default_rng(0)
    >>> right = rng.binomial(50, 0.6, size=(400, 2))
    >>> run = Counts(np.arange(400), right, 50, exact=right)
    >>> mean, covariance = means_and_covariance([run])
    >>> mean.round(1).tolist(), bool(np.isclose(covariance[0, 0], 0.6 * 0.4 / 50 / 400, rtol=0.2))
    ([0.6, 0.6], True)
    """
    everyone = np.unique(np.concatenate([run.users for run in runs]))
    stages = runs[0].right.shape[1]
    errors = np.zeros((len(everyone), len(runs), stages))  # 0 if a run left a user out: such a user adds nothing
    for number, run in enumerate(runs):
        errors[np.searchsorted(everyone, run.users), number] = run.share - run.share.mean(axis=0)
    mean = np.concatenate([run.share.mean(axis=0) for run in runs])
    users = np.repeat([len(run.users) for run in runs], stages)
    flat = errors.reshape(len(everyone), -1)
    squares = (flat**2).sum(axis=0)
    same = squares < 1e-12
    likely = (users * mean + 2) / (users + 4)
    variance = np.where(same, likely * (1 - likely) / (users + 4), squares / users / (users - 3))
    shape = flat / np.sqrt(np.where(same, 1, squares))
    deviation = np.sqrt(variance)
    return mean, _shrunk(shape, same) * np.outer(deviation, deviation)


def _shrunk(shape: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Return the correlations of columns float[users, accuracies] of length 1, shrunk towards 0."""
    users = len(shape)
    correlation = shape.T @ shape
    noise = users / (users - 1) * ((shape**2).T @ shape**2 - correlation**2 / users)
    off = ~np.eye(len(same), dtype=bool)
    signal = float((correlation[off] ** 2).sum())
    by = float(np.clip(noise[off].sum() / signal, 0.001, 1)) if signal > 0 else 1.0
    return np.where(off, (1 - by) * correlation, 1.0)
