"""R-hat and effective sample sizes of many quantities at once, as ArviZ computes them one by one in seconds.

Rank-normalised split R-hat, bulk ESS and tail ESS (Vehtari, Gelman, Simpson, Carpenter and Buerkner, 2021).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special
from scipy.fft import next_fast_len

TAIL = (1 - 0.89, 0.89)
"""The quantiles of the tail ESS; ArviZ's default."""


class Convergence(NamedTuple):
    """R-hat, bulk ESS and tail ESS, float[quantities]; R-hat is NaN for draws that never moved."""

    rhat: np.ndarray
    bulk: np.ndarray
    tail: np.ndarray

    @classmethod
    def of(cls, draws: np.ndarray) -> Convergence:
        """Measure draws, float[chains, draws, quantities], with at least 2 chains of 4 draws; NaN where one is NaN.

        >>> found = Convergence.of(np.random.default_rng(0).normal(size=(4, 500, 2)))
        >>> found.rhat.round(1).tolist(), bool((found.bulk > 1000).all())
        ([1.0, 1.0], True)
        """
        draws = np.ascontiguousarray(np.moveaxis(draws, 2, 0))  # [quantities, chains, draws]
        split = _split(draws)
        every = split.reshape(len(split), -1)
        folded = abs(split - np.median(every, axis=1)[:, None, None])
        normal = _normal_scores(split)
        quantiles = [np.quantile(draws.reshape(len(draws), -1), share, axis=1) for share in TAIL]
        tails = [_ess(_split(draws <= quantile[:, None, None])) for quantile in quantiles]
        rhat = np.maximum(_rhat(normal), _rhat(_normal_scores(folded)))
        unknown = np.isnan(every).any(axis=1)
        return cls(*(np.where(unknown, np.nan, one) for one in (rhat, _ess(normal), np.minimum(*tails))))


def _split(draws: np.ndarray) -> np.ndarray:
    """Return both halves of each chain as chains."""
    half = draws.shape[2] // 2
    return np.concatenate([draws[:, :, :half], draws[:, :, -half:]], axis=1)


def _normal_scores(draws: np.ndarray) -> np.ndarray:
    """Return the normal scores of the ranks among all draws of a quantity; equal draws have their mean rank."""
    flat = draws.reshape(len(draws), -1)
    size = flat.shape[1]
    order = np.argsort(flat, axis=1)
    ordered = np.take_along_axis(flat, order, axis=1)
    place = np.arange(size)
    new = np.concatenate([np.ones((len(flat), 1), bool), ordered[:, 1:] != ordered[:, :-1]], axis=1)
    last = np.concatenate([new[:, 1:], np.ones((len(flat), 1), bool)], axis=1)
    first_equal = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    last_equal = np.minimum.accumulate(np.where(last, place, size)[:, ::-1], axis=1)[:, ::-1]
    rank = np.empty(flat.shape)
    np.put_along_axis(rank, order, (first_equal + last_equal) / 2 + 1, axis=1)
    scores: np.ndarray = special.ndtri((rank - 3 / 8) / (size - 2 * (3 / 8) + 1))
    return scores.reshape(draws.shape)


def _rhat(draws: np.ndarray) -> np.ndarray:
    number = draws.shape[2]
    between = number * np.var(np.mean(draws, axis=2), axis=1, ddof=1)
    within = np.mean(np.var(draws, axis=2, ddof=1), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):  # of draws that never moved
        found: np.ndarray = np.sqrt((between / within + number - 1) / number)
    return found


def _ess(draws: np.ndarray) -> np.ndarray:
    """Return the effective sample size of the mean, float[quantities]."""
    draws = draws.astype(float)
    number = draws.shape[2]
    size = next_fast_len(2 * number)
    mean = draws.mean(axis=2)
    spectrum = np.fft.rfft(draws - mean[..., None], n=size, axis=2)
    spectrum *= np.conjugate(spectrum)
    covariance = np.fft.irfft(spectrum, n=size, axis=2)[..., :number] / number
    by_lag = np.ascontiguousarray(covariance.swapaxes(1, 2)).mean(axis=2)  # over chains
    within = by_lag[:, 0] * number / (number - 1.0)
    total = within * (number - 1.0) / number + np.var(mean, axis=1, ddof=1)
    still = np.ptp(draws.reshape(len(draws), -1), axis=1) < np.finfo(float).resolution
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = 1.0 - (within[:, None] - by_lag) / total[:, None]
    draws_in_all = draws.shape[1] * number
    found = [draws_in_all if same else _of_one(one, draws_in_all) for one, same in zip(correlation, still, strict=True)]
    return np.array(found, float)


def _of_one(correlation: np.ndarray, size: int) -> float:
    """Return the effective size of ``size`` draws with the autocorrelation float[lags] (Geyer's monotone sequence)."""
    number = len(correlation)
    kept = np.zeros(number)
    even, odd = 1.0, float(correlation[1])
    kept[:2] = even, odd
    lag = 1
    while lag < number - 3 and even + odd > 0.0:
        even, odd = float(correlation[lag + 1]), float(correlation[lag + 2])
        if even + odd >= 0:
            kept[lag + 1 : lag + 3] = even, odd
        lag += 2
    last = lag - 2
    if even > 0:
        kept[last + 1] = even
    for lag in range(1, last - 1, 2):
        if kept[lag + 1] + kept[lag + 2] > kept[lag - 1] + kept[lag]:
            kept[lag + 1] = kept[lag + 2] = (kept[lag - 1] + kept[lag]) / 2.0
    time = -1.0 + 2.0 * np.sum(kept[: last + 1]) + np.sum(kept[last + 1 : last + 2])
    return float(np.nan if np.isnan(kept).any() else size / max(time, 1 / np.log10(size)))
