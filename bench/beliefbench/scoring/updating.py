"""Metrics of updating: how an agent's answers change from round to round, compared with the exact answer.

All take the same arrays as `beliefbench.scoring.metrics`. They return one `Estimate` per stage, clustered by user, or
None if there is nothing to measure, for example if an agent has no probabilities. Unusable answers count as uniform.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from beliefbench.intervals import Estimate, clustered_ratio, clustered_slope
from beliefbench.scoring.metrics import Array, Probs, accuracy, largest, of_option, total, usable_probs

Estimates = list[Estimate | None]


def gap_closed(probs: Probs, choice: Array, truth: Array, exact: Array) -> Estimates:
    """(accuracy - chance) / (exact accuracy - chance): the share of the gap between chance and the exact answer. 0 at
    chance, 1 for the exact answer; higher is better.

    Negative below chance; above 1 for an agent that knows more than the choices reveal. The exact accuracy is the
    accuracy of the option with the largest posterior predictive probability on the same questions; ties count
    equally. After Qiu et al. (2026), who compare with the Bayesian Assistant. The interval uses the delta method.

    >>> exact = np.array([[[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]]] * 2)
    >>> first, truth = np.zeros((2, 1, 2), int), np.zeros((2, 1, 2), int)
    >>> gap_closed(None, first, truth, exact)[0].value
    1.0
    """
    chance = 1 / exact.shape[-1]
    ideal = exact_accuracy(truth, exact) - chance
    ours = accuracy(probs, choice, truth, exact) - chance
    return [clustered_ratio(ours[:, stage], ideal[:, stage]) for stage in range(truth.shape[1])]


def exact_accuracy(truth: Array, exact: Array) -> Array:
    """Accuracy of the exact answer, float[users, stages]: it names an option with the largest posterior predictive
    probability, and each of several that tie (within 1e-9) equally often.

    >>> exact_accuracy(np.array([[[0, 2]]]), np.array([[[[0.4, 0.4, 0.2], [0.4, 0.4, 0.2]]]])).tolist()
    [[0.25]]
    """
    best = exact >= largest(exact)[..., None] - 1e-9
    return (of_option(best, truth) / total(best.astype(int))).mean(axis=-1)


def update_slope(probs: Probs, choice: Array, truth: Array, exact: Array) -> Estimates:
    """Slope of the agent's change in P(truth) on the exact answer's change, from the round before. Any real number; 1
    is ideal. Below 1 the agent updates too little, above 1 too much.

    Least squares with an intercept over all users and sets. None at stage 0. It uses probabilities because the
    exact answer contains zeros, whose log-odds would have to be clipped. After arXiv 2605.06915, which
    distinguishes under- and over-updating.

    >>> rng = np.random.default_rng(0)
    >>> exact = rng.dirichlet([1, 1, 1], size=(4, 2, 5))
    >>> truth = rng.integers(3, size=(4, 2, 5))
    >>> none, half = update_slope(0.5 * exact + 0.5 / 3, exact.argmax(-1), truth, exact)
    >>> none is None, round(half.value, 6)
    (True, 0.5)
    """
    usable = usable_probs(probs, choice)
    if usable is None:
        return [None] * truth.shape[1]
    ours, ideal = (np.diff(of_option(kind, truth), axis=1) for kind in (usable, exact))
    return [None, *[clustered_slope(ideal[:, step], ours[:, step]) for step in range(ours.shape[1])]]


def martingale_score(probs: Probs, choice: Array, truth: Array, exact: Array) -> Estimates:
    """Slope of the next change of P(option) on P(option) now: can the next change be predicted? Any real number; 0 is
    ideal. Negative: high probabilities fall again, a sign of over-confidence. Positive: they keep rising.

    Least squares with an intercept over all users, sets and options. The value belongs to the stage before the change;
    None at the last stage. A Bayesian's beliefs are a martingale under their own model. After arXiv 2512.02914.

    >>> probs = np.array([[[[0.8, 0.1, 0.1]], [[0.6, 0.2, 0.2]]]] * 2)
    >>> choice = np.zeros((2, 2, 1), int)
    >>> down, none = martingale_score(probs, choice, choice, probs)
    >>> round(down.value, 3), none is None
    (-0.429, True)
    """
    usable = usable_probs(probs, choice)
    if usable is None:
        return [None] * truth.shape[1]
    users, stages = choice.shape[:2]
    flat = usable.reshape(users, stages, -1)
    now, change = flat[:, :-1], np.diff(flat, axis=1)
    return [*[clustered_slope(now[:, step], change[:, step]) for step in range(stages - 1)], None]


UPDATING: dict[str, Callable[[Probs, Array, Array, Array], Estimates]] = {
    metric.__name__: metric for metric in (gap_closed, update_slope, martingale_score)
}
