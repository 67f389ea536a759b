"""The skill model in NumPyro: accuracies of agents on domains after each round, with partial pooling.

Data are reduced before anything is fitted: of runs that met the same users, their accuracies and the covariance of
these over users (`bench.skill.counts`), in which the users are the random effects. An accuracy is then

    observed[domain]           ~ Normal(accuracy[domain], covariance[domain])           all agents and stages at once
    accuracy[agent, domain, s] = typical[domain, s] + agent[agent, s] + own[agent, domain, s]

with agent ~ Normal(0, between_agents) and own ~ Normal(0, own_domain), both summed out. Domain here is a group of runs
that can be compared: same domain, users, held-out sets and seed.
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

from bench.skill.counts import Counts, means_and_covariance

VERSION = 1
"""Of the model and its sampler: a posterior that another version made is not used."""
CHAINS, WARMUP, DRAWS = 4, 500, 1000


class Comparable(NamedTuple):
    """Runs that met the same questions: agents, a name each, their counts, and places of agents told the truth."""

    agents: Sequence[str]
    runs: Sequence[Counts]
    privileged: Collection[int] = ()


class Draws(NamedTuple):
    """accuracy float[chains, draws, runs, stages], runs in the order of the groups; scales, the other sites by name,
    float[chains, draws, ...]; diverging bool[chains, draws]."""

    accuracy: np.ndarray
    scales: dict[str, np.ndarray]
    diverging: np.ndarray


def skill_model(batches: Sequence[Batch], agent: np.ndarray, stages: int) -> None:
    """Declare the model of what was observed in some groups; ``agent`` int[runs] tells which agent each run is of.

    What is sampled is how far an accuracy lies from what was observed, in units of its own error: for these the
    likelihood is a standard normal, and they stay well-scaled however many users there are.
    """
    order = np.argsort(np.concatenate([batch.runs.ravel() for batch in batches]))
    groups = np.concatenate([np.repeat(batch.groups, batch.runs.shape[1]) for batch in batches])[order]
    typical = numpyro.sample("typical", dist.Normal(0.5, 0.3).expand([groups.max() + 1, stages]).to_event(2))
    between = numpyro.sample("between_agents", dist.LogNormal(jnp.log(0.1), 0.7))
    own = numpyro.sample("own_domain", dist.LogNormal(jnp.log(0.05), 0.7))
    found = []
    for number, batch in enumerate(batches):
        error = numpyro.sample(f"error_{number}", dist.Normal(0, 1).expand(batch.mean.shape).to_event(2))
        found.append((batch.mean + jnp.einsum("gij,gj->gi", batch.root, error)).reshape(-1, stages))
    accuracy = numpyro.deterministic("accuracy", jnp.concatenate(found)[order])
    numpyro.factor("pooling", _log_prior(accuracy - typical[groups], agent, between, own))


class Batch(NamedTuple):
    """Groups of equally many runs, which are computed together: groups int[groups], their numbers; runs int[groups,
    runs], those of their runs; mean float[groups, runs x stages], the observed accuracies; root float[groups, runs x
    stages, runs x stages], the Cholesky root of their covariance."""

    groups: np.ndarray
    runs: np.ndarray
    mean: np.ndarray
    root: np.ndarray

    @classmethod
    def all_of(cls, groups: Sequence[Comparable]) -> list[Batch]:
        """Reduce groups to what the model looks at."""
        found = [means_and_covariance(group.runs) for group in groups]
        size = np.array([len(group.runs) for group in groups])
        first = np.cumsum(size) - size
        batches = []
        for runs in np.unique(size):
            at = np.flatnonzero(size == runs)
            roots = [np.linalg.cholesky(found[one][1]) for one in at]
            means = np.stack([found[one][0] for one in at])
            batches.append(cls(at, first[at][:, None] + np.arange(runs), means, np.stack(roots)))
        return batches


def _log_prior(offset: jax.Array, agent: np.ndarray, between: jax.Array, own: jax.Array) -> jax.Array:
    """Return the log density of offsets float[runs, stages], an agent's effect at each stage summed out."""
    runs = np.bincount(agent).astype(float)
    total = jnp.zeros((len(runs), offset.shape[1])).at[agent].add(offset)
    shared = between**2 / (own**2 + runs * between**2)
    squares = ((offset**2).sum() - (shared * (total**2).sum(axis=1)).sum()) / own**2
    determinant = offset.shape[1] * (runs * 2 * jnp.log(own) + jnp.log1p(runs * between**2 / own**2)).sum()
    return -(determinant + squares) / 2


def fit(groups: Sequence[Comparable], seed: int = 0) -> Draws:
    """Draw from the posterior by NUTS: `CHAINS` chains of `DRAWS` draws.

    >>> rng = np.random.default_rng(0)
    >>> runs = [Counts(np.arange(50), rng.binomial(20, share, size=(50, 2)), 20) for share in (0.4, 0.7)]
    >>> drawn = fit([Comparable(["a", "b"], runs)])
    >>> drawn.accuracy.shape, bool((drawn.accuracy[..., 0, :] < drawn.accuracy[..., 1, :]).mean() > 0.99)
    ((4, 1000, 2, 2), True)
    """
    stages = groups[0].runs[0].right.shape[1]
    _, agent = np.unique([name for group in groups for name in group.agents], return_inverse=True)
    with jax.enable_x64(True):
        sampler = MCMC(
            NUTS(skill_model),
            num_warmup=WARMUP,
            num_samples=DRAWS,
            num_chains=CHAINS,
            chain_method="vectorized",
            progress_bar=False,
        )
        sampler.run(jax.random.key(seed), Batch.all_of(groups), agent, stages, extra_fields=("diverging",))
        drawn = {name: np.asarray(value) for name, value in sampler.get_samples(group_by_chain=True).items()}
        diverging = np.asarray(sampler.get_extra_fields(group_by_chain=True)["diverging"])
    scales = {name: drawn[name] for name in ("typical", "between_agents", "own_domain")}
    return Draws(drawn["accuracy"], scales, diverging)
