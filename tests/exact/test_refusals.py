"""Exact inference refuses what is too large or wrong, and says what it expected."""

import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import beliefbench as bb
from beliefbench.choice_models.linear import PAPER_WEIGHTS, weights_of
from beliefbench.domain import describe_features
from beliefbench.exact import inference, latents
from beliefbench.exact.latents import too_large

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


COIN = bb.Feature("coin", "coin", (0.0, 1.0), str)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"features": ()}, r"coins needs one feature or more, each with a name of its own; got \[\]"),
        ({"features": (COIN, COIN)}, r"each with a name of its own; got \['coin', 'coin'\]"),
        ({"item": " "}, "the item of coins is some text; got ' '"),
        ({"version": 1}, "the version of coins is some text; got 1"),
    ],
    ids=["no feature", "one name twice", "no item", "a version that is a number"],
)
def test_a_linear_choice_domain_that_cannot_be_is_refused_in_a_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        bb.linear_choice(**{"name": "coins", "version": "1", "item": "Coin", "features": (COIN,)} | wrong)


def test_values_between_those_of_the_grid_are_taken_as_they_are(flights):
    """People may compare options that no simulation draws; equal rewards tie, and others do not."""
    options = np.full((1, 3, 4), 0.25)
    options[0, 0, 0] = 0.26
    found = bb.posterior(flights, options, np.array([0]))
    weights = np.asarray(weights_of(np.arange(len(found)), 4, PAPER_WEIGHTS))
    assert found[weights[:, 0] < 0].max() == 0
    assert found[weights[:, 0] > 0].min() > found[weights[:, 0] == 0].max() > 0


def test_a_call_that_does_not_fit_says_how_much_it_takes_in_gib():
    error = too_large("wide", 1_234_567, "its table takes", 5_368_709_120, "ask for less")
    assert str(error) == "wide has 1,234,567 hypotheses: its table takes 5.0 GiB, and the limit is 4 GiB; ask for less."
