"""Does an agent keep learning after the first round? Learning curves, compared by leaving one user out.

A user's accuracies after each round are a draw from a normal distribution around the curve, with the covariance over
users. Each curve is linear in its parameters, so the posterior is normal and its draws are exact.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from beliefbench.skill.counts import Counts, means_and_covariance

DRAWS = 500
PRIOR = 1.0
"""Prior standard deviation of a curve's parameters (accuracies and differences of accuracies): wide."""


class Curve(NamedTuple):
    """A learning curve compared with the free curve, which has one parameter per round.

    elpd_difference: expected log predictive density of a user left out, minus that of the free curve, summed over
    users; error: its standard error; pareto_k: the largest Pareto k of both (Vehtari et al., 2024).
    """

    elpd_difference: float
    error: float
    pareto_k: float


def designs(stages: int) -> dict[str, np.ndarray]:
    """Return the learning curves, each as float[stages, parameters]; there are at least 3 stages.

    nothing: one accuracy for all rounds; plateau: one accuracy before and one after the first round (the paper's
    finding for language models); logarithmic: after the first round, the same gain whenever the number of rounds
    doubles; free: any shape.

    >>> {name: design.shape for name, design in designs(6).items()}
    {'nothing': (6, 1), 'plateau': (6, 2), 'logarithmic': (6, 3), 'free': (6, 6)}
    """
    before = np.arange(stages) == 0
    plateau = np.stack([before, ~before], axis=1).astype(float)
    gain = np.log2(np.maximum(np.arange(stages), 1))[:, None]
    return {
        "nothing": np.ones((stages, 1)),
        "plateau": plateau,
        "logarithmic": np.concatenate([plateau, gain], axis=1),
        "free": np.eye(stages),
    }


def compare_curves(run: Counts, seed: int = 0) -> dict[str, Curve]:
    """Return how well each curve predicts users left out, by PSIS-LOO (Vehtari, Gelman and Gabry, 2017).

    Empty with fewer than 2 rounds.

    >>> rng = np.random.default_rng(0)
    >>> learner = np.stack([rng.binomial(40, share, 300) for share in (0.35, 0.5, 0.6, 0.7)], axis=1)
    >>> found = compare_curves(Counts(np.arange(300), learner, 40, exact=learner))
    >>> found["plateau"].elpd_difference < -4 * found["plateau"].error
    True
    """
    from arviz_stats.base.array import array_stats
    from scipy.special import logsumexp

    users, stages = run.right.shape
    if stages < 3:
        return {}
    mean, covariance = means_and_covariance([run])
    spread = covariance * users  # of one user
    root = np.linalg.cholesky(spread)
    rng = np.random.default_rng(seed)
    found = {}
    for name, design in designs(stages).items():
        white = np.linalg.solve(root, design)
        precision = users * white.T @ white + np.eye(design.shape[1]) / PRIOR**2
        centre = np.linalg.solve(precision, users * white.T @ np.linalg.solve(root, mean - 0.5))
        scale = np.linalg.inv(np.linalg.cholesky(precision)).T
        curves = 0.5 + (centre + rng.normal(size=(DRAWS, design.shape[1])) @ scale.T) @ design.T
        away = np.linalg.solve(root, (run.share[None] - curves[:, None]).reshape(-1, stages).T).T
        # The log density of each user, up to what all curves share: [users, draws], as ArviZ wants it.
        density = -0.5 * (away.reshape(DRAWS, users, stages) ** 2).sum(axis=-1).T
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a large Pareto k, which is reported
            weights, pareto_k = array_stats.psislw(density)
        found[name] = logsumexp(weights + density, axis=1), float(np.max(pareto_k))
    free, of_free = found["free"]
    compared = {}
    for name, (elpd, worst) in found.items():
        difference = elpd - free
        error = float(np.std(difference, ddof=1) * np.sqrt(users))
        compared[name] = Curve(float(difference.sum()), error, max(worst, of_free))
    return compared
