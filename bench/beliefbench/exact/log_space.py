"""The sweep of exact inference with logarithms, for weights that are too small for floats.

It is used where a history is long or a choice rule is sharp: after 1,000 rounds, or with a temperature of 0.001. It
is slower than the sweep of ``beliefbench.exact.linear_space``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from beliefbench.domain import OPTIONS, Domain
from beliefbench.exact.hypothesis import Of, joint_terms, query_values
from beliefbench.exact.latents import latent_space
from beliefbench.exact.query import COMPILER_OPTIONS, Query, block_size, grouped


def log_sweep(domain: Domain, query: Query) -> tuple[np.ndarray, np.ndarray]:
    """Return the log evidence, float64[users, stages], and the expectations, float64[users, stages, queries, 3]."""
    assert query.own is not None
    found = []
    for some in query.calls():
        now = query.of_users(some)
        assert now.own is not None
        users = len(now.choices)
        parts = [grouped(part) for part in (now.options, now.choices, now.used)]
        with jax.enable_x64(True):
            answer = _sweep_groups(domain, query.of, query.stages, *parts, query.shared, grouped(now.own))
            found.append([np.asarray(one).reshape(-1, *one.shape[2:])[:users] for one in answer])
    evidence, values = (np.concatenate(part) for part in zip(*found, strict=True))
    return evidence, values


@partial(jax.jit, static_argnames=("domain", "of", "stages"), compiler_options=COMPILER_OPTIONS)
def _sweep_groups(
    domain: Domain, of: Of, stages: str, options: Any, choices: Any, used: Any, shared: Any, own: Any
) -> tuple[Any, Any]:
    """Sweep all hypothesis blocks for groups of users: a running log-sum-exp of weights and weighted values.

    Arguments as in `Query`, all but ``shared`` with a leading axis of groups.
    """
    space = latent_space(domain)
    groups, users, rounds = choices.shape
    nobody = jnp.zeros((1, *shared.shape[1:]))
    block = block_size(space.size)
    columns = rounds + 1 if stages == "all" else 1

    def values_of(latents: dict[str, Any], sets: Any) -> Any:
        """A value of each option under each hypothesis of the block, [sets * 3, block]."""
        sets = jnp.concatenate([sets, nobody])
        found = jax.vmap(lambda values: query_values(domain.model, values, sets, of), out_axes=-1)(latents)
        return found[:-1].reshape(-1, block)

    def step(sums: Any, first: Any) -> tuple[Any, None]:
        numbers = first + jnp.arange(block)
        latents = space.values(jnp.minimum(numbers, space.size - 1))
        shared_values = values_of(latents, shared)

        def add(group: Any) -> tuple[Any, Any, Any]:
            (peak, total, weighted), options, choices, used, own = group
            sets = jnp.concatenate([options.reshape(-1, *nobody.shape[1:]), nobody])
            told = jnp.concatenate([choices.reshape(-1), jnp.zeros(1, choices.dtype)])
            log_prior, likelihood = jax.vmap(lambda values: joint_terms(domain.model, values, sets, told), out_axes=-1)(
                latents
            )
            log_prior = jnp.where(numbers < space.size, log_prior, -jnp.inf)
            likelihood = jnp.where(used[..., None], likelihood[:-1].reshape(users, rounds, block), 0.0)
            so_far = jnp.concatenate([jnp.zeros((users, 1, block)), jnp.cumsum(likelihood, axis=1)], axis=1)
            joint = log_prior + (so_far if stages == "all" else so_far[:, -1:])
            new_peak = jnp.maximum(peak, joint.max(axis=-1))
            base = jnp.where(jnp.isfinite(new_peak), new_peak, 0.0)
            shrink, weight = jnp.exp(peak - base), jnp.exp(joint - base[..., None])
            own_values = values_of(latents, own.reshape(-1, *nobody.shape[1:])).reshape(users, -1, block)
            gained = jnp.concatenate(
                [weight @ shared_values.T, jnp.einsum("ucb,ukb->uck", weight, own_values)], axis=-1
            )
            return new_peak, total * shrink + weight.sum(axis=-1), weighted * shrink[..., None] + gained

        return jax.lax.map(add, (sums, options, choices, used, own)), None

    queries = len(shared) + own.shape[2]
    nothing = (
        jnp.full((groups, users, columns), -jnp.inf),
        jnp.zeros((groups, users, columns)),
        jnp.zeros((groups, users, columns, queries * OPTIONS)),
    )
    (peak, total, weighted), _ = jax.lax.scan(step, nothing, jnp.arange(0, space.size, block))
    expectation = (weighted / total[..., None]).reshape(groups, users, columns, queries, OPTIONS)
    return peak + jnp.log(total), expectation
