"""The sweep of exact inference with products of probabilities, over the hypothesis blocks of a NumPyro model."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from beliefbench.domain import OPTIONS, Domain
from beliefbench.exact.hypothesis import Of, linear_terms, query_values
from beliefbench.exact.latents import latent_space
from beliefbench.exact.query import COMPILER_OPTIONS, block_size

TILE = 4  # rows of a matrix that a processor multiplies at once
UNROLLED = 8  # rounds; more take minutes to compile
LEAST_PRODUCT = 1e-250  # products of probabilities below it may be lost
LEAST_LOG_PRIOR = -100.0  # times the least product, floats still hold it
IMPOSSIBLE = -1e300  # NumPyro's logarithm of a prior of 0 is the lowest float


@partial(jax.jit, static_argnames=("domain", "of", "stages"), compiler_options=COMPILER_OPTIONS)
def linear_sweep_groups(
    domain: Domain, of: Of, stages: str, options: Any, choices: Any, used: Any, shared: Any, own: Any
) -> tuple[Any, Any, Any]:
    """Sweep all hypothesis blocks for groups of users: the sums of weights and of weighted values.

    All but ``shared`` as in `Query`, with a leading axis of groups. Returns the log evidence, the expectations, and
    whether a product may be lost, bool[groups, users].
    """
    space = latent_space(domain)
    groups, users, rounds = choices.shape
    asked = own.shape[2]
    # The last set is a dummy: some distributions cannot be made for zero sets.
    nobody = jnp.zeros((1, *shared.shape[1:]))
    block = block_size(space.size)
    least = LEAST_PRODUCT ** (1 / max(1, rounds))

    def values_of(latents: dict[str, Any], sets: Any) -> Any:
        """A value of each option under each hypothesis of the block, [sets * 3, block]."""
        if not len(sets):  # no queries: compile nothing
            return jnp.zeros((0, block))
        sets = jnp.concatenate([sets, nobody])
        found = jax.vmap(lambda values: query_values(domain.model, values, sets, of), out_axes=-1)(latents)
        return found[:-1].reshape(-1, block)

    def weights_of(latents: dict[str, Any], options: Any, choices: Any, used: Any, real: Any) -> tuple[Any, Any]:
        """The weights of the block, [users, columns, block], and whether one may be lost, [users]."""
        sets = jnp.concatenate([options.reshape(-1, *nobody.shape[1:]), nobody])
        told = jnp.concatenate([choices.reshape(-1), jnp.zeros(1, choices.dtype)])
        log_prior, probs, faint = jax.vmap(
            lambda values: linear_terms(domain.model, values, sets, told, least), out_axes=-1
        )(latents)
        prior = jnp.where(real, jnp.exp(log_prior), 0.0)
        used = used[..., None]
        probs = jnp.moveaxis(jnp.where(used, probs[:-1].reshape(users, rounds, block), 1.0), 1, 0)
        lost = (faint[:-1].reshape(users, rounds, block) & used & real).any(axis=(1, 2))
        lost |= ((log_prior > IMPOSSIBLE) & (log_prior < LEAST_LOG_PRIOR) & real).any()
        last, after = jax.lax.scan(
            lambda weight, likelihood: (weight * likelihood,) * 2,
            jnp.broadcast_to(prior, (users, block)),
            probs,
            unroll=max(1, rounds) if rounds <= UNROLLED else 1,
        )
        if stages == "last":
            return last[:, None], lost
        before = jnp.broadcast_to(prior, (users, 1, block))
        return jnp.concatenate([before, jnp.moveaxis(after, 0, 1)], axis=1), lost

    def step(sums: Any, first: Any) -> tuple[Any, None]:
        numbers = first + jnp.arange(block)
        real = numbers < space.size
        latents = space.values(jnp.minimum(numbers, space.size - 1))
        shared_values = _whole_tiles(jnp.concatenate([values_of(latents, shared), jnp.ones((1, block))]))

        def add(group: Any) -> tuple[Any, Any, Any]:
            (common, single, lost), options, choices, used, own = group
            weight, faint = weights_of(latents, options, choices, used, real)
            own_values = values_of(latents, own.reshape(-1, *nobody.shape[1:])).reshape(users, -1, block)
            rows = (weight.reshape(-1, block) @ shared_values.T).reshape(*weight.shape[:2], -1)
            common = common + rows[..., : common.shape[-1]]
            rows = jnp.einsum("ucb,uqb->ucq", _whole_tiles(weight), _whole_tiles(own_values))
            return common, single + rows[:, : weight.shape[1], : own_values.shape[1]], lost | faint

        return jax.lax.map(add, (sums, options, choices, used, own)), None

    columns = rounds + 1 if stages == "all" else 1
    nothing = (
        jnp.zeros((groups, users, columns, len(shared) * OPTIONS + 1)),
        jnp.zeros((groups, users, columns, asked * OPTIONS)),
        jnp.zeros((groups, users), dtype=bool),
    )
    (common, single, lost), _ = jax.lax.scan(step, nothing, jnp.arange(0, space.size, block))
    total = common[..., -1:]
    expectation = jnp.concatenate([common[..., :-1], single], axis=-1) / total
    return jnp.log(total[..., 0]), expectation.reshape(*total.shape[:-1], -1, OPTIONS), lost


def _whole_tiles(rows: Any) -> Any:
    """Pad rows, [..., rows, block], with zeros to a whole number of tiles.

    A product of matrices sums the entries of a whole tile in one order, whatever else is in the matrices.
    """
    pad = -rows.shape[-2] % TILE
    return jnp.pad(rows, (*((0, 0) for _ in rows.shape[:-2]), (0, pad), (0, 0)))
