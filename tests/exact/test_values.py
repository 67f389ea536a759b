"""Values that a domain may not have, and values that are easily read wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import beliefbench as bb
from beliefbench.domain import describe_features
from beliefbench.exact.inference import _double
from beliefbench.protocol.protocol import Protocol

TENTHS = tuple(step / 10 for step in range(11))
FEATURES = (bb.Feature("a", "a", TENTHS, str), bb.Feature("b", "b", TENTHS, str))
SHARP = ("flights-2,temperature=1e-300", "flights-2,temperature=1e-9")
HISTORY = np.full((1, 3, 2), 0.5), np.array([0])


def draw(key, sets):
    return jax.random.randint(key, (sets, 3, 2), 0, 11) / 10


def good(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 1))
    numpyro.sample("choice", dist.Categorical(logits=o @ jnp.eye(2)[z]), obs=c)


def domain_of(model, **changes):
    given = {"features": FEATURES, "draw": draw, "describe": describe_features(FEATURES), **changes}
    return bb.Domain("odd", "1", "X", model=model, **given)


@pytest.mark.parametrize("grid", [(), (0.0, float("nan")), (0.5, 0.2), (0.0, 1.5), (-0.1, 0.5)])
def test_grids_are_ascending_numbers(grid):
    features = (bb.Feature("a", "a", grid, str), FEATURES[1])
    with pytest.raises(bb.BeliefBenchError, match="the grid of a is"):
        bb.posterior(domain_of(good, features=features), *HISTORY)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"draw": lambda key, sets: draw(key, sets) + 0.05}, "not in the feature's grid"),
        ({"draw": lambda key, sets: draw(key, sets) * jnp.nan}, "not in the feature's grid"),
        ({"describe": lambda option: None}, "gave None; expected some text"),
        ({"describe": lambda option: " "}, "gave ' '; expected some text"),
        ({"describe": lambda option: 1 / 0}, "describe raised ZeroDivisionError"),
    ],
)
def test_what_is_drawn_and_described_is_of_the_domain(changes, sentence):
    with pytest.raises(bb.BeliefBenchError, match=sentence):
        bb.Episodes(domain_of(good, **changes), Protocol(users=2, rounds=1, heldout=2))


def test_the_smallest_temperature_is_the_noiseless_rule_where_nothing_ties():
    options = np.array([[[0.1, 0.2], [0.9, 0.3], [0.4, 0.0]]])
    found = [bb.predictive(bb.load_domain(name), options, np.array([1]), options) for name in SHARP]
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)


def test_decimals_that_were_single_are_read_as_decimals(flights):
    rng = np.random.default_rng(0)
    options = rng.integers(0, 11, (3, 3, 4)) / 10
    chosen = np.zeros(3, int)
    expected = bb.predictive(flights, options, chosen, options, on_contradiction="ignore")
    widened = options.astype(np.float32).astype(np.float64)
    assert (widened != options).any()
    found = bb.predictive(flights, widened, chosen, widened, on_contradiction="ignore")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.1 + 1e-9], [0.1 + 1e-9]),  # a double near a decimal, which was never single
        (np.float32([0.1]).astype(float), [0.1]),
        (
            np.float32([0.1, 0.7]).astype(float) + np.array([0, 1e-9]),
            [float(np.float32(0.1)), float(np.float32(0.7)) + 1e-9],
        ),
        (np.float32([1 / 3]).astype(float), [float(np.float32(1 / 3))]),  # single, and no decimal
        (np.float32([1 / 3]), [0.333333]),
        ([2.0, 0.25], [2.0, 0.25]),
    ],
)
def test_decimals_that_were_single_are_made_double_again_and_nothing_else_changes(values, expected):
    assert _double(np.asarray(values)).tolist() == expected
