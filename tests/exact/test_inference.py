"""Exact inference against independent enumerations in NumPy, and what holds of any posterior."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import beliefbench as bb
from beliefbench.domain import describe_features

# --- several latent sites, one of them a vector ---------------------------------------------------

MOOD = np.array([0.2, 0.3, 0.5])  # values 0, 1, 2
LIKES = np.array([[0.6, 0.4], [0.9, 0.1]])  # each element 0 or 1, with its own prior
PICKY = (2, 3)  # uniform


def mixed_model(options, choices=None):
    mood = numpyro.sample("mood", dist.Categorical(jnp.asarray(MOOD)))
    likes = numpyro.sample("likes", dist.Categorical(jnp.asarray(LIKES)))
    picky = numpyro.sample("picky", dist.DiscreteUniform(*PICKY))
    logits = picky * (options @ (likes - 0.5)) + mood * jnp.array([0.0, 0.3, 0.0])
    numpyro.sample("choice", dist.Categorical(logits=logits), obs=choices)


@pytest.fixture(scope="module")
def mixed() -> bb.Domain:
    features = tuple(bb.Feature(name, name, (0.0, 1.0), str) for name in ("a", "b"))
    draw = None  # not drawn from here
    return bb.Domain("mixed", "1", "Thing", features, mixed_model, draw, describe_features(features))


def mixed_by_loops(options, choices, queries):
    """Posterior in lexicographic order (mood slowest, then likes[0], likes[1], picky) and predictive, by loops."""

    def probs(mood, likes, picky, option_set):
        scores = [sum(picky * (like - 0.5) * x for like, x in zip(likes, option, strict=True)) for option in option_set]
        scores[1] += 0.3 * mood
        powers = [np.exp(score) for score in scores]
        return [power / sum(powers) for power in powers]

    joint, answers = [], []
    for mood, first, second, picky in product(range(3), range(2), range(2), PICKY):
        weight = MOOD[mood] * LIKES[0, first] * LIKES[1, second] / len(PICKY)
        for option_set, choice in zip(options, choices, strict=True):
            weight *= probs(mood, (first, second), picky, option_set)[choice]
        joint.append(weight)
        answers.append([probs(mood, (first, second), picky, query) for query in queries])
    posterior = np.array(joint) / sum(joint)
    return posterior, np.einsum("h,hqk->qk", posterior, np.array(answers).reshape(len(joint), -1, 3))


def test_hypotheses_are_numbered_lexicographically_over_sites_and_elements(mixed):
    nothing = np.empty((0, 3, 2)), np.empty(0, int)
    prior = bb.posterior(mixed, *nothing)
    assert prior.shape == (3 * 2 * 2 * 2,)
    # mood 0, likes (0, 1), picky 2 is number 2; mood 2, likes (1, 0), picky 3 is number 2*8 + 4 + 0 + 1 = 21.
    assert prior[2] == pytest.approx(0.2 * 0.6 * 0.1 * 0.5)
    assert prior[21] == pytest.approx(0.5 * 0.4 * 0.9 * 0.5)
    np.testing.assert_allclose(prior, mixed_by_loops([], [], [])[0], atol=1e-12)


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_several_sites_and_uneven_priors_agree_with_loops(mixed, rounds):
    rng = np.random.default_rng(rounds)
    options, queries = rng.random((rounds, 3, 2)), rng.random((4, 3, 2))
    choices = rng.integers(0, 3, rounds)
    posterior, predictive = mixed_by_loops(options, choices, queries)
    np.testing.assert_allclose(bb.posterior(mixed, options, choices), posterior, atol=1e-12)
    np.testing.assert_allclose(bb.predictive(mixed, options, choices, queries), predictive, atol=1e-12)


def test_a_reward_that_the_model_does_not_record_is_asked_for(mixed):
    with pytest.raises(ValueError, match=r"no 'reward' site"):
        bb.expected_rewards(mixed, np.empty((1, 0, 3, 2)), np.empty((1, 0), int), np.zeros((1, 3, 2)))


# --- flights against an enumeration of its own ----------------------------------------------------


def enumerate_flights(options, choices, queries):
    """Posterior and predictives at every stage by plain loops over itertools.product, in float64."""

    def probs(weights, option_set):
        rewards = [sum(w * x for w, x in zip(weights, option, strict=True)) for option in option_set]
        best = [reward > max(rewards) - 1e-9 for reward in rewards]
        return [hit / sum(best) for hit in best]

    people = [weights for weights in product((-1, -0.5, 0, 0.5, 1), repeat=4) if any(weights)]
    joint = np.full(len(people), 1 / 624)
    answers = np.array([[probs(weights, query) for query in queries] for weights in people])
    posteriors = [joint / joint.sum()]
    for option_set, choice in zip(options, choices, strict=True):
        joint = joint * [probs(weights, option_set)[choice] for weights in people]
        posteriors.append(joint / joint.sum())
    return posteriors[-1], np.einsum("sh,hqk->sqk", np.array(posteriors), answers)


@pytest.mark.parametrize("rounds", range(6))
@pytest.mark.parametrize("continuous", [False, True], ids=["grid", "continuous"])
def test_flights_agree_with_an_independent_enumeration(flights, people, simulator, rounds, continuous):
    rng = np.random.default_rng([rounds, continuous])
    if continuous:
        options, queries = rng.random((rounds, 3, 4)), rng.random((6, 3, 4))
        choices = (options @ people[rng.integers(624)]).argmax(axis=-1)
    else:
        options, queries = simulator.options(rng, rounds), simulator.options(rng, 6)
        choices = simulator.choose(rng, np.full(rounds, rng.integers(624)), options)
    posterior, stages = enumerate_flights(options, choices, queries)
    np.testing.assert_allclose(bb.posterior(flights, options, choices), posterior, atol=1e-12)
    np.testing.assert_allclose(bb.predictive(flights, options, choices, queries), stages[-1], atol=1e-12)
    every = bb.predictives(flights, options[None], choices[None], queries, stages="all")
    np.testing.assert_allclose(every[0], stages, atol=1e-12)


def test_ties_of_rewards_that_floats_cannot_hold_are_ties(flights, people):
    # .1 + .2 against .3, at weights (1, 1, 0, 0): equal rewards, unequal floats. The third option is worse for both.
    options = np.array([[[0.1, 0.2, 0, 0], [0.3, 0.0, 0, 0], [0.0, 0.0, 0, 0]]])
    assert options[0, 0].sum() != options[0, 1].sum()
    one_one = people.tolist().index([1, 1, 0, 0])
    probs = bb.choice_probs(flights, {"person": np.array([one_one])}, options[None])
    assert probs.tolist() == [[[0.5, 0.5, 0.0]]]


def test_single_precision_options_give_what_their_decimals_give(flights, simulator):
    """.1 + .2 and .3 tie; in single precision they would not."""
    rng = np.random.default_rng(5)
    options, queries = simulator.options(rng, 4), simulator.options(rng, 50)
    choices = simulator.choose(rng, np.full(4, 100), options)
    exact = bb.predictive(flights, options, choices, queries)
    single = bb.predictive(flights, options.astype(np.float32), choices, queries.astype(np.float32))
    np.testing.assert_array_equal(single, exact)


def test_drawn_options_are_decimals_to_the_last_bit_outside_double_precision_too(flights):
    drawn = np.asarray(flights.draw(jax.random.key(0), 20))
    assert drawn.dtype == np.float64
    assert set(drawn[..., 0].ravel()) <= {step / 10 for step in range(11)}


# --- properties -----------------------------------------------------------------------------------

tenths, halves = st.integers(0, 10).map(lambda n: n / 10), st.integers(0, 2).map(lambda n: n / 2)
option = st.tuples(tenths, tenths, halves, tenths)
option_set = st.tuples(option, option, option)


@st.composite
def histories(draw):
    """A person's rounds on the grid, and their choices, each one of their best options: float[n, 3, 4], int[n]."""
    sets = np.array(draw(st.lists(option_set, min_size=(n := draw(st.integers(0, 4))), max_size=n))).reshape(n, 3, 4)
    weights = np.array([w for w in product((-1, -0.5, 0, 0.5, 1), repeat=4) if any(w)][draw(st.integers(0, 623))])
    rewards = sets @ weights
    best = [np.flatnonzero(one >= one.max() - 1e-9) for one in rewards]
    return sets, np.array([draw(st.sampled_from(list(one))) for one in best], dtype=int)


@settings(max_examples=60, deadline=None)
@given(history=histories(), query=option_set)
def test_predictives_are_probabilities(flights, history, query):
    probs = bb.predictive(flights, *history, np.array([query]))
    assert (probs >= 0).all()
    assert probs.sum() == pytest.approx(1, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(history=histories(), query=option_set, order=st.permutations(range(3)), shuffles=st.randoms())
def test_permuting_options_permutes_the_answer(flights, history, query, order, shuffles):
    options, choices = history
    query = np.array([query])
    probs = bb.predictive(flights, options, choices, query)
    np.testing.assert_allclose(bb.predictive(flights, options, choices, query[:, order]), probs[:, order], atol=1e-12)
    # Shuffling what was shown, with the choice following its option, teaches the same.
    orders = [shuffles.sample(range(3), 3) for _ in choices]
    moved = np.array([one[at] for one, at in zip(options, orders, strict=True)]).reshape(options.shape)
    followed = np.array([at.index(choice) for at, choice in zip(orders, choices, strict=True)], dtype=int)
    np.testing.assert_allclose(bb.predictive(flights, moved, followed, query), probs, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(history=histories(), shuffles=st.randoms())
def test_the_order_of_rounds_does_not_matter(flights, history, shuffles):
    options, choices = history
    order = np.array(shuffles.sample(range(len(choices)), len(choices)), dtype=int)
    np.testing.assert_allclose(
        bb.posterior(flights, options[order], choices[order]), bb.posterior(flights, *history), atol=1e-12
    )


@settings(max_examples=30, deadline=None)
@given(history=histories(), query=option_set)
def test_the_predictive_is_the_posterior_mean_of_what_people_do(flights, people, simulator, history, query):
    best = simulator.best(np.arange(624), np.broadcast_to(query, (624, 3, 4)))
    expected = bb.posterior(flights, *history) @ (best / best.sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(bb.predictive(flights, *history, np.array([query]))[0], expected, atol=1e-12)
