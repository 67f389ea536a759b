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

from beliefbench.domain import OPTIONS, Domain
from beliefbench.exact.hypothesis import joint_terms
from beliefbench.exact.latents import latent_space
from beliefbench.exact.linear_space import linear_sweep_groups
from beliefbench.exact.log_space import log_sweep_groups
from beliefbench.exact.query import COMPILER_OPTIONS, LARGEST_BLOCK, USER_GROUP, Query

GROUPS_A_CALL = 8  # groups a compiled call if there are several, and shared queries, whose values they share


def log_weights(domain: Domain, options: np.ndarray, choices: np.ndarray) -> np.ndarray:
    """Return the log joint of every hypothesis with some rounds, float64[hypotheses] (not normalised)."""
    space = latent_space(domain)
    block = -(-space.size // -(-space.size // LARGEST_BLOCK))
    used = np.ones(len(choices), dtype=bool)
    if not used.size:  # some distributions cannot be made for no sets at all: ask about one, and leave it out
        options, choices, used = np.zeros((1, *options.shape[1:])), np.zeros(1, np.int64), np.zeros(1, bool)
    with jax.enable_x64(True):
        blocks = [
            _block_joint(domain, np.arange(at, at + block) % space.size, options, choices, used)
            for at in range(0, space.size, block)
        ]
    return np.concatenate([np.asarray(one) for one in blocks])[: space.size]


@partial(jax.jit, static_argnames="domain", compiler_options=COMPILER_OPTIONS)
def _block_joint(domain: Domain, numbers: Any, options: Any, choices: Any, used: Any) -> Any:
    def joint(values: dict[str, Any]) -> Any:
        log_prior, likelihood = joint_terms(domain.model, values, options, choices)
        return log_prior + jnp.where(used, likelihood, 0.0).sum()

    return jax.vmap(joint)(latent_space(domain).values(numbers))


def sweep(domain: Domain, query: Query) -> tuple[np.ndarray, np.ndarray]:
    """Return the log evidence, float64[users, stages], and the expectations, float64[users, stages, queries, 3].

    Shared queries come first. If the evidence is -inf, the expectations have no meaning.
    """
    query = query.padded()
    evidence, values, lost = _in_groups(linear_sweep_groups, domain, query)
    if lost.any():
        again = _in_groups(log_sweep_groups, domain, query.of_users(lost))
        evidence[lost], values[lost] = again[:2]
    return evidence, values


def _in_groups(compiled: Any, domain: Domain, query: Query) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sweep all users, in groups of one size."""
    latent_space(domain)  # traced here, since the compiled part must not trace within its own trace
    users, length = query.choices.shape
    assert query.own is not None
    stages = length + 1 if query.stages == "all" else 1
    queries = len(query.shared) + query.own.shape[1]
    found = [np.empty((0, stages)), np.empty((0, stages, queries, OPTIONS)), np.empty(0, dtype=bool)]
    parts = [[one] for one in found]
    size = USER_GROUP * (GROUPS_A_CALL if users > USER_GROUP and len(query.shared) else 1)
    with jax.enable_x64(True):
        for at in range(0, users, size):
            some = query.of_users(slice(at, at + size))
            groups = [_grouped(part, size) for part in (some.options, some.choices, some.used, some.own)]
            answer = compiled(domain, query.of, query.stages, *groups[:3], query.shared, groups[3])
            for one, kept in zip(answer, parts, strict=True):
                kept.append(np.asarray(one).reshape(size, *one.shape[2:])[: users - at])
    evidence, values, lost = (np.concatenate(kept) for kept in parts)
    return evidence, values, lost


def _grouped(part: Any, size: int) -> np.ndarray:
    """Repeat the last user until there are ``size``, and split them into groups: [users, ...] -> [groups, 32, ...]."""
    full = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
    return full.reshape(size // USER_GROUP, USER_GROUP, *part.shape[1:])
