"""The environment with exact rewards, against the suite's own posterior predictive."""

from __future__ import annotations

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.language.replies.alternatives import options_of
from beliefbench.teaching.environment import WORST, Environment, questions, reward_of
from beliefbench.teaching.interactions import TeachingTask, lessons

SENTENCES = options_of("Flight").sentences


def stated(*probs: float) -> str:
    return "{" + ", ".join(f'"Flight {at}": {one}' for at, one in enumerate(probs, 1)) + "}"


@pytest.mark.parametrize("name", ["flights-2", "hotels", "webshop-backpacks"])
def test_rewards_are_the_exact_predictive_of_what_was_seen(name):
    domain = bb.load_domain(name)
    environment = Environment(domain, rounds=3)
    labels = options_of(domain.item).sentences
    for seed in (0, 7, 99):
        environment.reset(seed)
        options, chosen, _ = (values[environment._place] for values in environment._drawn)
        for round_ in range(3):
            exact = bb.predictive(
                domain, options[:round_], chosen[:round_], options[round_ : round_ + 1], on_contradiction="ignore"
            )[0]
            assert environment.asked().exact == pytest.approx(exact, abs=1e-12)
            pick = (seed + round_) % 3
            step = environment.step(labels[pick])
            assert step.reward == pytest.approx(exact[pick], abs=1e-12)
            assert step.done == (round_ == 2)
            told = f"I prefer {domain.item} {chosen[round_] + 1}."
            assert step.done or (told in step.observation) == (pick != chosen[round_])


def test_it_is_the_same_for_the_same_seed_and_another_for_another():
    one, other = (Environment(bb.load_domain("flights-2")) for _ in range(2))
    assert one.reset(5) == other.reset(5)
    assert one.step(SENTENCES[0]) == other.step(SENTENCES[0])
    assert len({one.reset(seed) for seed in range(30)}) > 25


def test_users_rewards_are_draws_whose_mean_is_the_exact_reward():
    """Over 3,000 questions, the mean of either reward of option 1: 5 standard errors apart at 1 seed in 10^6."""
    exact, users = [], []
    environment = Environment(bb.load_domain("flights"), "exact", rounds=3)
    for asked in questions(environment, 1000):
        exact.append(reward_of(SENTENCES[0], "Flight", asked.exact, asked.chosen))
        users.append(reward_of(SENTENCES[0], "Flight", asked.exact, asked.chosen, "user"))
    assert set(users) == {0.0, 1.0}
    difference = np.array(users) - np.array(exact)
    assert abs(difference.mean()) < 5 * difference.std() / len(difference) ** 0.5


def test_the_exact_distribution_has_the_largest_expected_reward_of_both_kinds():
    exact = np.array([0.2, 0.5, 0.3])
    rng = np.random.default_rng(0)
    best = reward_of(stated(*exact), "Flight", exact, 0, form="stated")
    expected = sum(exact[one] * reward_of(stated(*exact), "Flight", exact, one, "user", "stated") for one in range(3))
    assert best == pytest.approx(0, abs=1e-9)
    for _ in range(100):
        other = rng.dirichlet(np.ones(3)).round(6)
        assert reward_of(stated(*other), "Flight", exact, 0, form="stated") < best + 1e-9
        assert (
            sum(exact[one] * reward_of(stated(*other), "Flight", exact, one, "user", "stated") for one in range(3))
            < expected + 1e-9
        )


@pytest.mark.parametrize(
    "text", ["", "I do not know.", "Flight 1 or Flight 2?", "The best option is Flight 7.", "x" * 10_000]
)
def test_an_unusable_reply_has_the_least_reward_and_the_interaction_goes_on(text):
    environment = Environment(bb.load_domain("flights-2"), rounds=2)
    environment.reset(0)
    step = environment.step(text)
    assert (step.reward, step.option, step.done) == (0.0, -1, False)
    assert "I prefer Flight" in step.observation
    assert reward_of(text, "Flight", [0.2, 0.5, 0.3], 1, form="stated") == WORST


def test_its_draws_are_not_those_of_runs_and_lessons():
    domain = bb.load_domain("flights-2")
    environment = Environment(domain)
    environment.reset(0)
    mine = {one.tobytes() for one in environment._drawn[0].reshape(-1, 3, 2)}
    episodes = bb.Episodes(domain, bb.Protocol.of(domain, users=24, heldout=100))
    (lesson,) = lessons(TeachingTask(domain, interactions=1))
    for other in (episodes.options, lesson.options):
        shared = np.mean([one.tobytes() in mine for one in other.reshape(-1, 3, 2)])
        assert shared < 0.05  # sets of two features meet by chance


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"reward": "money"}, "reward = money; expected exact or user."),
        ({"form": "song"}, "form = song; expected sentence or stated."),
        ({"rounds": 0}, "rounds = 0; expected 1 to 1,000."),
    ],
)
def test_settings_out_of_range_are_refused(settings, said):
    with pytest.raises(bb.UsageError, match=said):
        Environment(bb.load_domain("flights-2"), **settings)


def test_it_is_begun_before_it_is_asked():
    environment = Environment(bb.load_domain("flights-2"), rounds=1)
    with pytest.raises(bb.UsageError, match=r"call reset\(seed\) first"):
        environment.step("x")
    environment.reset(0)
    environment.step("x")
    with pytest.raises(bb.UsageError, match="is over"):
        environment.step("x")
    with pytest.raises(bb.UsageError, match="seed = -1"):
        environment.reset(-1)


def test_plugins_and_noisy_users_have_rewards_too(make_coins):
    environment = Environment(make_coins("coins-of-a-plugin", hit=0.8), rounds=2)
    environment.reset(3)
    assert 0 < environment.step("The best option is Coin 1.").reward < 1
