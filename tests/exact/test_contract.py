"""Models outside the contract give no number, and models inside it do, however they are written."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers

import beliefbench as bb
from beliefbench.domain import describe_features
from beliefbench.protocol.protocol import Protocol

TENTHS = tuple(step / 10 for step in range(11))
FEATURES = (bb.Feature("a", "a", TENTHS, str), bb.Feature("b", "b", TENTHS, str))
W = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])


def probs(z, o):
    return jax.nn.softmax(o @ W[z] * 3)


def draw(key, sets):
    return jax.random.randint(key, (sets, 3, 2), 0, 11) / 10


def domain_of(model, **changes):
    given = {"features": FEATURES, "draw": draw, "describe": describe_features(FEATURES), **changes}
    return bb.Domain("odd", "1", "X", model=model, **given)


def good(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o)), obs=c)


def good_plate(o, c=None):
    z = numpyro.sample("z", dist.Categorical(probs=jnp.array([0.2, 0.3, 0.5])))
    with numpyro.plate("r", len(o)):
        numpyro.sample("choice", dist.Categorical(logits=o @ W[z]), obs=c)


def good_factor(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    numpyro.factor("f", jnp.where(z == 1, -1.0, 0.0))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o)), obs=c)


def scale_latent(o, c=None):
    with handlers.scale(scale=2.0):
        z = numpyro.sample("z", dist.Categorical(probs=jnp.array([0.2, 0.3, 0.5])))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o)), obs=c)


def scale_choice(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    with handlers.scale(scale=0.5):
        numpyro.sample("choice", dist.Categorical(probs=probs(z, o)), obs=c)


def factor_choice(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o)), obs=c)
    if c is not None:
        numpyro.factor("f", jnp.where(c == z, 1.0, 0.0).sum())


def factor_options(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o)), obs=c)
    numpyro.factor("f", (o[:, 0, 0] * z).sum())


def second(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o)), obs=c)
    numpyro.sample("happy", dist.Bernoulli(0.2 + 0.2 * z), obs=jnp.array(1))


def habit(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    p = probs(z, o)
    if c is not None:
        prev = jnp.concatenate([jnp.zeros(1, int), c[:-1]])
        p = jnp.where(z == 2, 0.5 * p + 0.5 * jax.nn.one_hot(prev, 3), p)
    numpyro.sample("choice", dist.Categorical(probs=p), obs=c)


def across(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o - o.mean(0))), obs=c)


def fatigue(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    t = jnp.arange(len(o))[:, None]
    numpyro.sample("choice", dist.Categorical(logits=(o @ W[z]) / (1 + t)), obs=c)


def prng(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    k = numpyro.prng_key()
    numpyro.sample("choice", dist.Categorical(logits=o @ W[z] + jax.random.normal(k, (len(o), 3))), obs=c)


def subsample(o, c=None):
    with numpyro.plate("p", 4, subsample_size=2):
        z = numpyro.sample("z", dist.Bernoulli(0.5))
    numpyro.sample("choice", dist.Categorical(logits=o @ W[0] * z.sum()), obs=c)


def per_round(o, c=None):
    with numpyro.plate("p", len(o)):
        z = numpyro.sample("z", dist.Bernoulli(0.5))
        numpyro.sample("choice", dist.Categorical(logits=o @ W[0] * z[:, None]), obs=c)


def masked(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    with handlers.mask(mask=jnp.arange(len(o)) > 0):
        numpyro.sample("choice", dist.Categorical(probs=probs(z, o)), obs=c)


def flipped(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o)), obs=None if c is None else 2 - c)


def depends(o, c=None):
    y = numpyro.sample("y", dist.DiscreteUniform(1, 2))
    z = numpyro.sample("z", dist.DiscreteUniform(0, y))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o)), obs=c)


def jnp_bounds(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(jnp.array(0), jnp.array(2)))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o)), obs=c)


def four(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    numpyro.sample(
        "choice", dist.Categorical(probs=jnp.concatenate([0.9 * probs(z, o), 0.1 * jnp.ones((len(o), 1))], -1)), obs=c
    )


def two(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    numpyro.sample("choice", dist.Bernoulli(probs(z, o)[:, 0]), obs=c)


def nan_model(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o) * jnp.nan), obs=c)


def unnormalised(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o) * 0.8), obs=c)


def batch_of_two(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o)).expand([len(o)]).to_event(1), obs=c)


TRACES = []


def python_state(o, c=None):
    TRACES.append(1)
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    numpyro.sample("choice", dist.Categorical(logits=o @ W[z] * len(TRACES)), obs=c)


def numpy_rng(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    numpyro.sample("choice", dist.Categorical(logits=o @ W[z] + np.random.normal(size=3)), obs=c)


def ignore_obs(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o)), obs=jnp.zeros(len(o), int))


def conditional_site(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 2))
    if len(o) > 1:
        numpyro.sample("y", dist.Bernoulli(0.3))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o)), obs=c)


def only_when_observed(o, c=None):
    z = numpyro.sample(
        "z", dist.Categorical(probs=jnp.array([0.2, 0.3, 0.5]) if c is None else jnp.array([0.5, 0.3, 0.2]))
    )
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o)), obs=c)


def rounds_prior(o, c=None):
    z = numpyro.sample("z", dist.Categorical(logits=jnp.arange(3.0) * len(o)))
    numpyro.sample("choice", dist.Categorical(probs=probs(z, o)), obs=c)


def bern0(o, c=None):
    z = numpyro.sample("z", dist.Bernoulli(1.0))
    numpyro.sample("choice", dist.Categorical(logits=o @ W[0] * z), obs=c)


def empty_plate(o, c=None):
    with numpyro.plate("p", 0):
        z = numpyro.sample("z", dist.Bernoulli(0.5))
    numpyro.sample("choice", dist.Categorical(logits=o @ W[0] * z.sum()), obs=c)


def drawn_z(o, c=None):
    z = numpyro.sample("z", dist.Categorical(logits=jnp.arange(3.0)))
    with numpyro.plate("rounds", len(o)):
        numpyro.sample("choice", dist.Categorical(probs=jnp.eye(3)[z] * 0.4 + 0.2), obs=c)  # of any option sets


def habit_of_one_in_many(o, c=None):
    z = numpyro.sample("z", dist.DiscreteUniform(0, 99_999))
    p = probs(z % 3, o)
    if c is not None:
        p = jnp.where(z == 77_777, jax.nn.one_hot(c, 3), p)
    numpyro.sample("choice", dist.Categorical(probs=p), obs=c)


INSIDE = (good, good_plate, good_factor, jnp_bounds, bern0, drawn_z)
OUTSIDE = {
    "scaled": (scale_latent, scale_choice, subsample),
    "depends on the choices;": (factor_choice,),
    "depends on the options;": (factor_options,),
    "observes 'happy' besides 'choice'": (second,),
    "depends on the choices observed": (habit, habit_of_one_in_many),
    "another joint density": (
        across,
        fatigue,
        flipped,
        python_state,
        numpy_rng,
        ignore_obs,
        only_when_observed,
        rounds_prior,
    ),
    "draws random numbers": (prng,),
    "depend on the number of rounds": (per_round, conditional_site),
    "for some set; expected 1": (masked, four, nan_model, unnormalised),
    "depend on another latent site": (depends,),
    "over two options": (two,),
    "its model raised": (batch_of_two, empty_plate),
}
HISTORY = np.full((1, 3, 2), 0.5), np.array([0])


@pytest.mark.parametrize(("sentence", "model"), [(what, one) for what, models in OUTSIDE.items() for one in models])
def test_a_model_outside_the_contract_gives_no_number(sentence, model):
    for ask in (bb.posterior, lambda *history: bb.predictive(*history, HISTORY[0])):
        with pytest.raises(bb.BeliefBenchError, match=sentence):
            ask(domain_of(model), *HISTORY)


@pytest.mark.parametrize("model", INSIDE)
def test_a_model_inside_the_contract_is_answered(model):
    found = bb.posterior(domain_of(model), *HISTORY)
    np.testing.assert_allclose(found.sum(), 1)


def test_what_is_impossible_has_no_weight():
    """NumPyro's own logarithms are clamped: they give the impossible value a weight."""
    options = np.array([[[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]])
    np.testing.assert_array_equal(bb.posterior(domain_of(bern0), options, np.array([0])), [0, 1])
    wanted = jax.nn.softmax(options[0, :, 0])
    np.testing.assert_allclose(bb.predictive(domain_of(bern0), *HISTORY, options)[0], wanted, atol=1e-12)


def test_the_users_own_model_is_held_too():
    domain = domain_of(good, user_model=habit)
    with pytest.raises(bb.BeliefBenchError, match="depends on the choices observed"):
        bb.Episodes(domain, Protocol(users=2, rounds=1, heldout=2))
