"""The skill model in NumPyro: accuracies of agents on domains after each round, with partial pooling.

Data are reduced before anything is fitted: of runs that met the same users, their accuracies and the covariance of
these over users (`beliefbench.skill.counts`), in which the users are the random effects. An accuracy is then

    observed[domain]           ~ Normal(accuracy[domain], covariance[domain])           all agents and stages at once
    accuracy[agent, domain, s] = 1/3 + closed[agent, s] * (exact[domain, s] - 1/3) + own[agent, domain, s]

where exact is the accuracy of the exact answer, observed like an agent's, and closed the share of the way from chance
to it that an agent goes wherever it is asked: 0 for who guesses, 1 for the exact answer. (For those who are told the
truth it is the share of the way to being always right: no exact answer limits them.) What an agent does otherwise on a
domain is its own there. These are Student's t, so that agents who do alike on most domains are not taken to do so
on one where they plainly do not. Both have a share that is the same at all stages. Domain here is a group of runs that
can be compared: same domain, users, held-out sets and seed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS
from scipy.linalg import helmert

from beliefbench.domain import OPTIONS
from beliefbench.skill.counts import Counts, means_and_covariance

VERSION = 3
"""Of the model and its sampler: a posterior that another version made is not used."""
CHAINS, WARMUP, DRAWS = 4, 500, 1000
FREEDOM = 4
"""Degrees of freedom of what an agent does on a domain that it does not do elsewhere."""
MIN_SPREAD = 0.02
"""Its least scale: that an agent does exactly alike everywhere is never believed. A scale far below what the drawing of
users leaves unsure could not be told from 0, nor sampled well."""
STEADY = 0.5
"""The share of an effect's variance that is common to all stages."""


CHANCE = 1 / OPTIONS


class Comparable(NamedTuple):
    """Runs that met the same questions: agents, a name each, their counts, and places of agents told the truth."""

    agents: Sequence[str]
    runs: Sequence[Counts]
    privileged: Collection[int] = ()


class Draws(NamedTuple):
    """accuracy float[chains, draws, runs, stages], runs in the order of the groups; sites, the others by name,
    float[chains, draws, ...]; diverging bool[chains, draws]."""

    accuracy: np.ndarray
    sites: dict[str, np.ndarray]
    diverging: np.ndarray


def skill_model(batches: Sequence[Batch], agent: np.ndarray, privileged_runs: np.ndarray, stages: int) -> None:
    """Declare the model of what was observed in some groups.

    ``agent`` int[runs] tells which agent each run is of, ``told`` bool[runs] whether it is told the truth.

    What is sampled is how far an accuracy lies from what was observed, in units of its own error: for these the
    likelihood is a standard normal, and they stay well-scaled however many users there are. Nothing is factorised
    while sampling, since LAPACK calls on batches can lock up a program on few cores (jaxlib 0.10).
    """
    between = numpyro.sample("between_agents", dist.LogNormal(jnp.log(0.5), 0.5))
    spread = numpyro.sample("over_domains", dist.TruncatedNormal(MIN_SPREAD, 0.05, low=MIN_SPREAD))
    closed = numpyro.sample("closed", dist.ImproperUniform(dist.constraints.real, (), (agent.max() + 1, stages)))
    found = []
    for number, batch in enumerate(batches):
        error = numpyro.sample(f"error_{number}", dist.Normal(0, 1).expand(batch.mean.shape).to_event(2))
        errors = jnp.einsum("gij,gj->gi", batch.root, error)
        found.append((batch.mean + errors).reshape(len(batch.groups), -1, stages))
    order = np.argsort(np.concatenate([batch.runs.ravel() for batch in batches]))
    accuracy = jnp.concatenate([one[:, 1:].reshape(-1, stages) for one in found])[order]
    exact = jnp.concatenate([one[:, 0] for one in found])[np.argsort(np.concatenate([one.groups for one in batches]))]
    group = np.concatenate([np.repeat(batch.groups, batch.runs.shape[1]) for batch in batches])[order]
    numpyro.deterministic("accuracy", accuracy)
    numpyro.deterministic("exact", exact)
    whole = jnp.where(privileged_runs[:, None], 1.0, exact[group]) - CHANCE
    own = accuracy - CHANCE - closed[agent] * whole
    agents = _squares(closed - 0.5, between)
    domains = _squares(own, spread)
    numpyro.factor("exact_prior", dist.Normal(0.6, 0.3).log_prob(exact).sum())
    numpyro.factor("closed_prior", -(agents.sum() + _log_determinant(between, closed.shape)) / 2)
    tails = (FREEDOM + stages) * jnp.log1p(domains / FREEDOM).sum()
    numpyro.factor("own_prior", -(tails + _log_determinant(spread, own.shape)) / 2)


class Batch(NamedTuple):
    """Groups of equally many runs, which are computed together: groups int[groups], their numbers; runs int[groups,
    runs], those of their runs; mean float[groups, (1 + runs) x stages], the observed accuracies, first the exact
    answer's; root float[groups, (1 + runs) x stages, (1 + runs) x stages], the Cholesky root of their covariance."""

    groups: np.ndarray
    runs: np.ndarray
    mean: np.ndarray
    root: np.ndarray

    @classmethod
    def all_of(cls, groups: Sequence[Comparable]) -> list[Batch]:
        """Reduce groups to what the model looks at."""
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

    These are independent if all stages have the variance ``scale ** 2`` and every two the correlation `STEADY`.
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
    with jax.enable_x64(True):
        sampler = MCMC(
            NUTS(skill_model),
            num_warmup=WARMUP,
            num_samples=DRAWS,
            num_chains=CHAINS,
            chain_method="vectorized",
            progress_bar=False,
        )
        sampler.run(
            jax.random.key(seed), Batch.all_of(groups), agent, privileged_runs, stages, extra_fields=("diverging",)
        )
        drawn = {name: np.asarray(value) for name, value in sampler.get_samples(group_by_chain=True).items()}
        diverging = np.asarray(sampler.get_extra_fields(group_by_chain=True)["diverging"])
    sites = {name: drawn[name] for name in ("exact", "closed", "between_agents", "over_domains")}
    return Draws(drawn["accuracy"], sites, diverging)


def agents_of(groups: Sequence[Comparable]) -> list[str]:
    """Return the agents of all groups, in the order of the site ``closed``."""
    return sorted({name for group in groups for name in group.agents})
