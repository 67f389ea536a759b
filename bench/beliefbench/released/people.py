"""Recorded people: their choices can contradict every hypothesis, so the exact answer needs a lapse rate.

A person picks at random with some probability, and otherwise takes their best option. For each person this probability
maximises the likelihood of the choices of all *other* people, so that nobody's own choices set their standard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro import handlers

from beliefbench.choice_models.rules import ChoiceRule
from beliefbench.domain import OPTIONS, Domain, Feature
from beliefbench.exact.enumeration import sweep
from beliefbench.exact.query import Query

LAPSES = tuple(step / 50 for step in range(1, 50))


def with_lapse(domain: Domain, lapses: Sequence[float]) -> Domain:
    """Return the domain with one more feature at the end: each user's lapse rate, one of ``lapses``.

    The model picks any option with this probability, and otherwise the best by the domain's own ``reward``.
    ``describe`` leaves the feature out.

    >>> import beliefbench as bb
    >>> people = with_lapse(bb.load_domain("flights"), [0.1, 0.3])
    >>> people.describe(np.array([0.5, 0.5, 0.5, 0.5, 0.3]))
    'departure time: 02:00 PM, duration: 10 hr 15 min, number of stops: 1, price: $550'
    """
    grid = tuple(sorted(set(lapses)))
    column = Feature("lapse", "share of choices at random, fitted on other people", grid, lambda value: f"{value:.2f}")

    def model(options: Any, choices: Any = None) -> None:
        options = jnp.asarray(options)
        lapse = options[..., 0, -1][..., None]
        reward = numpyro.deterministic("reward", _reward(domain, options[..., :-1]))
        probs = (1 - lapse) * ChoiceRule().probs(reward) + lapse / OPTIONS
        numpyro.sample("choice", dist.Categorical(probs=probs), obs=choices)

    def draw(key: Any, sets: int) -> Any:
        with jax.enable_x64(True):  # one lapse, since nobody can read off it which of two it is
            lapse = jnp.full((sets, OPTIONS, 1), grid[len(grid) // 2])
            return jnp.concatenate([domain.draw(key, sets), lapse], axis=-1)

    return replace(
        domain,
        features=(*domain.features, column),
        model=model,
        user_model=model,
        draw=draw,
        describe=lambda option: domain.describe(np.asarray(option)[:-1]),
        pymc_model=None,
        vary=None,
    )


def _reward(domain: Domain, options: Any) -> Any:
    """Return the reward that the domain's model records; the caller handles its latent sites, and its choice is
    hidden."""
    unasked = jnp.zeros(options.shape[:-2], int)
    with handlers.block(hide_fn=lambda site: site["name"] in ("choice", "reward")):
        trace = handlers.trace(domain.model).get_trace(options, unasked)
    return trace["reward"]["value"]


def fitted_lapses(domain: Domain, options: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return each user's lapse rate, fitted on all other users, float64[users], in steps of 0.02.

    Parameters
    ----------
    options, chosen
        float[users, rounds, 3, features] and int[users, rounds], all that was recorded.

    Raises
    ------
    ValueError
        If there is only one user.
    """
    if len(chosen) < 2:
        raise ValueError("a lapse is fitted on other users, and there is only one")
    return leave_one_out(log_evidence(with_lapse(domain, LAPSES), options, chosen))


def log_evidence(domain: Domain, options: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return log P(choices) of users under each of `LAPSES`, float64[users, 49]; ``domain`` as `with_lapse` gives."""
    used, no_queries = np.ones(chosen.shape, dtype=bool), np.empty((0, OPTIONS, len(domain.features)))

    def evidence(lapse: float) -> np.ndarray:
        column = np.full((*options.shape[:-1], 1), lapse)
        seen = np.concatenate([options, column], axis=-1)
        return sweep(domain, Query("choice", "last", seen, chosen, used, no_queries, None))[0][:, 0]

    return np.stack([evidence(lapse) for lapse in LAPSES], axis=-1)


def leave_one_out(evidence: np.ndarray, grid: Sequence[float] = LAPSES) -> np.ndarray:
    """Return for each user the grid value that maximises the likelihood of all other users' choices: [users, grid] ->
    [users].

    >>> leave_one_out(np.log([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]), grid=(0.1, 0.5)).tolist()
    [0.5, 0.1, 0.1]
    """
    return np.asarray(grid)[(evidence.sum(axis=0) - evidence).argmax(axis=1)]
