"""The compiled part of exact inference: one sweep over the hypothesis blocks of a NumPyro model, with float64 sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers

from beliefbench.domain import OPTIONS, Domain
from beliefbench.exact.latents import latent_space

USER_GROUP = 32  # users worked on at once; fixed, so that a user's numbers do not depend on who else is asked
GROUPS_A_CALL = 8  # groups a compiled call if there are several, and shared queries, whose values they share
BLOCK_CELLS = 2**21  # (hypothesis, set, option) cells a block, about 16 MiB in float64
LARGEST_BLOCK = 1024  # hypotheses a block
# They shorten compiling. The answers are the same bits (tests/running/test_rows.py).
COMPILER_OPTIONS = {"xla_cpu_parallel_codegen_split_count": 1, "xla_cpu_use_fusion_emitters": False}

Of = Literal["choice", "reward", "entropy"]


@dataclass(frozen=True)
class Query:
    """What one sweep answers: E[value of each query | rounds], ``of`` as in `query_values`.

    options float[users, rounds, 3, features], choices int[users, rounds], used bool[users, rounds] (rounds to condition
    on), shared float[queries, 3, features], own float[users, queries, 3, features] or None.
    """

    of: Of
    stages: Literal["all", "last"]
    options: np.ndarray
    choices: np.ndarray
    used: np.ndarray
    shared: np.ndarray
    own: np.ndarray | None

    def bytes_held(self) -> int:
        """Return the approximate size of the answer and of the sweep's running sums, in bytes."""
        queries = len(self.shared) + (0 if self.own is None else self.own.shape[1])
        stages = self.choices.shape[1] + 1 if self.stages == "all" else 1
        sets = len(self.shared) + USER_GROUP * (self.choices.shape[1] + queries - len(self.shared))
        block = 6 * 8 * OPTIONS * sets * _block_size(LARGEST_BLOCK, sets)
        return 2 * 8 * OPTIONS * len(self.choices) * stages * queries + block


def joint_terms(model: Callable[..., Any], values: dict[str, Any], options: Any, choices: Any) -> tuple[Any, Any]:
    """Return (log prior, log P(choices) float[sets]) of one hypothesis; traceable by JAX.

    values
        {site: value} of all latent sites.
    options, choices
        float[sets, 3, features], int[sets].
    """
    traced = _traced(model, values, options)
    log_prior = jnp.zeros(())
    for name, site in traced.items():
        if site["type"] == "sample" and name != "choice":
            log_prior = log_prior + site["fn"].log_prob(site["value"]).sum()
    return log_prior, traced["choice"]["fn"].log_prob(choices)


def query_values(model: Callable[..., Any], values: dict[str, Any], options: Any, of: Of = "choice") -> Any:
    """Return a value of every option under one hypothesis, float[sets, 3]; traceable by JAX.

    options
        float[sets, 3, features].
    of
        ``"choice"``: P(choice = k); ``"entropy"``: its part of the choice's entropy, -P ln P; ``"reward"``: the model's
        ``reward`` site.
    """
    traced = _traced(model, values, options)
    if of != "reward":
        choice = traced["choice"]["fn"]
        log_probs = jax.vmap(lambda option: choice.log_prob(jnp.full(len(options), option)))(jnp.arange(OPTIONS))
        probs = jnp.exp(jnp.moveaxis(log_probs, 0, -1))
        return probs if of == "choice" else jax.scipy.special.entr(probs)
    if of not in traced:
        raise ValueError(
            f"the domain's model records no '{of}' site; add numpyro.deterministic('{of}', ...), float[rounds, 3]."
        )
    return traced[of]["value"]


def _traced(model: Callable[..., Any], values: dict[str, Any], options: Any) -> Any:
    return handlers.trace(handlers.seed(handlers.substitute(model, data=values), jax.random.key(0))).get_trace(options)


def log_weights(domain: Domain, options: np.ndarray, choices: np.ndarray) -> np.ndarray:
    """Return the log joint of every hypothesis with some rounds, float64[hypotheses] (not normalised)."""
    space = latent_space(domain)
    block = _block_size(space.size, max(1, len(choices)))
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
    latent_space(domain)  # traced here, since the compiled part must not trace within its own trace
    users, rounds = query.choices.shape
    # Long histories are padded with unused rounds to few lengths, so that few shapes are ever compiled.
    length = rounds if query.stages == "all" or rounds <= 8 else 1 << (rounds - 1).bit_length()
    extra = ((0, 0), (0, length - rounds))
    history = (
        np.pad(query.options, (*extra, (0, 0), (0, 0))),
        np.pad(query.choices, extra),
        np.pad(query.used, extra),
    )
    own = query.own if query.own is not None else np.empty((users, 0, *query.shared.shape[1:]))
    evidence: list[np.ndarray] = []
    values: list[np.ndarray] = []
    with jax.enable_x64(True):
        size = USER_GROUP * (GROUPS_A_CALL if users > USER_GROUP and len(query.shared) else 1)
        for at in range(0, users, size):
            groups = [_grouped(part[at : at + size], size) for part in (*history, own)]
            answer = _sweep_groups(domain, query.of, query.stages, *groups[:3], query.shared, groups[3])
            for found, parts in zip(answer, (evidence, values), strict=True):
                parts.append(np.asarray(found).reshape(size, *found.shape[2:])[: users - at])
    stages = length + 1 if query.stages == "all" else 1
    empty = np.empty((0, stages, len(query.shared) + own.shape[1], OPTIONS))
    return np.concatenate([np.empty((0, stages)), *evidence]), np.concatenate([empty, *values])


def _grouped(part: np.ndarray, size: int) -> np.ndarray:
    """Repeat the last user until there are ``size``, and split them into groups: [users, ...] -> [groups, 32, ...]."""
    full = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
    return full.reshape(size // USER_GROUP, USER_GROUP, *part.shape[1:])


def _block_size(hypotheses: int, sets: int) -> int:
    wanted = max(16, min(LARGEST_BLOCK, BLOCK_CELLS // (OPTIONS * max(1, sets))))
    return -(-hypotheses // -(-hypotheses // wanted))


@partial(jax.jit, static_argnames=("domain", "of", "stages"), compiler_options=COMPILER_OPTIONS)
def _sweep_groups(
    domain: Domain, of: Of, stages: str, options: Any, choices: Any, used: Any, shared: Any, own: Any
) -> tuple[Any, Any]:
    """Sweep all hypothesis blocks for groups of users: a running log-sum-exp of weights and weighted values.

    All but ``shared`` as in `Query`, with a leading axis of groups.
    """
    space = latent_space(domain)
    groups, users, rounds = choices.shape
    # The last set is a dummy: some distributions cannot be made for zero sets.
    nobody = jnp.zeros((1, *shared.shape[1:]))
    sets = users * (rounds + own.shape[2]) + len(shared)
    block = _block_size(space.size, sets + 2)
    columns = rounds + 1 if stages == "all" else 1

    def values_of(latents: dict[str, Any], asked: Any) -> Any:
        """A value of each option under each hypothesis of the block, [block, sets * 3]."""
        if not len(asked):  # no queries: compile nothing
            return jnp.zeros((block, 0))
        found = jax.vmap(lambda values: query_values(domain.model, values, jnp.concatenate([asked, nobody]), of))(
            latents
        )
        return found[:, :-1].reshape(block, -1)

    def step(sums: Any, first: Any) -> tuple[Any, None]:
        numbers = first + jnp.arange(block)
        latents = space.values(jnp.minimum(numbers, space.size - 1))
        shared_value = values_of(latents, shared)

        def add(group: Any) -> tuple[Any, Any, Any]:
            (peak, total, weighted), options, choices, used, own = group
            seen = jnp.concatenate([options.reshape(-1, *nobody.shape[1:]), nobody])
            told = jnp.concatenate([choices.reshape(-1), jnp.zeros(1, choices.dtype)])
            log_prior, likelihood = jax.vmap(lambda values: joint_terms(domain.model, values, seen, told))(latents)
            log_prior = jnp.where(numbers < space.size, log_prior, -jnp.inf)
            likelihood = jnp.where(used, likelihood[:, :-1].reshape(block, users, rounds), 0.0)
            if stages == "all":
                so_far = jnp.concatenate([jnp.zeros((block, users, 1)), jnp.cumsum(likelihood, axis=-1)], axis=-1)
            else:
                so_far = likelihood.sum(axis=-1, keepdims=True)
            joint = jnp.moveaxis(log_prior[:, None, None] + so_far, 0, -1)  # [users, columns, block]
            new_peak = jnp.maximum(peak, joint.max(axis=-1))
            base = jnp.where(jnp.isfinite(new_peak), new_peak, 0.0)
            shrink, weight = jnp.exp(peak - base), jnp.exp(joint - base[..., None])
            own_value = values_of(latents, own.reshape(-1, *nobody.shape[1:])).reshape(block, users, -1)
            gained = jnp.concatenate([weight @ shared_value, jnp.einsum("ucb,buk->uck", weight, own_value)], axis=-1)
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
