"""Every registered domain keeps its contract, and a domain that breaks it is told so in a sentence."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import beliefbench as bb
from beliefbench.checking.domain_contract import CHECKS, check_domain_contract
from beliefbench.checking.results import run_check
from beliefbench.plugins.names import names

# Of the web shopping categories, which differ in their data alone, one; larger flights, which differ in their number of
# features alone, among the reference tests.
DOMAINS = sorted({bb.load_suite(name)[0].name for name in names("domain")})
LARGER = ("flights", "flights-3", "flights-5", "flights-6", "flights-7", "flights-8")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.reference) if name in LARGER else name for name in DOMAINS]
)
def test_registered_domains_keep_the_contract(name):
    assert [result for result in check_domain_contract(bb.load_domain(name)) if not result.passed] == []


def model_of(scores, latent=dist.Bernoulli(0.5), told=None):  # noqa: B008
    """A model in which ``person`` chooses by the softmax of ``scores(person, options)``, and of what it is told."""

    def model(options, choices=None):
        person = numpyro.sample("person", latent)
        logits = scores(person, options)
        if told is not None and choices is not None:
            logits = told(logits, choices)
        numpyro.sample("choice", dist.Categorical(probs=jax.nn.softmax(logits)), obs=choices)

    return model


def by_shine(person, options):
    return (2.0 * person - 1) * options[..., 0]


def tilted(options, choices=None):
    numpyro.factor("tilt", 0.5)
    model_of(by_shine)(options, choices)


def unobserved(options, choices=None):
    numpyro.sample("person", dist.Bernoulli(0.5))


def one_for_all_rounds(options, choices=None):
    person = numpyro.sample("person", dist.Bernoulli(0.5))
    numpyro.sample(
        "choice", dist.Categorical(probs=jax.nn.softmax(by_shine(person, options).mean(axis=0))), obs=choices
    )


def thirds(sets, value=0.5):
    return jnp.full((sets, 3, 1), value)


def shuffled_grid(name):
    return (bb.Feature(name, name, (1.0, 0.0, 0.5), str),)


BROKEN_DOMAINS = {
    "no version": ({"version": ""}, "names", "version is ''; expected some text."),
    "a list of features": (
        {"features": []},
        "features",
        "features is []; expected a tuple of one beliefbench.Feature or more.",
    ),
    "a grid out of order": (
        {"features": shuffled_grid("shine")},
        "features",
        "the grid of shine is [1.0, 0.0, 0.5]; expected ascending numbers in [0, 1].",
    ),
    "not a number in its identity": ({"parameters": {"hit": float("nan")}}, "identity", "is nan; expected JSON"),
    "a dimension missing": (
        {"draw": lambda key, sets: jnp.zeros((sets, 3))},
        "draw",
        "draw(key, 8) gave shape (8, 3); expected (8, 3, 1).",
    ),
    "off the grid": (
        {"draw": lambda key, sets: thirds(sets, 0.3)},
        "draw",
        "draw gave shine = 0.3, which is not on its",
    ),
    "the same for every key": ({"draw": lambda key, sets: thirds(sets)}, "draw", "the same sets for two keys"),
    "drawn without the key": (
        {"draw": lambda key, sets: np.random.default_rng().integers(0, 3, (sets, 3, 1)) / 2},
        "draw",
        "draw gave other sets for the same key; it must depend on the key alone.",
    ),
    "drawn in NumPy": (
        {"draw": lambda key, sets: thirds(sets, 0.5 * (int(jax.random.key_data(key)[1]) % 3))},
        "draw",
        "raised ConcretizationTypeError",
    ),
    "all options read alike": (
        {"describe": lambda option: "a coin"},
        "describe",
        "describe gave 'a coin' both for [0.0] and for [0.5].",
    ),
    "no text": ({"describe": lambda option: " "}, "describe", "describe([0.0]) gave ' '; expected some text."),
    "a continuous latent": (
        {"model": model_of(by_shine, dist.Normal(0, 1))},
        "latent sites",
        "latent site 'person' (Normal) is not discrete with finitely many values",
    ),
    "nothing observed": ({"model": unobserved}, "latent sites", "its model has no observed site 'choice'."),
    "a prior that does not sum to 1": (
        {"model": tilted},
        "prior",
        "the prior over all hypotheses sums to 1.64872127; expected 1.",
    ),
    "one choice for all rounds": (
        {"model": one_for_all_rounds},
        "choice",
        "site 'choice' has shape [] for rounds = 1; expected [1].",
    ),
    "a fourth option": (
        {"model": model_of(lambda person, options: jnp.zeros((len(options), 4)))},
        "choice",
        "the probabilities of options 0, 1 and 2 sum to 0.75 for some set; expected 1.",
    ),
    "rounds that look at each other": (
        {"model": model_of(lambda person, options: by_shine(person, options * (1 + options[0, 0, 0])))},
        "rounds independent",
        "the choice from set 1 depends on the sets of other rounds.",
    ),
    "choices that look at each other": (
        {"model": model_of(by_shine, told=lambda logits, choices: logits * choices.mean())},
        "rounds independent",
        "the choice in a round depends on the choices that the model observes.",
    ),
    "a taste for the first": (
        {"model": model_of(lambda person, options: by_shine(person, options) + jnp.array([0.5, 0.0, 0.0]))},
        "options exchangeable",
        "the order of the options in a set changes a probability by",
    ),
    "users of another kind": (
        {"user_model": model_of(by_shine, dist.DiscreteUniform(0, 4))},
        "user model",
        "the latent sites of user_model (person) are not those of model (person) value for value.",
    ),
}


@pytest.mark.parametrize("case", BROKEN_DOMAINS)
def test_a_broken_domain_is_told_in_a_sentence(case, make_coins):
    changes, check, sentence = BROKEN_DOMAINS[case]
    domain = make_coins("broken", 0.8, **changes)
    with jax.enable_x64(True):
        result = run_check(check, partial(CHECKS[check], domain))
    assert not result.passed
    assert sentence in result.detail


def test_a_broken_member_hides_no_other_check(make_coins):
    findings = check_domain_contract(make_coins("broken", 0.8, model=None, describe=None, version=None))
    assert [result.check for result in findings] == list(CHECKS)
    assert [result.check for result in findings if result.passed] == ["features", "identity", "draw"]


def test_a_sound_domain_has_no_failing_finding(coins):
    assert all(result.passed for result in check_domain_contract(coins))


def test_an_error_that_many_checks_meet_is_told_once(make_coins):
    """Its model breaks wherever it is used."""

    def broken(options, choices=None):
        raise RuntimeError("the table of prices is missing")

    results = check_domain_contract(make_coins("broken", 0.8, model=broken, user_model=broken))
    details = {result.check: result.detail for result in results if not result.passed}
    assert sum("the table of prices is missing" in detail for detail in details.values()) == 1
    assert details["prior"] == details["choice"] == "fails like 'latent sites'."
