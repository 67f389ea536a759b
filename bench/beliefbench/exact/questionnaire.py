"""Stated beliefs: a questionnaire about a person's preferences, and what its answers imply for their choices.

The paper asks, of each feature, "On a scale of 1 to 5, what is your preference for departure time?" (section 3). Each
hypothesis of a domain's model answers each question in one way, so that a distribution over answers is a distribution
over hypotheses, and the domain's own model turns it into choices.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from beliefbench.domain import OPTIONS, Domain, Questionnaire
from beliefbench.errors import UsageError
from beliefbench.exact.hypothesis import query_values
from beliefbench.exact.inference import posterior
from beliefbench.exact.latents import latent_space

BLOCK = 4096  # hypotheses worked on at once


def level_marginals(domain: Domain, options: np.ndarray, choices: np.ndarray, **fallback: Any) -> np.ndarray:
    """Return the exact posterior of each answer to the questionnaire: float64[scales, levels], rows summing to 1.

    Parameters
    ----------
    options, choices
        float[rounds, 3, features], int[rounds]; further arguments as of `beliefbench.posterior`.

    Raises
    ------
    UsageError
        If the domain has no questionnaire.

    >>> import beliefbench as bb
    >>> flights = bb.load_domain("flights")
    >>> level_marginals(flights, np.empty((0, 3, 4)), np.empty(0, int)).shape
    (4, 5)
    """
    weights = posterior(domain, options, choices, **fallback)
    levels = _levels(domain)
    form = questionnaire_of(domain)
    return np.stack([np.bincount(one, weights, minlength=form.levels) for one in levels.T])


def choices_of_levels(domain: Domain, stated: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the choice probabilities of a person whose answers have the stated distribution: float64[queries, 3].

    The weight of a hypothesis is the product of the probabilities of its answers. This assumes that the scales are
    independent, because only marginals are stated. If the answers exclude every hypothesis, all have the same weight.

    Parameters
    ----------
    stated
        float[scales, levels], rows summing to 1.
    queries
        float[queries, 3, features].

    >>> import beliefbench as bb
    >>> flights, cheap = bb.load_domain("flights"), np.full((4, 5), 0.2)
    >>> cheap[3] = [1, 0, 0, 0, 0]  # "I strongly prefer cheaper flights"
    >>> sets = np.array([[[0.5, 0.5, 0.5, price] for price in (0.0, 0.5, 1.0)]])
    >>> choices_of_levels(flights, cheap, sets).round(9).tolist()
    [[1.0, 0.0, 0.0]]
    """
    form, levels = questionnaire_of(domain), _levels(domain)
    stated = np.asarray(stated, dtype=np.float64)
    expected = (len(form.scales), form.levels)
    if stated.shape != expected:
        raise UsageError(f"answers have shape {list(stated.shape)}; expected {list(expected)}, float[scales, levels].")
    weights = np.prod(stated[np.arange(len(form.scales)), levels], axis=-1)
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(levels), 1 / len(levels))
    sets = np.asarray(queries, dtype=np.float64)
    chosen = np.zeros((len(sets), OPTIONS))
    with jax.enable_x64(True):
        for at in range(0, len(levels), BLOCK):
            here = weights[at : at + BLOCK]
            if here.any():
                numbers = np.minimum(np.arange(at, at + min(BLOCK, len(levels))), len(levels) - 1)
                padded = np.pad(here, (0, len(numbers) - len(here)))
                chosen += np.asarray(_weighted(domain, numbers, padded, sets))
    return chosen / chosen.sum(axis=-1, keepdims=True)


def usable_beliefs(stated: np.ndarray) -> np.ndarray | None:
    """Return stated beliefs, float[scales, levels], with scales that have no answer (NaN) as uniform; None without any.

    >>> usable_beliefs(np.array([[0.0, 1.0], [np.nan, np.nan]])).tolist()
    [[0.0, 1.0], [0.5, 0.5]]
    """
    missing = np.isnan(stated).any(axis=-1, keepdims=True)
    return None if missing.all() else np.where(missing, 1 / stated.shape[-1], stated)


def questionnaire_of(domain: Domain) -> Questionnaire:
    """Return a domain's questionnaire, or raise `UsageError` if it has none."""
    if domain.questionnaire is None:
        raise UsageError(f"{domain.name} has no questionnaire about what people want, which beliefs= and given= need.")
    return domain.questionnaire


def _levels(domain: Domain) -> np.ndarray:
    """Return the answers of all hypotheses, int[hypotheses, scales], from 0."""
    space = latent_space(domain)
    with jax.enable_x64(True):
        return np.asarray(questionnaire_of(domain).answers(space.values(np.arange(space.size))))


@partial(jax.jit, static_argnames="domain")
def _weighted(domain: Domain, numbers: Any, weights: Any, sets: Any) -> Any:
    def one(latents: dict[str, Any]) -> Any:
        return query_values(domain.model, latents, sets)

    return jnp.tensordot(weights, jax.vmap(one)(latent_space(domain).values(numbers)), axes=1)
