"""Choice rules by hand, and the noise sweep: a right noise model never falls below chance and stays calibrated."""

import jax
import numpy as np
import pytest

import beliefbench as bb
from beliefbench.choice_models.rules import ChoiceRule
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol


def probs(rule: ChoiceRule, *reward: float) -> list[float]:
    with jax.enable_x64(True):
        return np.asarray(rule.probs(jax.numpy.asarray(reward))).round(12).tolist()


def test_best_option_with_ties_broken_uniformly():
    assert probs(ChoiceRule(), 0.3, 0.1, 0.2) == [1, 0, 0]
    assert probs(ChoiceRule(), 0.1 + 0.2, 0.3, 0.2) == [0.5, 0.5, 0]
    assert probs(ChoiceRule(), 0.5, 0.5, 0.5) == pytest.approx([1 / 3] * 3)


def test_softmax():
    weights = np.exp([2.0, 1.0, 0.0])
    assert probs(ChoiceRule(temperature=0.5), 1.0, 0.5, 0.0) == pytest.approx(weights / weights.sum())


def test_a_lapse_to_any_option_is_shared_by_all():
    assert probs(ChoiceRule(lapse=0.3), 1.0, 0.5, 0.0) == pytest.approx([0.8, 0.1, 0.1])


def test_a_lapse_to_the_others_leaves_the_best():
    other = ChoiceRule(lapse=0.3, lapse_to="other")
    assert probs(other, 1.0, 0.5, 0.0) == pytest.approx([0.7, 0.15, 0.15])
    assert probs(other, 1.0, 1.0, 0.0) == pytest.approx([0.35, 0.35, 0.3])
    assert probs(other, 1.0, 1.0, 1.0) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lapse": 1.5}, "from 0 to 1; got 1.5"),
        ({"temperature": -1.0}, "0 or more; got -1.0"),
        ({"temperature": float("nan")}, "0 or more; got nan"),
        ({"lapse_to": "best"}, "'any' option or to the 'other' ones; got 'best'"),
    ],
)
def test_rules_that_are_none_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        ChoiceRule(**settings)


def test_a_spec_sets_the_rules_of_assistant_and_users_apart():
    domain = bb.load_domain("flights,lapse=0.1,user_lapse=0.4,user_lapse_to=other")
    assert domain.parameters["rule"] == {"temperature": 0.0, "lapse": 0.1, "lapse_to": "any"}
    assert domain.parameters["user_rule"] == {"temperature": 0.0, "lapse": 0.4, "lapse_to": "other"}
    assert domain.name == "flights,lapse=0.1,user_lapse=0.4,user_lapse_to=other"


@pytest.mark.parametrize(
    "spec", ["flights,noise=0.2", "flights,lapse=2", "flights,lapse=lots", "flights:4", "flights,"]
)
def test_a_wrong_domain_spec_is_one_sentence(spec):
    with pytest.raises(bb.UsageError, match=r"^domain '"):
        bb.load_domain(spec)


def test_users_lapse_as_often_as_told(people):
    """All 624 people, 40 rounds; the declared failure rate of the binomial bound (4.5 standard errors) is 7e-6."""
    episodes = Episodes(
        bb.load_domain("flights,user_lapse=0.25,user_lapse_to=other"), Protocol(624, rounds=40, heldout=1)
    )
    reward = np.einsum("urkf,uf->urk", episodes.options, people[episodes.users])
    best = reward >= reward.max(axis=-1, keepdims=True) - 1e-9
    lapsed = ~np.take_along_axis(best, episodes.chosen[..., None], axis=-1)[..., 0]
    able = ~best.all(axis=-1)  # a person to whom all options are best cannot lapse
    error = np.sqrt(0.25 * 0.75 / able.sum())
    assert abs(lapsed[able].mean() - 0.25) < 4.5 * error


def test_a_lapse_holds_for_the_model_and_the_users_and_with_user_before_it_for_the_users_alone():
    def rules(spec):
        parameters = bb.load_domain(f"flights-2,{spec}").parameters
        return parameters["rule"]["lapse"], parameters["user_rule"]["lapse"]

    assert rules("lapse=0.2") == (0.2, 0.2)
    assert rules("user_lapse=0.4") == (0.0, 0.4)
    assert rules("lapse=0.2,user_lapse=0.4") == (0.2, 0.4)
    assert rules("lapse=0.2,user_lapse=0") == (0.2, 0.0)
