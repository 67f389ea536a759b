"""Sweeps over all hypotheses of a domain's model, with sums in float64.

Weights are products of probabilities (``beliefbench.exact.linear_space``). A user whose products floats cannot hold, as
the history is long or the choice rule sharp, is swept again with logarithms (``beliefbench.exact.log_space``).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from beliefbench.domain import Domain
from beliefbench.exact.hypothesis import joint_terms, log_prior
from beliefbench.exact.latents import latent_space, unchecked_space
from beliefbench.exact.linear_space import linear_sweep
from beliefbench.exact.log_space import log_sweep
from beliefbench.exact.query import COMPILER_OPTIONS, LARGEST_BLOCK, Query


def log_weights(domain: Domain, options: np.ndarray, choices: np.ndarray) -> np.ndarray:
    """Return the log joint of every hypothesis with some rounds, float64[hypotheses] (not normalised)."""
    space = latent_space(domain)
    block = -(-space.size // -(-space.size // LARGEST_BLOCK))
    with jax.enable_x64(True):
        blocks = [
            _block_joint(domain, np.arange(at, at + block) % space.size, options, choices)
            for at in range(0, space.size, block)
        ]
    return np.concatenate([np.asarray(one) for one in blocks])[: space.size]


@partial(jax.jit, static_argnames="domain", compiler_options=COMPILER_OPTIONS)
def _block_joint(domain: Domain, numbers: Any, options: Any, choices: Any) -> Any:
    def joint(values: dict[str, Any]) -> Any:
        if not len(choices):  # some distributions cannot be made for no sets at all: ask about one
            return log_prior(domain.model, values, jnp.zeros((1, *options.shape[1:])))
        prior, likelihood = joint_terms(domain.model, values, options, choices)
        return prior + likelihood.sum()

    return jax.vmap(joint)(latent_space(domain).values(numbers))


def sweep(domain: Domain, query: Query) -> tuple[np.ndarray, np.ndarray]:
    """Return the log evidence, float64[users, stages], and the expectations, float64[users, stages, queries, 3].

    Shared queries come first. If the evidence is -inf, the expectations have no meaning.
    """
    unchecked_space(domain)  # traced here, since the compiled part must not trace within its own trace
    query = query.padded()
    evidence, values = linear_sweep(domain, query)
    latent_space(domain)
    lost = np.isnan(evidence).any(axis=1)
    if lost.any():
        evidence[lost], values[lost] = log_sweep(domain, query.of_users(lost))
    return evidence, values
