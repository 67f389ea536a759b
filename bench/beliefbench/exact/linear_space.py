"""The sweep of exact inference with products of probabilities, over the hypothesis blocks of a NumPyro model.

Most of its time goes to one product of matrices a block: weights of (user, stage) times values of queries. A user whose
choices no hypothesis of a block explains takes no part in the product.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from beliefbench.domain import OPTIONS, Domain
from beliefbench.exact.hypothesis import Of, linear_prior, linear_probs, query_values
from beliefbench.exact.latents import latent_space, unchecked_space
from beliefbench.exact.query import LANES, TILE, USER_GROUP, Query, block_size, grouped, parts_of

LEAST_PRODUCT = 1e-250  # products of probabilities below it may be lost


def linear_sweep(domain: Domain, query: Query) -> tuple[np.ndarray, np.ndarray]:
    """Return the log evidence, float64[users, stages], and the expectations, float64[users, stages, queries, 3].

    Both are NaN for a user whose products floats cannot hold.
    """
    users, rounds = query.choices.shape
    assert query.own is not None
    shared, asked = len(query.shared), query.own.shape[1]
    columns = rounds + 1 if query.stages == "all" else 1
    evidence = np.empty((users, columns))
    values = np.empty((users, columns, shared + asked, OPTIONS))
    for some in query.calls():
        sums = _sums(domain, query.of_users(some))
        # A group's sums fit the processor's cache, so that the parts are added and divided there.
        for group, at in enumerate(range(some.start, min(some.stop, users), USER_GROUP)):
            who = slice(at, min(at + USER_GROUP, some.stop, users))
            _divide(sums, group, evidence[who], values[who])
    return evidence, values


class _Sums(NamedTuple):
    """The sums of weights times values over some hypotheses.

    start float64[columns]: shared queries before the first round. after float64[groups, stages, users, columns]: shared
    queries after rounds. In both, the column after the queries' is the sum of weights. own float64[groups, users,
    stages, own queries x 3].
    """

    start: np.ndarray
    after: np.ndarray
    own: np.ndarray


def _divide(parts: list[_Sums], group: int, evidence: np.ndarray, values: np.ndarray) -> None:
    """Fill the evidence, [users, stages], and the expectations, [users, stages, queries, 3], of a group of users."""
    users, columns, queries = values.shape[:3]
    shared = queries - parts[0].own.shape[3] // OPTIONS
    width = shared * OPTIONS
    after = reduce(np.add, [part.after[group] for part in parts]).swapaxes(0, 1)[:users]
    own = reduce(np.add, [part.own[group] for part in parts])[:users]
    later = after.shape[1]
    told = values[:, columns - later :, :shared]
    with np.errstate(divide="ignore", invalid="ignore"):  # weights of 0: the evidence says so
        np.divide(after[..., :width].reshape(told.shape), after[..., width, None, None], out=told)
        total = after[..., width]
        if later < columns:
            start = reduce(np.add, [part.start for part in parts])
            values[:, 0, :shared] = (start[:width] / start[width]).reshape(shared, OPTIONS)
            total = np.concatenate([np.full((users, 1), start[width]), total], axis=1)
        values[:, :, shared:] = own.reshape(users, columns, queries - shared, OPTIONS) / total[..., None, None]
        evidence[:] = np.log(total)


def _sums(domain: Domain, query: Query) -> list[_Sums]:
    """Return the sums over the hypotheses, swept in parts, each in a thread."""
    space = unchecked_space(domain)
    assert query.own is not None
    users, rounds = query.choices.shape
    rounds_first = [grouped(part).swapaxes(1, 2) for part in (query.options, query.choices, query.used)]
    own = grouped(query.own)
    real = 1.0 * (np.arange(len(own) * USER_GROUP) < users).reshape(-1, USER_GROUP)
    block = block_size(space.size)
    blocks = np.arange(0, space.size, block)
    parts = parts_of(len(blocks))
    # A block beyond the last hypothesis weighs nothing.
    firsts = np.concatenate([blocks, np.full(-len(blocks) % parts, space.size)]).reshape(parts, -1)
    # Rounds after the last that is used are not swept; those of all stages are, since each has an answer.
    last = int(np.flatnonzero(query.used.any(axis=0)).max(initial=-1)) + 1
    arguments = (np.array(last), *rounds_first, real, query.shared, own)
    with jax.enable_x64(True):
        shapes = tuple((one.shape, one.dtype) for one in (firsts[0], *arguments))
        sweep = _compiled(domain, query.of, query.stages, block, shapes)

    def part(some: np.ndarray) -> _Sums:
        with jax.enable_x64(True):
            common, single = (np.asarray(one) for one in sweep(some, *arguments))
        later = rounds if query.stages == "all" else 1
        return _Sums(common[-1], common[:-1].reshape(len(own), later, USER_GROUP, common.shape[1]), single)

    if parts == 1:
        return [part(firsts[0])]
    with ThreadPoolExecutor(parts) as threads:
        return list(threads.map(part, firsts))


@lru_cache(maxsize=512)
def _compiled(domain: Domain, of: Of, stages: str, block: int, shapes: Any) -> Any:
    """Compile a part before its threads start, since each of them would; check the model meanwhile."""
    arguments = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in shapes]
    try:
        lowered = _part.lower(domain, of, stages, block, *arguments)
    except Exception:
        latent_space(domain)  # if the model is outside the contract, this says so
        raise
    with ThreadPoolExecutor(1) as thread:
        compiled = thread.submit(lowered.compile)
        latent_space(domain)
        return compiled.result()


@partial(
    jax.jit,
    static_argnames=("domain", "of", "stages", "block"),
    compiler_options={"xla_cpu_parallel_codegen_split_count": 1},  # compiles faster, and is as fast
)
def _part(
    domain: Domain,
    of: Of,
    stages: str,
    block: int,
    firsts: Any,
    last: Any,
    options: Any,
    choices: Any,
    used: Any,
    real: Any,
    shared: Any,
    own: Any,
) -> tuple[Any, Any]:
    """Sweep some hypothesis blocks for groups of users: sums of weights times values.

    firsts
        int[blocks]: the first hypothesis of each.
    last
        int: how many rounds are swept for the last stage.
    options, choices, used
        As in `Query`, with a leading axis of groups, and rounds before users.
    real
        float[groups, users]: 0 for a user who only fills up a group.
    shared, own
        As in `Query`; own with a leading axis of groups.

    Returns
    -------
    common
        float64[groups x stages after a round x users + 1, shared queries x 3 + 1 or more]: the sums for the shared
        queries; the columns after them are the sums of weights. The last row is the stage before the first round.
    single
        float64[groups, users, stages, own queries x 3].
    """
    space = unchecked_space(domain)
    groups, rounds, users = choices.shape
    asked = own.shape[2]
    least = LEAST_PRODUCT ** (1 / max(1, rounds))
    width = -(-(len(shared) * OPTIONS + 1) // LANES) * LANES
    after = rounds if stages == "all" else 1
    rows = groups * after * users
    nobody = rows  # the row before the first round; rows above it are dropped
    one_set = jnp.zeros((1, *options.shape[3:]))

    def values_of(latents: dict[str, Any], sets: Any) -> Any:
        """A value of each option under each hypothesis of the block, [sets * 3, block]."""
        if not len(sets):  # no queries: compile nothing
            return jnp.zeros((0, block))
        found = jax.vmap(lambda values: query_values(domain.model, values, sets, of), out_axes=-1)(latents)
        return found.reshape(-1, block)

    def step(sums: Any, first: Any) -> tuple[Any, None]:
        common, single = sums
        numbers = first + jnp.arange(block)
        latents = space.values(jnp.minimum(numbers, space.size - 1))
        prior = jax.vmap(lambda values: linear_prior(domain.model, values, one_set))(latents)
        prior = jnp.where(numbers < space.size, prior, 0.0)
        shared_values = values_of(latents, shared)
        shared_values = jnp.pad(shared_values, ((0, width - len(shared_values)), (0, 0)), constant_values=1.0)

        def observe(weight: Any, options: Any, choices: Any, used: Any) -> Any:
            probs = jax.vmap(lambda values: linear_probs(domain.model, values, options, choices, least), out_axes=-1)(
                latents
            )
            return weight * jnp.where(used[:, None], probs, 1.0)

        def add(group: Any) -> tuple[Any, Any]:
            single, options, choices, used, real, own = group
            before = real[:, None] * prior
            if stages == "all":
                weight = jax.lax.scan(
                    lambda so_far, one: (observe(so_far, *one),) * 2, before, (options, choices, used)
                )[1]
            else:
                at_last = jax.lax.fori_loop(
                    0, last, lambda at, so_far: observe(so_far, options[at], choices[at], used[at]), before
                )
                weight = at_last[None]
            if asked:
                asked_of = jnp.concatenate([before[None], weight]) if stages == "all" else weight
                own_values = values_of(latents, own.reshape(-1, *own.shape[2:])).reshape(users, -1, block)
                weights = _whole(jnp.moveaxis(asked_of, 0, 1))
                found = jnp.einsum("ucb,uqb->ucq", weights, _whole(own_values))
                single = single + found[:, : single.shape[1], : single.shape[2]]
            return weight, single

        weight, single = jax.lax.map(add, (single, options, choices, used, real, own))
        weight = weight.reshape(rows, block)
        alive = (weight != 0).any(axis=-1)
        place = jnp.where(alive, jnp.cumsum(alive), rows + TILE)
        order = jnp.full(-(-(rows + 1) // TILE) * TILE, rows + 1).at[0].set(nobody)
        order = order.at[place].set(jnp.arange(rows), mode="drop")
        tiles = (alive.sum() + TILE) // TILE  # of the living rows and nobody's

        def multiply(at: Any, common: Any) -> Any:
            which = jax.lax.dynamic_slice(order, (at * TILE,), (TILE,))
            mine = weight[jnp.minimum(which, rows - 1)] if rows else 0.0
            mine = jnp.where((which == nobody)[:, None], prior, mine)
            return common.at[which].add(mine @ shared_values.T, mode="drop", unique_indices=True)

        common = jax.lax.fori_loop(0, tiles, multiply, common)
        return (common, single), None

    columns = rounds + 1 if stages == "all" else 1
    nothing = jnp.zeros((rows + 1, width)), jnp.zeros((groups, users, columns, asked * OPTIONS))
    return jax.lax.scan(step, nothing, firsts)[0]


def _whole(rows: Any) -> Any:
    """Pad rows, [..., rows, block], with zeros to a whole number of lanes.

    A product of matrices sums the entries of whole lanes in one order, whatever else is in the matrices.
    """
    pad = -rows.shape[-2] % LANES
    return jnp.pad(rows, (*((0, 0) for _ in rows.shape[:-2]), (0, pad), (0, 0)))
