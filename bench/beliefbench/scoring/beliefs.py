"""Metrics of stated beliefs: how far they are from the exact ones, what they imply, and whether choices follow them.

The paper asks models what a user wants, turns that into choices, and compares (section 6). Beliefs are answers to a
domain's questionnaire (`beliefbench.exact.questionnaire`), a distribution for each scale. A scale without a usable
answer has no distance; what beliefs imply takes it for unknown, and beliefs without any usable answer imply nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def belief_distance(stated: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Total variation between stated and exact beliefs, for each scale. Range [0, 1], lower is better.

    stated, exact: float[..., scales, levels], rows summing to 1; NaN if stated is NaN, since nothing was stated.

    >>> belief_distance(np.array([[1.0, 0.0], [np.nan, np.nan]]), np.array([[0.25, 0.75], [0.5, 0.5]])).tolist()
    [0.75, nan]
    """
    gap: np.ndarray = abs(stated - exact).sum(axis=-1) / 2
    return gap


def belief_accuracy(implied: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Share of sets where the option that stated beliefs imply is what the user wants. Range [0, 1], higher is better.

    implied int[..., sets], -1 for none; truth int[..., sets].

    >>> float(belief_accuracy(np.array([0, -1]), np.array([0, 1])))
    0.5
    """
    return (implied == truth).mean(axis=-1)


def consistency(implied: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """Share of sets where the agent chooses what its stated beliefs imply. Range [0, 1]; chance 1/3.

    implied, choice int[..., sets], -1 for none, which is consistent with nothing.

    >>> float(consistency(np.array([0, -1]), np.array([0, -1])))
    0.5
    """
    return ((implied == choice) & (implied >= 0)).mean(axis=-1)


def score_beliefs(
    stated: np.ndarray, exact: np.ndarray, implied: np.ndarray, choice: np.ndarray, truth: np.ndarray
) -> list[Mapping[str, Any]]:
    """Return the metrics of beliefs after each round, the means over users: of ``distance`` over what was stated (None
    if nothing was), and ``coverage``, the share of scales with a usable answer.

    Parameters
    ----------
    stated, exact
        float[users, stages, scales, levels].
    implied, choice, truth
        int[users, stages, sets].
    """
    gap = belief_distance(stated, exact)
    usable = ~np.isnan(gap)
    values = {
        "accuracy": belief_accuracy(implied, truth),
        "consistency": consistency(implied, choice),
        "coverage": usable.mean(axis=-1),
    }
    return [
        {
            "distance": float(gap[:, stage][usable[:, stage]].mean()) if usable[:, stage].any() else None,
            **{name: float(value[:, stage].mean()) for name, value in values.items()},
        }
        for stage in range(stated.shape[1])
    ]
