"""Exact inference against cases worked by hand, an independent NumPy enumeration, and what holds of any posterior."""

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
from beliefbench.exact import inference, latents

HIGH_TO_LOW = np.array([[1.0], [0.5], [0.0]])
LOW_TO_HIGH = np.array([[0.0], [0.5], [1.0]])

# --- two people, by hand --------------------------------------------------------------------------
#
# Person 0 (prior 3/4) likes shine, person 1 (prior 1/4) dislikes it; each names the favourite with 8/10, any other
# option with 1/10. Options are shown from the lowest shine to the highest.


def test_prior_predictive_by_hand(coins):
    # P(lowest) = 3/4 * 1/10 + 1/4 * 8/10 = 11/40; P(middle) = 1/10 = 4/40;
    # P(highest) = 3/4 * 8/10 + 1/4 * 1/10 = 25/40.
    probs = bb.predictive(coins, np.empty((0, 3, 1)), np.empty(0, int), LOW_TO_HIGH[None])
    np.testing.assert_allclose(probs, [[11 / 40, 4 / 40, 25 / 40]], atol=1e-12)


def test_posterior_and_predictive_after_a_round_by_hand(coins):
    # The lowest was wanted: joint 3/4 * 1/10 = 3/40 and 1/4 * 8/10 = 8/40, so the posterior is 3/11, 8/11.
    seen = LOW_TO_HIGH[None], np.array([0])
    np.testing.assert_allclose(bb.posterior(coins, *seen), [3 / 11, 8 / 11], atol=1e-12)
    # P(lowest) = 3/11 * 1/10 + 8/11 * 8/10 = 67/110; P(middle) = 11/110;
    # P(highest) = 3/11 * 8/10 + 8/11 * 1/10 = 32/110.
    probs = bb.predictive(coins, *seen, np.stack([LOW_TO_HIGH, HIGH_TO_LOW]))
    np.testing.assert_allclose(probs, np.array([[67, 11, 32], [32, 11, 67]]) / 110, atol=1e-12)


def test_posterior_after_two_rounds_by_hand(coins):
    # The lowest, then the highest: 3/4 * 1/10 * 8/10 and 1/4 * 8/10 * 1/10, 3 to 1 again. The middle says nothing.
    options = np.stack([LOW_TO_HIGH, HIGH_TO_LOW, LOW_TO_HIGH])
    np.testing.assert_allclose(bb.posterior(coins, options, np.array([0, 0, 1])), [3 / 4, 1 / 4], atol=1e-12)


def test_expected_reward_by_hand(coins):
    # After the lowest was wanted: E[sign] = 3/11 - 8/11 = -5/11, times the shine.
    rewards = bb.expected_rewards(coins, LOW_TO_HIGH[None, None], np.array([[0]]), LOW_TO_HIGH[None])
    np.testing.assert_allclose(rewards, [[[0, -5 / 22, -5 / 11]]], atol=1e-12)


def test_two_hundred_rounds_do_not_underflow(coins):
    # 130 times the highest and 70 times the lowest: the likelihoods are about 1e-100, their odds 3 * 8**60.
    chosen = np.array([2] * 130 + [0] * 70)
    options = np.broadcast_to(LOW_TO_HIGH, (200, 3, 1))
    posterior = bb.posterior(coins, options, chosen)
    assert posterior[1] == pytest.approx(1 / (3 * 8.0**60), rel=1e-9)
    # 100 of each: the prior comes back.
    balanced = np.array([0, 2] * 100)
    np.testing.assert_allclose(bb.posterior(coins, options, balanced), [3 / 4, 1 / 4], rtol=1e-9)
    probs = bb.predictive(coins, options, balanced, LOW_TO_HIGH[None])
    np.testing.assert_allclose(probs, [[11 / 40, 4 / 40, 25 / 40]], rtol=1e-9)
    # A thousand rounds: each likelihood is below 1e-700, beyond the range of float64.
    long = np.broadcast_to(LOW_TO_HIGH, (1000, 3, 1)), np.tile([0, 2, 1, 1], 250)
    np.testing.assert_allclose(bb.posterior(coins, *long), [3 / 4, 1 / 4], rtol=1e-9)


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


# --- contradictions -------------------------------------------------------------------------------

CONTRADICTORY = np.stack([LOW_TO_HIGH] * 4), np.array([2, 2, 0, 2])  # the highest, and the lowest in round 3


def test_a_contradiction_names_the_round(sure_coins):
    with pytest.raises(bb.ContradictionError, match=r"round 3: .*option 1"):
        bb.posterior(sure_coins, *CONTRADICTORY)
    with pytest.raises(bb.ContradictionError, match=r"round 3: .*option 1"):
        bb.predictive(sure_coins, *CONTRADICTORY, LOW_TO_HIGH[None])
    with pytest.raises(bb.ContradictionError, match=r"round 1: .*option 2"):  # nobody wants the middle
        bb.posterior(sure_coins, LOW_TO_HIGH[None], np.array([1]))


def test_a_contradiction_names_the_user_where_there_are_several(sure_coins):
    options = np.broadcast_to(LOW_TO_HIGH, (3, 2, 3, 1))
    with pytest.raises(bb.ContradictionError, match=r"round 2 of user 1\b"):
        bb.predictives(sure_coins, options, np.array([[2, 2], [0, 2], [0, 0]]), LOW_TO_HIGH[None])


def test_ignoring_a_contradiction_equals_leaving_its_round_out(sure_coins):
    options, choices = CONTRADICTORY
    kept = np.array([0, 1, 3])
    queries = np.stack([LOW_TO_HIGH, HIGH_TO_LOW])
    ignoring = bb.predictive(sure_coins, options, choices, queries, on_contradiction="ignore")
    np.testing.assert_array_equal(ignoring, bb.predictive(sure_coins, options[kept], choices[kept], queries))
    np.testing.assert_array_equal(ignoring, [[0, 0, 1], [1, 0, 0]])
    assert bb.posterior(sure_coins, options, choices, on_contradiction="ignore").tolist() == [1, 0]


@settings(max_examples=30, deadline=None)
@given(choices=st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_ignoring_contradictions_never_gives_nan(sure_coins, choices):
    # By hand: rounds are taken in turn; the middle is left out, and so is what differs from the first that was kept.
    kept, likes = [], None
    for at, choice in enumerate(choices):
        if choice != 1 and likes in (None, choice):
            kept, likes = [*kept, at], choice
    options, chosen = np.stack([LOW_TO_HIGH] * 4), np.array(choices)
    stages = bb.predictives(
        sure_coins, options[None], chosen[None], LOW_TO_HIGH[None], stages="all", on_contradiction="ignore"
    )[0, :, 0]
    for stage, probs in enumerate(stages):
        before = [at for at in kept if at < stage]
        expected = [0.25, 0, 0.75] if not before else [1, 0, 0] if choices[before[0]] == 0 else [0, 0, 1]
        np.testing.assert_allclose(probs, expected, atol=1e-12)


def test_a_contradiction_of_one_user_leaves_the_others_alone(sure_coins):
    options = np.broadcast_to(LOW_TO_HIGH, (2, 2, 3, 1))
    probs = bb.predictives(
        sure_coins, options, np.array([[1, 0], [2, 2]]), LOW_TO_HIGH[None], on_contradiction="ignore"
    )
    np.testing.assert_allclose(probs[:, 0, 0], [[1, 0, 0], [0, 0, 1]], atol=1e-12)


# --- too large ------------------------------------------------------------------------------------


def test_a_call_beyond_the_memory_budget_is_refused_with_size_and_limit(flights, monkeypatch):
    monkeypatch.setattr(latents, "MEMORY_BUDGET", 2**10)
    with pytest.raises(bb.TooLargeError, match=r"flights has 624 hypotheses.*limit is"):
        bb.posterior(flights, np.empty((0, 3, 4)), np.empty(0, int))
    with pytest.raises(bb.TooLargeError, match=r"flights has 624 hypotheses.*limit is"):
        bb.predictive(flights, np.empty((0, 3, 4)), np.empty(0, int), np.zeros((1, 3, 4)))


def switches(count: int) -> bb.Domain:
    """People who like or dislike each of ``count`` features: 2**count hypotheses."""

    def model(options, choices=None):
        likes = numpyro.sample("likes", dist.Bernoulli(0.5).expand([count]))
        numpyro.sample("choice", dist.Categorical(logits=options @ (2.0 * likes - 1)), obs=choices)

    features = tuple(bb.Feature(f"f{n}", f"f{n}", (0.0, 1.0), str) for n in range(count))
    return bb.Domain(f"switches-{count}", "1", "Switch", features, model, None, describe_features(features))


def test_a_domain_of_a_trillion_hypotheses_is_refused_before_any_work(monkeypatch):
    def begun(*_):
        pytest.fail("it began to visit a trillion hypotheses")

    monkeypatch.setattr(inference, "sweep", begun)
    domain = switches(40)
    nothing = np.empty((0, 3, 40)), np.empty(0, int)
    with pytest.raises(bb.TooLargeError, match=r"1,099,511,627,776 hypotheses.*limit is 4 GiB"):
        bb.posterior(domain, *nothing)
    with pytest.raises(bb.TooLargeError, match=r"1,099,511,627,776 hypotheses.*limit is"):
        bb.predictive(domain, *nothing, np.zeros((1, 3, 40)))


def test_too_many_candidate_weights_are_refused():
    features = tuple(bb.Feature(f"f{n}", f"f{n}", (0.0, 1.0), str) for n in range(20))
    wide = bb.linear_choice("wide", version="1", item="Thing", features=features)
    with pytest.raises(bb.TooLargeError, match=r"wide has 95,367,431,640,624 hypotheses.*limit is 4 GiB"):
        bb.posterior(wide, np.empty((0, 3, 20)), np.empty(0, int))


# --- many users -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crowd(simulator):
    """All 624 people: rounds of their own, and queries that all share and queries of their own."""
    rng = np.random.default_rng(7)
    options = simulator.options(rng, 624, 3)
    chosen = simulator.choose(rng, np.arange(624)[:, None], options)
    return options, chosen, simulator.options(rng, 5), simulator.options(rng, 624, 2)


@pytest.mark.parametrize("shard", [1, 7, 64])
def test_a_users_numbers_are_the_same_bits_in_any_shard(flights, crowd, shard):
    options, chosen, shared, own = crowd
    mixed = np.concatenate([np.broadcast_to(shared, (624, *shared.shape)), own], axis=1)
    for queries in (shared, own, mixed):
        together = bb.predictives(flights, options, chosen, queries)
        for at in list(range(0, 624, shard))[:: max(1, 60 // shard)]:
            part = slice(at, at + shard)
            alone = bb.predictives(
                flights, options[part], chosen[part], queries if queries is shared else queries[part]
            )
            np.testing.assert_array_equal(alone, together[part])


def test_rewards_are_the_same_bits_in_any_shard(flights, crowd):
    options, chosen, shared, _ = crowd
    together = bb.expected_rewards(flights, options, chosen, shared)
    np.testing.assert_array_equal(bb.expected_rewards(flights, options[5:12], chosen[5:12], shared), together[5:12])


def test_all_stages_at_once_agree_with_each_stage_alone(flights, crowd):
    options, chosen, shared, own = crowd
    for queries in (shared, own):
        every = bb.predictives(flights, options, chosen, queries, stages="all")
        for stage in range(4):
            last = bb.predictives(flights, options[:, :stage], chosen[:, :stage], queries)
            np.testing.assert_allclose(every[:, stage], last[:, 0], atol=1e-12)


def test_own_and_shared_queries_come_back_in_their_order(flights, crowd):
    options, chosen, shared, own = (part[:3] for part in crowd)
    everyone = np.broadcast_to(shared, (3, *shared.shape))
    mixed = np.concatenate([everyone[:, :1], own[:, :1], everyone[:, 1:], own[:, 1:]], axis=1)
    together = bb.predictives(flights, options, chosen, mixed)
    for user in range(3):
        alone = bb.predictive(flights, options[user], chosen[user], mixed[user])
        np.testing.assert_allclose(together[user, 0], alone, atol=1e-12)


def test_no_users_and_no_queries_are_answered(flights):
    assert bb.predictives(flights, np.empty((0, 2, 3, 4)), np.empty((0, 2)), np.zeros((5, 3, 4))).shape == (
        0,
        1,
        5,
        3,
    )
    nothing = np.empty((0, 3, 4)), np.empty(0, int)
    assert bb.predictive(flights, *nothing, np.empty((0, 3, 4))).shape == (0, 3)


# --- wrong calls ----------------------------------------------------------------------------------


def with_model(flights: bb.Domain, model) -> bb.Domain:
    return bb.Domain("broken", "1", "Thing", flights.features, model, flights.draw, flights.describe)


def test_a_continuous_latent_site_is_named(flights):
    def model(options, choices=None):
        weights = numpyro.sample("weights", dist.Normal(0, 1).expand([4]))
        numpyro.sample("choice", dist.Categorical(logits=options @ weights), obs=choices)

    with pytest.raises(bb.BeliefBenchError, match=r"broken: latent site 'weights' \(.*not discrete"):
        bb.posterior(with_model(flights, model), np.empty((0, 3, 4)), np.empty(0, int))


def test_an_unbounded_latent_site_is_named(flights):
    def model(options, choices=None):
        count = numpyro.sample("count", dist.Poisson(3.0))
        numpyro.sample("choice", dist.Categorical(logits=count * options[..., 0]), obs=choices)

    with pytest.raises(bb.BeliefBenchError, match=r"latent site 'count'"):
        bb.posterior(with_model(flights, model), np.empty((0, 3, 4)), np.empty(0, int))


def test_a_model_without_choices_is_named(flights):
    def model(options, choices=None):
        numpyro.sample("person", dist.Bernoulli(0.5))

    with pytest.raises(bb.BeliefBenchError, match=r"broken: .*no observed site 'choice'"):
        bb.posterior(with_model(flights, model), np.empty((0, 3, 4)), np.empty(0, int))


def test_a_reward_that_the_model_does_not_record_is_asked_for(mixed):
    with pytest.raises(ValueError, match=r"no 'reward' site"):
        bb.expected_rewards(mixed, np.empty((1, 0, 3, 2)), np.empty((1, 0), int), np.zeros((1, 3, 2)))


@pytest.mark.parametrize(
    ("options", "choices", "queries", "says"),
    [
        (np.zeros((2, 3, 5)), [0, 1], np.zeros((1, 3, 4)), r"options of flights are .*3, 4.*\(2, 3, 5\)"),
        (np.zeros((2, 4, 4)), [0, 1], np.zeros((1, 3, 4)), r"options of flights are .*\(2, 4, 4\)"),
        (np.zeros((3, 4)), [0], np.zeros((1, 3, 4)), r"options of flights are .*\(3, 4\)"),
        (np.zeros((2, 3, 4)), [0], np.zeros((1, 3, 4)), r"2 rounds of options need as many choices"),
        (np.zeros((2, 3, 4)), [0, 3], np.zeros((1, 3, 4)), r"choices are 0, 1 or 2; got values from 0 to 3"),
        (np.zeros((2, 3, 4)), [-1, 0], np.zeros((1, 3, 4)), r"choices are 0, 1 or 2; got values from -1"),
        (np.zeros((2, 3, 4)), [0, 0], np.zeros((3, 4)), r"queries of flights are .*\(3, 4\)"),
        (np.zeros((2, 3, 4)), [0, 0], np.zeros((1, 3, 2)), r"queries of flights are .*\(1, 3, 2\)"),
        (np.zeros((2, 3, 4)), [0.5, 1.7], np.zeros((1, 3, 4)), r"choices"),
        (np.full((1, 3, 4), np.nan), [0], np.zeros((1, 3, 4)), r"options.*(finite|NaN|nan)"),
        (np.zeros((1, 3, 4)), [0], np.full((1, 3, 4), np.nan), r"queries.*(finite|NaN|nan)"),
    ],
)
def test_wrong_arrays_are_refused_with_what_was_expected(flights, options, choices, queries, says):
    with pytest.raises(ValueError, match=says):
        bb.predictive(flights, options, np.array(choices), queries)


def test_an_unknown_fallback_is_refused_whether_or_not_it_is_needed(flights):
    nothing = np.empty((0, 3, 4)), np.empty(0, int)
    with pytest.raises(ValueError, match="on_contradiction"):
        bb.posterior(flights, *nothing, on_contradiction="skip")
    with pytest.raises(ValueError, match="on_contradiction"):
        bb.predictive(flights, *nothing, np.zeros((1, 3, 4)), on_contradiction="skip")


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
