"""Weights that floats cannot hold: long histories and sharp choice rules, against sums of logarithms in NumPy."""

from dataclasses import replace
from itertools import product

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy.special import logsumexp, softmax

import beliefbench as bb
from beliefbench.domain import describe_features
from beliefbench.exact import linear_space, log_space

PEOPLE = np.array([weights for weights in product((-1, -0.5, 0, 0.5, 1), repeat=2) if any(weights)])


def softmax_predictives(temperature, options, choices, queries):
    """The predictive of softmax users after each round, float[users, rounds + 1, queries, 3]."""
    utility = options @ PEOPLE.T / temperature
    log_probs = utility - logsumexp(utility, axis=-2, keepdims=True)
    told = np.take_along_axis(log_probs, choices[..., None, None], axis=-2)[..., 0, :]
    joint = np.concatenate([np.zeros_like(told[:, :1]), told.cumsum(axis=1)], axis=1)
    return np.einsum("usp,qkp->usqk", softmax(joint, axis=-1), softmax(queries @ PEOPLE.T / temperature, axis=-2))


@pytest.mark.parametrize(
    ("temperature", "rounds"), [(1e-3, 5), (1e-3, 200), pytest.param(0.1, 1_000, marks=pytest.mark.slow)]
)
def test_products_that_floats_cannot_hold_are_exact(temperature, rounds):
    rng = np.random.default_rng(rounds)
    options, queries = rng.integers(0, 11, (3, rounds, 3, 2)) / 10, rng.integers(0, 11, (6, 3, 2)) / 10
    wanted = options @ PEOPLE[rng.integers(0, 24, 3), None, :, None]
    # Each choice has noise of its own temperature, so that some are far from what the model expects.
    choices = (wanted[..., 0] + temperature * rng.gumbel(size=wanted.shape[:-1])).argmax(axis=-1)
    expected = softmax_predictives(temperature, options, choices, queries)
    domain = bb.load_domain(f"flights-2,temperature={temperature}")
    found = bb.predictives(domain, options, choices, queries, stages="all")
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_one_users_small_products_change_no_bit_of_anothers():
    """Users whose products floats can hold are not swept with logarithms because another's are too small."""
    rng = np.random.default_rng(3)
    options, queries = rng.integers(0, 11, (2, 60, 3, 2)) / 10, rng.integers(0, 11, (4, 3, 2)) / 10
    domain = bb.load_domain("flights-2,temperature=0.05")
    choices = (options @ PEOPLE[20]).argmax(axis=-1)
    choices[1] = (options[1] @ PEOPLE[20]).argmin(axis=-1)  # against every preference, each time
    together = bb.predictives(domain, options, choices, queries)
    for user in range(2):
        alone = bb.predictives(domain, options[[user]], choices[[user]], queries)
        np.testing.assert_array_equal(together[[user]], alone)


def test_an_unlikely_hypothesis_is_not_lost_with_its_small_products():
    """One of two people is unlikely beforehand, and nobody else explains the choices: 1e-200 times 1e-120."""
    likely = np.log([1.0, 1e-200])

    def model(options, choices=None):
        person = numpyro.sample("person", dist.Categorical(logits=jnp.asarray(likely)))
        favourite = jnp.where(person == 1, 1e-3, 0.0)
        probs = jnp.broadcast_to(jnp.stack([1 - favourite, favourite, 0.0 * favourite]), (len(options), 3))
        numpyro.sample("choice", dist.Categorical(probs=probs), obs=choices)

    feature = bb.Feature("shine", "shine", (0.0, 1.0), str)
    domain = bb.Domain("rare", "1", "Coin", (feature,), model, None, describe_features((feature,)))
    rounds = np.zeros((40, 3, 1))
    found = bb.predictive(domain, rounds, np.ones(40, int), rounds[:1])
    np.testing.assert_allclose(found, [[0.999, 0.001, 0.0]], atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "cost"),
    [("logits", 100), ("logits", 700), ("logits", 750), ("logits", 5_000), ("probs", 100), ("probs", 600)],
)
@pytest.mark.parametrize("rounds", [1, 4])
def test_a_choice_that_a_float_cannot_hold_is_unlikely_and_not_impossible(kind, cost, rounds):
    """Two people choose option 0 with the probabilities exp(-cost) and exp(-cost - 1), and did so in each round."""

    def model(options, choices=None):
        person = numpyro.sample("person", dist.DiscreteUniform(0, 1))
        logits = jnp.zeros((len(options), 3)).at[:, 0].set(-cost - jnp.asarray(person, float))
        given = {"logits": logits} if kind == "logits" else {"probs": jnp.exp(logits) / jnp.array([1.0, 2.0, 2.0])}
        numpyro.sample("choice", dist.Categorical(**given), obs=choices)

    flights = bb.load_domain("flights-2")
    domain = replace(flights, name=f"{kind}-{cost}", model=model, user_model=model, questionnaire=None)
    odds = np.exp(-np.arange(2.0))
    expected = odds**rounds / (odds**rounds).sum()
    found = bb.posterior(domain, np.zeros((rounds, 3, 2)), np.zeros(rounds, int))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("block", [5, 12, 23, 24, 50])
@pytest.mark.parametrize("temperature", [1.0, 1e-3])
def test_blocks_that_are_not_full_count_each_hypothesis_once(monkeypatch, block, temperature):
    """In sums of products and, at the low temperature, of logarithms: 24 people in blocks of another size."""
    monkeypatch.setattr(linear_space, "parts_of", lambda blocks: 1)
    for module in (linear_space, log_space):
        monkeypatch.setattr(module, "block_size", lambda hypotheses: block)
    rng = np.random.default_rng(block)
    options, queries = rng.integers(0, 11, (2, 4, 3, 2)) / 10, rng.integers(0, 11, (3, 3, 2)) / 10
    choices = rng.integers(0, 3, (2, 4))
    domain = bb.load_domain(f"flights-2,temperature={temperature}")
    domain = replace(domain, name=f"blocks-{block}-{temperature}")  # compiled by itself
    found = bb.predictives(domain, options, choices, queries, stages="all")
    np.testing.assert_allclose(found, softmax_predictives(temperature, options, choices, queries), atol=1e-9)
