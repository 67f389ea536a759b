"""The PyMC cross-check: it passes what agrees, and catches what does not."""

import sys
from functools import partial

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import beliefbench as bb
from beliefbench.checking import cross_check as cross_checks
from beliefbench.checking.cross_check import (
    DRAWS,
    compare_log_joint,
    compare_sampling,
    cross_check,
    simulated_histories,
)
from beliefbench.checking.results import CheckFailedError, Evidence, run_check

pm = pytest.importorskip("pymc")

FEW = 2_000  # draws a chain: enough where there are two hypotheses


def coin_pymc(options, choices, prior=0.75, hit=0.8, latent="person"):
    """The coins of the shared fixtures, written again for PyMC."""
    shine = np.asarray(options)[..., 0]
    favourites = np.stack([np.eye(3)[shine.argmax(axis=-1)], np.eye(3)[shine.argmin(axis=-1)]])
    probs = np.where(favourites == 1, hit, (1 - hit) / 2)
    with pm.Model() as model:
        person = pm.Categorical(latent, p=np.array([prior, 1 - prior]))
        pm.Categorical("choice", p=pm.math.stack(list(probs))[person], observed=choices)
    return model


def failure(compare, domain, history, *rest):
    """Return the sentence of a comparison that fails."""
    with pytest.raises(CheckFailedError) as broken:
        compare(domain, *history, 0, *rest)
    return str(broken.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "points", "draws"),
    [
        pytest.param("flights-3", 124, 2 * FEW, marks=pytest.mark.reference),
        pytest.param("flights-3", 124, DRAWS, marks=pytest.mark.reference),
        pytest.param("flights", 624, DRAWS, marks=pytest.mark.reference),
    ],
)
def test_flights_agree_with_pymc(monkeypatch, record_property, name, points, draws, draw_seed):
    monkeypatch.setattr(cross_checks, "compare_sampling", partial(compare_sampling, draws=draws))
    found = cross_check(bb.load_domain(name), seed=draw_seed)
    assert [result for result in found.findings if not result.passed] == []
    assert [result.numbers.get("points") for result in found.findings] == [points, points, points, None]
    assert min(result.numbers.get("at_minus_infinity", np.inf) for result in found.findings) > points / 2
    sampled = found.findings[-1].numbers
    record_property("max |z|, and its bound", (round(sampled["max_abs_z"], 2), round(sampled["z_bound"], 2)))
    assert sampled["posterior_mass_visited"] > 0.999
    assert sampled["hypotheses_due"] >= 10
    again = Evidence.model_validate_json(found.model_dump_json(indent=2))
    assert again == found
    assert again.passed
    assert set(again.versions) >= {"pymc", "pytensor", "numpyro", "jax", "arviz-stats"}


@pytest.mark.reference
def test_a_tie_that_goes_to_the_first_option_is_caught():
    flights = bb.load_domain("flights-3")

    def to_the_first(options, choices):
        with pm.Model() as model:
            person = pm.Categorical("person", p=np.full(124, 1 / 124))
            people = np.array([w for w in np.ndindex(5, 5, 5) if w != (2, 2, 2)]) / 2 - 1
            reward = (np.asarray(options) * pm.math.stack(list(people))[person]).sum(axis=-1)
            first = pm.math.eq(reward.argmax(axis=-1)[:, None], np.arange(3)[None])
            pm.Categorical("choice", p=first.astype("float64"), observed=choices)
        return model

    wrong = domain_like(flights, pymc_model=to_the_first)
    sentences = [failure(compare_log_joint, wrong, history) for history in simulated_histories(flights, seed=0)[1:]]
    assert "of 124 hypotheses are possible in one model alone" in sentences[0]


def domain_like(domain, **changes):
    fields = ("name", "version", "item", "features", "model", "draw", "describe")
    return bb.Domain(**({name: getattr(domain, name) for name in fields} | changes))


@pytest.fixture
def history(coins):
    return simulated_histories(coins, seed=0)[1]


def test_the_same_model_passes(coins, history):
    right = domain_like(coins, pymc_model=coin_pymc)
    told, numbers = compare_log_joint(right, *history, 0)
    assert told.startswith("the same for 2 hypotheses, 0 of them impossible")
    assert numbers["max_abs_difference"] < 1e-12
    _, numbers = compare_sampling(right, *history, 0, FEW)
    assert numbers["posterior_mass_visited"] == pytest.approx(1)
    assert numbers["max_abs_z"] < numbers["z_bound"]


@pytest.mark.parametrize(
    ("slip", "draws"),
    [
        pytest.param({"prior": 0.5}, FEW, marks=pytest.mark.reference),
        ({"hit": 0.6}, FEW),
        pytest.param({"prior": 0.7}, 5 * FEW, marks=pytest.mark.reference),
        pytest.param({"hit": 0.75}, 5 * FEW, marks=pytest.mark.reference),
    ],
)
def test_a_slip_in_the_model_is_caught_twice(coins, history, slip, draws):
    wrong = domain_like(coins, pymc_model=partial(coin_pymc, **slip))
    assert "log joints differ by up to" in failure(compare_log_joint, wrong, history)
    assert "Monte Carlo standard errors from the exact one" in failure(compare_sampling, wrong, history, draws)


def test_latent_sites_of_other_names_are_told(coins, history):
    wrong = domain_like(coins, pymc_model=partial(coin_pymc, latent="who"))
    sentence = "pymc_model has the latent sites who; expected person."
    assert failure(compare_log_joint, wrong, history) == sentence


def test_a_domain_without_a_pymc_model_is_no_failure(coins):
    found = cross_check(coins)
    assert found.passed
    assert found.findings == ()
    assert found.left_out == ("coins has no pymc_model: exact inference was not compared with PyMC.",)


def test_without_pymc_what_is_left_out_says_how_to_install_it(flights, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymc", None)
    found = cross_check(flights)
    (sentence,) = found.left_out
    assert sentence.startswith("exact inference was not compared with PyMC: PyMC cannot be imported (")
    assert sentence.endswith("; pip install pymc")
    assert (found.passed, found.findings) == (True, ())


def agreeing_pair(options, choices=None):
    """Two sites that must agree once round 1 is seen: from (0, 0) to (1, 1) no site can move alone."""
    one = numpyro.sample("one", dist.Bernoulli(0.5))
    other = numpyro.sample("other", dist.Bernoulli(0.5))
    sure = jnp.array([1.0, 0.0, 0.0])
    by_one = jnp.where(one == 1, sure, sure[::-1])
    tells_apart = options[:, 0, 0] > 0
    probs = jnp.where(tells_apart[:, None], by_one, jnp.where(one == other, sure, sure[::-1]))
    numpyro.sample("choice", dist.Categorical(probs=probs), obs=choices)


def agreeing_pair_pymc(options, choices):
    tells_apart = np.asarray(options)[:, 0, 0] > 0
    with pm.Model() as model:
        one, other = pm.Bernoulli("one", 0.5), pm.Bernoulli("other", 0.5)
        first = pm.math.switch(tells_apart, pm.math.eq(one, 1), pm.math.eq(one, other))
        probs = pm.math.stack([first, pm.math.zeros_like(first), 1 - first], axis=-1)
        pm.Categorical("choice", p=probs.astype("float64"), observed=choices)
    return model


@pytest.mark.reference
def test_chains_that_cannot_cross_a_gap_in_the_support_are_caught(coins):
    torn = domain_like(coins, model=agreeing_pair, pymc_model=agreeing_pair_pymc)
    seen = np.zeros((1, 3, 1)), np.array([0])
    compare_log_joint(torn, *seen, 0)  # the models are the same: only the sampling is at fault
    result = run_check("sampling", lambda: compare_sampling(torn, *seen, 0, FEW))
    assert not result.passed
    assert "R-hat reaches" in result.detail
    assert "bulk ESS is as low as" in result.detail
