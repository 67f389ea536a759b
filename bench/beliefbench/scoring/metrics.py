"""Metrics: pure functions of (probs, choice, truth, exact) for any number of users, rounds and held-out sets.

All take arrays with the leading shape [users, stages, sets] and share one signature:

    probs   float[users, stages, sets, 3], or None for an agent that only chooses
    choice  int[users, stages, sets], -1 if there was no usable answer
    truth   int[users, stages, sets]
    exact   float[users, stages, sets, 3], the exact posterior predictive

They return float[users, stages], the mean over a user's sets (``ece``, which needs many answers: float[stages]). A
metric of probabilities returns None for an agent that has none. An unusable answer counts as wrong and as uniform.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

FLOOR = 1e-6
ECE_BINS = 15
AGREEMENT_RULE = "posterior predictive"
"""The rule that ``agreement`` compares with: the option with the largest posterior predictive probability."""

Array = np.ndarray
Probs = np.ndarray | None


def accuracy(probs: Probs, choice: Array, truth: Array, exact: Array) -> Array:
    """Share of sets on which the agent names the option that the user wants. Range [0, 1], higher is better; chance
    1/3.

    >>> one = np.array([[[0, 2]]])
    >>> accuracy(None, one, np.array([[[0, 1]]]), np.full((1, 1, 2, 3), 1 / 3)).tolist()
    [[0.5]]
    """
    return (choice == truth).mean(axis=-1)


def agreement(probs: Probs, choice: Array, truth: Array, exact: Array) -> Array:
    """Share of sets on which the agent names an option with the largest posterior predictive probability. Range [0, 1].

    If several options tie for the largest (within 1e-9), each of them counts.

    >>> agreement(None, np.array([[[2]]]), np.array([[[0]]]), np.array([[[[0.4, 0.2, 0.4]]]])).tolist()
    [[1.0]]
    """
    best = exact >= largest(exact)[..., None] - 1e-9
    return (of_option(best, np.maximum(choice, 0)) & (choice >= 0)).mean(axis=-1)


def log_score(probs: Probs, choice: Array, truth: Array, exact: Array) -> Array | None:
    """Mean of -ln P(truth), in nats. Range [0, 13.8], lower is better; uniform answers score ln 3 = 1.0986.

    Probabilities are floored at 1e-6 and renormalised first.

    >>> sure = np.array([[[[1.0, 0.0, 0.0]]]])
    >>> log_score(sure, np.array([[[0]]]), np.array([[[1]]]), sure).round(4).tolist()
    [[13.8155]]
    """
    usable = usable_probs(probs, choice)
    if usable is None:
        return None
    return -np.log(of_option(_floored(usable), truth)).mean(axis=-1)


def brier(probs: Probs, choice: Array, truth: Array, exact: Array) -> Array | None:
    """Mean squared distance between the probabilities and the truth, summed over options (Brier, 1950). Range [0, 2],
    lower is better; uniform answers score 2/3.

    >>> even = np.full((1, 1, 1, 3), 1 / 3)
    >>> brier(even, np.array([[[0]]]), np.array([[[1]]]), even).round(4).tolist()
    [[0.6667]]
    """
    usable = usable_probs(probs, choice)
    if usable is None:
        return None
    hit = np.arange(usable.shape[-1]) == truth[..., None]
    return total((usable - hit) ** 2).mean(axis=-1)


def kl_exact(probs: Probs, choice: Array, truth: Array, exact: Array) -> Array | None:
    """Mean of KL(exact || agent), in nats: the divergence of the agent from the exact posterior predictive. Range
    [0, 13.8], lower is better; 0 for the exact answer.

    Both sides are floored at 1e-6 and renormalised first.

    >>> even = np.full((1, 1, 1, 3), 1 / 3)
    >>> kl_exact(even, np.array([[[0]]]), np.array([[[0]]]), np.array([[[[1.0, 0.0, 0.0]]]])).round(4).tolist()
    [[1.0986]]
    """
    usable = usable_probs(probs, choice)
    if usable is None:
        return None
    p, q = _floored(exact), _floored(usable)
    return total(p * np.log(p / q)).mean(axis=-1)


def coverage(probs: Probs, choice: Array, truth: Array, exact: Array) -> Array:
    """Share of sets with a usable answer. Range [0, 1], higher is better.

    >>> coverage(None, np.array([[[0, -1]]]), np.array([[[0, 0]]]), np.full((1, 1, 2, 3), 1 / 3)).tolist()
    [[0.5]]
    """
    return (choice >= 0).mean(axis=-1)


def ece(probs: Probs, choice: Array, truth: Array, exact: Array) -> Array | None:
    """Expected calibration error of the chosen option's probability, over the answers of all users after a round.
    Range [0, 1], lower is better.

    Returns float[stages]. The sum over bins of (answers in the bin / answers) * |mean probability - share right|
    (Naeini et al., 2015), in 15 bins of equal mass that never split equal probabilities. It is biased upwards: with few
    answers it is large even for a calibrated agent. Compare it with the ECE of the exact answer to the same questions.

    >>> half = np.array([[[[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]]])
    >>> ece(half, np.array([[[0, 0]]]), np.array([[[0, 1]]]), half).tolist()
    [0.0]
    """
    usable = usable_probs(probs, choice)
    if usable is None:
        return None
    confidence = of_option(usable, np.maximum(choice, 0))
    right = choice == truth
    return np.array(
        [calibration_error(confidence[:, stage].ravel(), right[:, stage].ravel()) for stage in range(choice.shape[1])]
    )


def calibration_error(confidence: Array, right: Array, bins: int = ECE_BINS) -> float:
    """Return the expected calibration error of answers, float[answers] and bool[answers].

    Bins are cut at the quantiles of confidence. Answers with equal confidence go to the same bin.

    >>> round(calibration_error(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False])), 3)
    0.1
    """
    gap = np.bincount(bins_of(confidence, bins), weights=confidence - right, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))


def bins_of(confidence: Array, bins: int = ECE_BINS) -> Array:
    """Return the equal-mass bin of each answer, int[answers]; answers with equal confidence share a bin.

    >>> bins_of(np.array([0.9, 0.1, 0.9, 0.2]), 2).tolist()
    [1, 0, 1, 0]
    """
    _, which, count = np.unique(np.round(confidence, 12), return_inverse=True, return_counts=True)
    before = np.concatenate([[0], np.cumsum(count)[:-1]])
    return np.minimum(before * bins // count.sum(), bins - 1)[which.ravel()]


Metric = Callable[[Probs, Array, Array, Array], Array | None]
METRICS: dict[str, Metric] = {
    metric.__name__: metric for metric in (accuracy, agreement, log_score, brier, ece, kl_exact, coverage)
}


def usable_probs(probs: Probs, choice: Array) -> Probs:
    """Return the probabilities, uniform for unusable answers; None if the agent has none."""
    usable = choice >= 0
    if probs is None or usable.all():
        return probs
    return np.where(usable[..., None], probs, 1 / probs.shape[-1])


def total(values: Array) -> Array:
    """Return the sums over options, the last axis, which is too short for NumPy's own sum to be fast.

    >>> total(np.array([[0.25, 0.5, 0.25], [1.0, 1.0, 1.0]])).tolist()
    [1.0, 3.0]
    """
    return reduce(np.add, np.moveaxis(values, -1, 0))


def largest(values: Array) -> Array:
    """Return the largest value of the options, the last axis.

    >>> largest(np.array([[0.25, 0.5, 0.25], [1.0, 1.0, 1.0]])).tolist()
    [0.5, 1.0]
    """
    return reduce(np.maximum, np.moveaxis(values, -1, 0))


def of_option(values: Array, option: Array) -> Array:
    """Return the value of one option of each set: [..., sets, 3] and int[..., sets] -> [..., sets].

    >>> of_option(np.array([[0.25, 0.5, 0.25], [0.1, 0.2, 0.7]]), np.array([1, 2])).tolist()
    [0.5, 0.7]
    """
    first = np.arange(0, values.size, values.shape[-1]).reshape(option.shape)
    return np.take(values, first + option)  # faster than `take_along_axis`, which makes an index of each axis


def _floored(probs: Array) -> Array:
    floored = np.maximum(probs, FLOOR)
    return floored / total(floored)[..., None]
