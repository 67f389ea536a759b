"""The skill model in NumPyro: accuracies of agents on domains after each round, with partial pooling.

The data are reduced first: for runs with the same users, to their accuracies and the covariance of these over users
(`beliefbench.skill.counts`). The users are the random effects in this covariance. The model of an accuracy is

    observed[domain]           ~ Normal(accuracy[domain], covariance[domain])           all agents and stages at once
    accuracy[agent, domain, s] = 1/3 + closed[agent, s] * (exact[domain, s] - 1/3) + own[agent, domain, s]

where exact is the accuracy of the exact answer, observed like an agent's accuracy, and closed is the share of the gap
between chance and the exact answer that the agent closes on every domain: 0 for guessing, 1 for the exact answer. (For
privileged agents it is the share of the gap to 100% accuracy, because the exact answer does not limit them.) own is the
agent's deviation on one domain. It has Student's t distribution, so that a large deviation on one domain is possible.
Both have a part that is the same at all stages. A domain is a group of comparable runs: same domain, users, held-out
sets and seed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import NUTS
from numpyro.infer.util import potential_energy
from scipy.linalg import helmert

from beliefbench.domain import OPTIONS
from beliefbench.skill.counts import Comparable, Counts, means_and_covariance

CHAINS, WARMUP, DRAWS = 4, 500, 1000
FIRST_SCALE = 0.02
"""The posterior scale of ``closed`` that the warm-up begins with: with 1 its first hundred steps would take 1,023
gradients each."""
FREEDOM = 4
"""Degrees of freedom of an agent's deviation on one domain."""
MIN_SPREAD = 0.02
"""The smallest scale of this deviation: no agent is assumed to do equally well everywhere. A much smaller scale could
not be distinguished from 0, given the variation over users, and would sample badly."""
STEADY = 0.5
"""The share of an effect's variance that is common to all stages."""


CHANCE = 1 / OPTIONS


class Draws(NamedTuple):
    """accuracy float[chains, draws, runs, stages], runs in the order of the groups; sites, the others by name,
    float[chains, draws, ...]; diverging bool[chains, draws]."""

    accuracy: np.ndarray
    sites: dict[str, np.ndarray]
    diverging: np.ndarray


def skill_model(batches: Sequence[Batch], agent: np.ndarray, privileged_runs: np.ndarray, stages: int) -> None:
    """Declare the model for some groups.

    ``agent`` int[runs] is the agent of each run, and ``privileged_runs`` bool[runs] is True for privileged agents.

    The sampled variables are the differences between true and observed accuracies, in units of their standard errors.
    Their likelihood is a standard normal, so they are well scaled for any number of users. Nothing is factorised while
    sampling, because LAPACK calls on batches can hang a program on few cores (jaxlib 0.10).
    """
    between = numpyro.sample("between_agents", dist.LogNormal(jnp.log(0.5), 0.5))
    spread = numpyro.sample("over_domains", dist.TruncatedNormal(MIN_SPREAD, 0.05, low=MIN_SPREAD))
    closed = numpyro.sample("closed", dist.ImproperUniform(dist.constraints.real, (), (agent.max() + 1, stages)))
    found = []
    for number, batch in enumerate(batches):
        error = numpyro.sample(f"error_{number}", dist.Normal(0, 1).expand(batch.mean.shape).to_event(2))
        found.append(batch.accuracies(error))
    accuracy = jnp.concatenate([one[:, 1:].reshape(-1, stages) for one in found])
    exact = jnp.concatenate([one[:, 0] for one in found])
    best = jnp.concatenate([jnp.broadcast_to(one[:, :1], one[:, 1:].shape).reshape(-1, stages) for one in found])
    runs = np.concatenate([batch.runs.ravel() for batch in batches])
    whole = jnp.where(privileged_runs[runs, None], 1.0, best) - CHANCE
    own = accuracy - CHANCE - closed[agent[runs]] * whole
    agents = _squares(closed - 0.5, between)
    domains = _squares(own, spread)
    numpyro.factor("exact_prior", dist.Normal(0.6, 0.3).log_prob(exact).sum())
    numpyro.factor("closed_prior", -(agents.sum() + _log_determinant(between, closed.shape)) / 2)
    tails = (FREEDOM + stages) * jnp.log1p(domains / FREEDOM).sum()
    numpyro.factor("own_prior", -(tails + _log_determinant(spread, own.shape)) / 2)


class Batch(NamedTuple):
    """Groups with equal numbers of runs, which are computed together: groups int[groups], their numbers; runs
    int[groups, runs], the numbers of their runs; mean float[groups, (1 + runs) x stages], the observed accuracies, with
    the exact answer first; root float[groups, (1 + runs) x stages, (1 + runs) x stages], the Cholesky root of their
    covariance."""

    groups: np.ndarray
    runs: np.ndarray
    mean: np.ndarray
    root: np.ndarray

    def accuracies(self, error: Any) -> Any:
        """Return the accuracies, float[..., groups, 1 + runs, stages], of errors in units of standard errors,
        float[..., groups, (1 + runs) x stages]; the exact answer's first."""
        away = (self.root @ error[..., None])[..., 0]
        return (self.mean + away).reshape(*error.shape[:-1], 1 + self.runs.shape[1], -1)

    @classmethod
    def all_of(cls, groups: Sequence[Comparable]) -> list[Batch]:
        """Reduce groups to the data of the model."""
        found = [means_and_covariance([Counts.of_exact(group.runs), *group.runs]) for group in groups]
        size = np.array([len(group.runs) for group in groups])
        first = np.cumsum(size) - size
        batches = []
        for runs in np.unique(size):
            at = np.flatnonzero(size == runs)
            roots = [np.linalg.cholesky(found[one][1]) for one in at]
            means = np.stack([found[one][0] for one in at])
            batches.append(cls(at, first[at][:, None] + np.arange(runs), means, np.stack(roots)))
        return batches


def _variances(scale: jax.Array, stages: int) -> jax.Array:
    """Return the variances float[stages] of the mean over stages (times their root) and of contrasts between stages.

    They are independent if all stages have the variance ``scale ** 2`` and every pair has the correlation `STEADY`.
    """
    return scale**2 * np.array([1 + (stages - 1) * STEADY, *[1 - STEADY] * (stages - 1)])


def _squares(values: jax.Array, scale: jax.Array) -> jax.Array:
    """Return the squared Mahalanobis lengths float[rows] of rows float[rows, stages]."""
    stages = values.shape[1]
    turned = values @ helmert(stages, full=True).T
    return (turned**2 / _variances(scale, stages)).sum(axis=1)


def _log_determinant(scale: jax.Array, shape: tuple[int, int]) -> jax.Array:
    rows, stages = shape
    return rows * jnp.log(_variances(scale, stages)).sum()


def fit(groups: Sequence[Comparable], seed: int = 0) -> Draws:
    """Draw from the posterior by NUTS: `CHAINS` chains of `DRAWS` draws.

    >>> from unittest.mock import patch
    >>> rng = np.random.default_rng(0)
    >>> right = [rng.binomial(20, share, size=(50, 2)) for share in (0.4, 0.7)]
    >>> groups = [Comparable(["a", "b"], [Counts(np.arange(50), one, 20, exact=right[1]) for one in right])]
    >>> with patch.multiple("beliefbench.skill.model", CHAINS=1, WARMUP=100, DRAWS=200):  # enough for an example
    ...     drawn = fit(groups)
    >>> drawn.accuracy.shape, bool((drawn.accuracy[..., 0, :] < drawn.accuracy[..., 1, :]).mean() > 0.99)
    ((1, 200, 2, 2), True)
    """
    stages = groups[0].runs[0].right.shape[1]
    agents = agents_of(groups)
    agent = np.array([agents.index(name) for group in groups for name in group.agents])
    privileged_runs = np.array([place in group.privileged for group in groups for place in range(len(group.runs))])
    batches = Batch.all_of(groups)
    shapes = {"between_agents": (), "closed": (len(agents), stages), "over_domains": ()}
    shapes |= {f"error_{number}": batch.mean.shape for number, batch in enumerate(batches)}
    chains = _sample(
        partial(potential_energy, skill_model, (batches, agent, privileged_runs, stages), {}), shapes, seed
    )
    drawn = {name: np.stack([chain[name] for chain in chains]) for name in chains[0]}
    found = [batch.accuracies(drawn[f"error_{number}"]) for number, batch in enumerate(batches)]
    accuracy = np.empty((*drawn["over_domains"].shape, len(agent), stages))
    exact = np.empty((*accuracy.shape[:2], len(groups), stages))
    for batch, one in zip(batches, found, strict=True):
        accuracy[:, :, batch.runs], exact[:, :, batch.groups] = one[..., 1:, :], one[..., 0, :]
    sites = {
        "exact": exact,
        "closed": drawn["closed"],
        "between_agents": np.exp(drawn["between_agents"]),
        "over_domains": MIN_SPREAD + np.exp(drawn["over_domains"]),
    }
    return Draws(accuracy, sites, drawn["diverging"])


def _sample(potential: Any, shapes: dict[str, tuple[int, ...]], seed: int) -> list[dict[str, np.ndarray]]:
    """Return the draws of each chain: unconstrained values by site, and ``diverging``.

    ``potential`` is the potential energy of the values of all sites, whose shapes are ``shapes``. One step is compiled,
    and each chain is a loop in a thread: `numpyro.infer.MCMC` compiles all chains as one larger program.
    """
    scales = {name: FIRST_SCALE if name == "closed" else 1.0 for name in sorted(shapes)}  # the kernel's order
    variances = np.concatenate([np.full(int(np.prod(shapes[name])), scale**2) for name, scale in scales.items()])
    kernel = NUTS(potential_fn=potential, inverse_mass_matrix=variances)
    rng = np.random.default_rng(seed)
    centre = {"closed": 0.5}
    first = [
        {name: centre.get(name, 0.0) + scale * rng.normal(size=shapes[name]) for name, scale in scales.items()}
        for _ in range(CHAINS)
    ]
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(seed), CHAINS)
        begin = jax.jit(lambda key, values: kernel.init(key, WARMUP, values, (), {}))
        states = [begin(key, values) for key, values in zip(keys, first, strict=True)]
        step = jax.jit(lambda state: kernel.sample(state, (), {})).lower(states[0]).compile()

        def chain(state: Any) -> dict[str, np.ndarray]:
            drawn = []
            for number in range(WARMUP + DRAWS):
                state = step(state)
                if number >= WARMUP:
                    drawn.append({**state.z, "diverging": state.diverging})
            return {name: np.stack([one[name] for one in drawn]) for name in drawn[0]}

        with ThreadPoolExecutor(min(CHAINS, os.cpu_count() or 1)) as threads:
            return list(threads.map(chain, states))


def agents_of(groups: Sequence[Comparable]) -> list[str]:
    """Return the agents of all groups, in the order of the site ``closed``."""
    return sorted({name for group in groups for name in group.agents})
