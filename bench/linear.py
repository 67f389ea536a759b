"""Domains where people choose by a weighted sum of features: the constructor behind flights and hotels.

reward = weights . features, with the weights in a finite table of candidates and a uniform prior over it; a person
picks the option of the largest reward, and one of the best at random where several tie (the paper leaves ties open).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bench.domain import OPTIONS, Domain, Feature, describe_features
from bench.errors import TooLargeError

PAPER_WEIGHTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
MOST_CANDIDATES = 20_000_000


def linear_choice(
    name: str,
    *,
    version: str,
    item: str,
    features: tuple[Feature, ...],
    weights: tuple[float, ...] = PAPER_WEIGHTS,
) -> Domain:
    """Return a linear-choice domain: every option's features drawn uniformly and independently from their grids.

    Parameters
    ----------
    weights
        The values a feature's weight takes; a person is one of weights**features in lexicographic order, without the
        one who does not care at all (all zero). For the paper's five values and four features: 624 people.

    Raises
    ------
    TooLargeError
        Where the table of candidate weights is too large to hold.

    >>> coin = Feature("coin", "coin", (0.0, 1.0), lambda value: "heads" if value else "tails")
    >>> domain = linear_choice("coins", version="1", item="Coin", features=(coin,), weights=(-1.0, 1.0))
    >>> domain.describe(np.array([1.0]))
    'coin: heads'
    """
    table = candidate_weights(name, len(features), weights)
    return Domain(
        name=name,
        version=version,
        item=item,
        features=features,
        model=_numpyro_model(table),
        draw=_uniform_draw(features),
        describe=describe_features(features),
        pymc_model=_pymc_model(len(features), weights),
        parameters={
            "features": [{"name": f.name, "grid": list(f.grid)} for f in features],
            "weights": list(weights),
            "choice": "best, ties uniform",
        },
    )


def candidate_weights(name: str, features: int, weights: tuple[float, ...]) -> np.ndarray:
    """Return all candidate weight vectors but zero, float64[candidates, features], in lexicographic order.

    >>> candidate_weights("example", 2, (-1.0, 0.0, 1.0)).tolist()[:3]
    [[-1.0, -1.0], [-1.0, 0.0], [-1.0, 1.0]]
    """
    if len(weights) ** features > MOST_CANDIDATES:
        raise TooLargeError(
            f"{name} has {len(weights) ** features:,} candidate weight vectors and the limit is {MOST_CANDIDATES:,}; "
            "use fewer features or fewer values a weight."
        )
    grid = np.meshgrid(*[np.asarray(weights, dtype=np.float64)] * features, indexing="ij")
    table = np.stack(grid, axis=-1).reshape(-1, features)
    return table[np.any(table != 0, axis=1)]


def best_option_probs(reward: jax.Array) -> jax.Array:
    """Return the choice rule "the best option, ties broken uniformly": float[..., 3] -> float[..., 3].

    Rewards within 1e-9 (1e-5 in single precision) of the largest tie with it. Rewards of the built-in domains are
    multiples of .025, so that no rounding error can make or break a tie.

    >>> best_option_probs(jnp.array([0.2, 0.7, 0.7])).tolist()
    [0.0, 0.5, 0.5]
    """
    tolerance = 1e-9 if reward.dtype == jnp.float64 else 1e-5
    best = reward >= reward.max(axis=-1, keepdims=True) - tolerance
    return best / best.sum(axis=-1, keepdims=True).astype(reward.dtype)


def _numpyro_model(table: np.ndarray) -> Callable[..., None]:
    def model(options: Any, choices: Any = None) -> None:
        person = numpyro.sample("person", dist.DiscreteUniform(0, len(table) - 1))
        weights = numpyro.deterministic("weights", jnp.asarray(table)[person])
        reward = numpyro.deterministic("reward", jnp.asarray(options) @ weights)
        numpyro.sample("choice", dist.Categorical(probs=best_option_probs(reward)), obs=choices)

    return model


def _uniform_draw(features: tuple[Feature, ...]) -> Callable[[Any, int], jax.Array]:
    def draw(key: Any, sets: int) -> jax.Array:
        with jax.enable_x64(True):  # a grid's .1 in single precision is another number, and breaks ties
            columns = [
                jnp.asarray(feature.grid)[jax.random.randint(feature_key, (sets, OPTIONS), 0, len(feature.grid))]
                for feature, feature_key in zip(features, jax.random.split(key, len(features)), strict=True)
            ]
            return jnp.stack(columns, axis=-1)

    return draw


def _pymc_model(features: int, weights: tuple[float, ...]) -> Callable[..., Any]:
    """Return the same model in PyMC, sharing no code with the NumPyro one, so that a slip in one shows."""

    def model(options: np.ndarray, choices: np.ndarray) -> Any:
        import pymc as pm
        import pytensor.tensor as pt

        people = [vector for vector in product(weights, repeat=features) if any(vector)]
        with pm.Model() as built:
            person = pm.Categorical("person", p=np.full(len(people), 1 / len(people)))
            reward = pt.sum(np.asarray(options) * pt.as_tensor(np.array(people))[person], axis=-1)
            shortfall = pt.max(reward, axis=-1, keepdims=True) - reward
            wanted = pt.cast(pt.lt(shortfall, 1e-9), "float64")
            pm.Categorical("choice", p=wanted / pt.sum(wanted, axis=-1, keepdims=True), observed=choices)
        return built

    return model
