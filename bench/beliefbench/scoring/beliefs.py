"""Metrics of stated beliefs: their distance from the exact beliefs, the choices that they imply, and consistency.

The paper asks models for a user's preferences, computes choices from them, and compares (section 6). Beliefs are
answers to a domain's questionnaire (`beliefbench.exact.questionnaire`): a distribution for each scale. A scale without
a usable answer has no distance, and counts as unknown when choices are computed. Beliefs without any usable answer
imply no choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def belief_distance(stated: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Total variation between stated and exact beliefs, for each scale. Range [0, 1], lower is better.

    stated, exact: float[..., scales, levels], rows summing to 1. The distance is NaN if nothing was stated (NaN).

    >>> belief_distance(np.array([[1.0, 0.0], [np.nan, np.nan]]), np.array([[0.25, 0.75], [0.5, 0.5]])).tolist()
    [0.75, nan]
    """
    gap: np.ndarray = abs(stated - exact).sum(axis=-1) / 2
    return gap


def belief_accuracy(implied: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Share of sets on which the stated beliefs imply the option that the user wants. Range [0, 1], higher is better.

    implied int[..., sets], -1 for none; truth int[..., sets].

    >>> float(belief_accuracy(np.array([0, -1]), np.array([0, 1])))
    0.5
    """
    return (implied == truth).mean(axis=-1)


def consistency(implied: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """Share of sets on which the agent chooses the option that its stated beliefs imply. Range [0, 1]; chance 1/3.

    implied, choice int[..., sets], -1 for none, which never counts as consistent.

    >>> float(consistency(np.array([0, -1]), np.array([0, -1])))
    0.5
    """
    return ((implied == choice) & (implied >= 0)).mean(axis=-1)


def score_beliefs(
    stated: np.ndarray, exact: np.ndarray, implied: np.ndarray, choice: np.ndarray, truth: np.ndarray
) -> list[Mapping[str, Any]]:
    """Return the metrics of beliefs after each round, as means over users. ``distance`` covers stated beliefs only, and
    is None if there are none. ``coverage`` is the share of scales with a usable answer.

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
