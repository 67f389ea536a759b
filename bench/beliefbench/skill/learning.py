"""Does an agent keep learning after the first round? Learning curves, compared by leaving one user out.

A user's accuracies after each round are a draw from a normal distribution around the curve, with the covariance over
users. Each curve is linear in its parameters, so the predictive density of a user left out is known exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from beliefbench.skill.counts import Counts, means_and_covariance

PRIOR = 1.0
"""Prior standard deviation of a curve's parameters (accuracies and differences of accuracies): wide."""


class Curve(NamedTuple):
    """A learning curve compared with the free curve, which has one parameter per round.

    elpd_difference: expected log predictive density of a user left out, minus that of the free curve, summed over
    users; error: its standard error.
    """

    elpd_difference: float
    error: float


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


def compare_curves(run: Counts) -> dict[str, Curve]:
    """Return how well each curve predicts users left out (Vehtari, Gelman and Gabry, 2017, without an approximation).

    Empty with fewer than 2 rounds.

    >>> rng = np.random.default_rng(0)
    >>> learner = np.stack([rng.binomial(40, share, 300) for share in (0.35, 0.5, 0.6, 0.7)], axis=1)
    >>> found = compare_curves(Counts(np.arange(300), learner, 40, exact=learner))
    >>> found["plateau"].elpd_difference < -4 * found["plateau"].error
    True
    """
    users, stages = run.right.shape
    if stages < 3:
        return {}
    _, covariance = means_and_covariance([run])
    root = np.linalg.cholesky(covariance * users)  # of one user
    white = np.linalg.solve(root, run.share.T - 0.5).T
    densities = {name: _left_out(white, np.linalg.solve(root, design)) for name, design in designs(stages).items()}
    differences = {name: density - densities["free"] for name, density in densities.items()}
    return {
        name: Curve(float(each.sum()), float(np.std(each, ddof=1) * np.sqrt(users)))
        for name, each in differences.items()
    }


def _left_out(white: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Return the log predictive density of each user given the others, float[users], up to a constant.

    ``white`` float[users, stages] has a standard normal distribution around ``design`` @ parameters.
    """
    precision = (len(white) - 1) * design.T @ design + np.eye(design.shape[1]) / PRIOR**2
    parameters = np.linalg.solve(precision, design.T @ (white.sum(axis=0) - white).T)
    root = np.linalg.cholesky(np.eye(len(design)) + design @ np.linalg.solve(precision, design.T))
    away = np.linalg.solve(root, white.T - design @ parameters)
    density: np.ndarray = -0.5 * (away**2).sum(axis=0) - np.log(np.diag(root)).sum()
    return density
