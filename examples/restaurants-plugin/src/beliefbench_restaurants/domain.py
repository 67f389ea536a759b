"""Restaurants: a diner has a favourite cuisine, weighs price and distance, and is not always consistent."""

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from beliefbench import Domain, Feature
from beliefbench.domain import OPTIONS, describe_features

CUISINES = ("Ethiopian", "Indian", "Italian", "Japanese", "Mexican")
QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)  # the values of every feature; how they read is said beside each
FEATURES = (
    Feature("cuisine", "cuisine", QUARTERS, lambda value: CUISINES[round(4 * value)]),
    Feature("price", "price", QUARTERS, lambda value: f"${10 + 40 * value:.0f}"),
    Feature("distance", "distance", QUARTERS, lambda value: f"{20 * value:.0f} min on foot"),
)
SHARPNESS = 2.0  # of a choice: 0 is at random, large is always the best


def model(options, choices=None):
    """5 favourite cuisines x 3 weights of the price x 3 weights of the distance: 45 diners, all equally likely."""
    favourite = numpyro.sample("favourite", dist.DiscreteUniform(0, len(CUISINES) - 1))
    minds = numpyro.sample("minds", dist.Categorical(probs=jnp.full((2, 3), 1 / 3)))  # price, distance: 0, 1 or 2 each
    liked = jnp.round(4 * options[..., 0]) == favourite
    reward = numpyro.deterministic("reward", 2.0 * liked - options[..., 1:] @ minds.astype(float))  # float[rounds, 3]
    numpyro.sample("choice", dist.Categorical(logits=SHARPNESS * reward), obs=choices)


def pymc_model(options, choices):
    """The same model, written independently in PyMC. `beliefbench check` compares the two."""
    import pymc as pm

    with pm.Model() as built:
        favourite = pm.Categorical("favourite", p=[1 / 5] * 5)
        minds = pm.Categorical("minds", p=[1 / 3] * 3, shape=2)
        liked = pm.math.eq((4 * options[:, :, 0]).round(), favourite)
        reward = 2 * liked - minds[0] * options[:, :, 1] - minds[1] * options[:, :, 2]
        pm.Categorical("choice", p=pm.math.softmax(SHARPNESS * reward, axis=-1), observed=choices)
    return built


def draw(key, sets):
    """Draw every feature of every option uniformly from its grid: float[sets, 3, features]."""
    return jnp.asarray(QUARTERS)[jax.random.randint(key, (sets, OPTIONS, len(FEATURES)), 0, len(QUARTERS))]


restaurants = Domain(
    name="restaurants",
    version="1",  # bump it with every change to the numbers: no run of another version is ever reused
    item="Restaurant",
    purpose="for dinner",
    features=FEATURES,
    model=model,
    draw=draw,
    describe=describe_features(FEATURES),
    pymc_model=pymc_model,
)
DOMAINS = {"restaurants": restaurants}  # read by `--plugins DIR` alone; an installed package has its entry points
