"""Who the users are, what they are shown and what they choose: the same for every agent, machine and amount asked."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

import beliefbench as bb
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol, population


@pytest.fixture(scope="module")
def everybody(flights) -> Episodes:
    return Episodes(flights, Protocol(users=624, rounds=5, heldout=100, seed=0))


def chosen_and_shown(episodes: Episodes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Who chose (as the paper numbers people), what, and from which set; a line for every choice of the benchmark."""
    heldout = np.broadcast_to(episodes.heldout, (len(episodes.users), *episodes.heldout.shape))
    shown = np.concatenate([episodes.options, heldout], axis=1)
    chosen = np.concatenate([episodes.chosen, episodes.truth], axis=1)
    who = np.repeat(episodes.users, shown.shape[1])
    return who, chosen.ravel(), shown.reshape(-1, 3, 4)


@pytest.mark.parametrize(
    "fewer", [Protocol(7, 2, 3), Protocol(1, 0, 100)], ids=["7 users, 2 rounds, 3 sets", "1 user, no rounds, all sets"]
)
def test_fewer_users_rounds_and_sets_are_the_first_of_more(flights, everybody, fewer):
    part = Episodes(flights, fewer)
    users, rounds, heldout = fewer.users, fewer.rounds, fewer.heldout
    np.testing.assert_array_equal(part.users, everybody.users[:users])
    np.testing.assert_array_equal(part.options, everybody.options[:users, :rounds])
    np.testing.assert_array_equal(part.chosen, everybody.chosen[:users, :rounds])
    np.testing.assert_array_equal(part.heldout, everybody.heldout[:heldout])
    np.testing.assert_array_equal(part.truth, everybody.truth[:users, :heldout])
    np.testing.assert_array_equal(part.latents["person"], everybody.latents["person"][:users])
    np.testing.assert_allclose(part.exact, everybody.exact[:users, : rounds + 1, :heldout], atol=1e-12)


def test_the_same_seed_draws_the_same_and_another_seed_does_not(flights, everybody):
    again = Episodes(flights, Protocol(624, 5, 100, seed=0))
    other = Episodes(flights, Protocol(624, 5, 100, seed=1))
    for part in ("users", "options", "chosen", "heldout", "truth"):
        np.testing.assert_array_equal(getattr(again, part), getattr(everybody, part))
        assert (getattr(other, part) != getattr(everybody, part)).any(), part
    # Not shifted by a user, a round or a set, either: hardly a set of one seed turns up at the other.
    sets = {one.tobytes() for one in everybody.options.reshape(-1, 12)}
    assert sum(one.tobytes() in sets for one in other.options.reshape(-1, 12)) <= 1


def test_another_domain_of_the_same_features_draws_something_else(flights, everybody):
    import dataclasses

    twin = Episodes(dataclasses.replace(flights, name="twin"), Protocol(624, 5, 100, seed=0))
    assert (twin.heldout != everybody.heldout).any()
    assert (twin.users != everybody.users).any()


def test_all_624_users_are_different_people(everybody, people):
    assert sorted(everybody.users) == list(range(624))
    assert (everybody.latents["person"] == everybody.users).all()
    assert len({tuple(weights) for weights in people[everybody.users]}) == 624


def test_users_do_not_share_rounds_and_rounds_do_not_repeat(everybody):
    sets = {one.tobytes() for one in everybody.options.reshape(-1, 12)}
    assert len(sets) == 624 * 5  # of (11 * 11 * 3 * 11)**3 possible sets, a repeat among 3,120 has probability 7e-8
    assert not sets & {one.tobytes() for one in everybody.heldout.reshape(-1, 12)}


def test_options_lie_on_the_grid_and_use_all_of_it_evenly(flights, everybody):
    """Chi-squared test of each feature; the null is rejected with probability 4e-6 (four tests at 1e-6)."""
    for column, feature in enumerate(flights.features):
        values = everybody.options[..., column].ravel()
        assert set(values) == set(feature.grid)
        assert set(everybody.heldout[..., column].ravel()) <= set(feature.grid)
        counts = [(values == value).sum() for value in feature.grid]
        assert stats.chisquare(counts).pvalue > 1e-6


def test_a_user_always_chooses_a_best_option(everybody, simulator):
    who, chosen, shown = chosen_and_shown(everybody)
    assert len(chosen) == 624 * 105
    assert np.take_along_axis(simulator.best(who, shown), chosen[:, None], axis=-1).all()


@pytest.mark.parametrize("tied", [2, 3])
def test_ties_are_broken_uniformly(everybody, simulator, tied):
    """Which of the tied options, counted from the first, is chosen: chi-squared at 1e-6, so 2e-6 for both cases."""
    who, chosen, shown = chosen_and_shown(everybody)
    best = simulator.best(who, shown)
    ties = best.sum(axis=-1) == tied
    rank = np.take_along_axis(best[ties].cumsum(axis=-1), chosen[ties, None], axis=-1)[:, 0] - 1
    counts = np.bincount(rank, minlength=tied)
    assert counts.sum() > 20
    assert stats.chisquare(counts).pvalue > 1e-6


def test_ties_are_broken_anew_for_each_user_of_a_held_out_set(everybody, simulator):
    """At a shared set, users who are torn do not all fall the same way: with 20 of them that has probability 2e-6."""
    best = simulator.best(everybody.users[:, None], np.broadcast_to(everybody.heldout, (624, 100, 3, 4)))
    torn = (best[..., :2].all(axis=-1)) & ~best[..., 2]
    sets = np.flatnonzero(torn.sum(axis=0) >= 20)
    assert len(sets)
    for at in sets:
        assert 0 < everybody.truth[torn[:, at], at].sum() < torn[:, at].sum()


def test_users_act_on_their_own_model_and_the_exact_answer_on_the_domains(make_coins):
    contrary = make_coins("assumed", hit=0.0)  # whose favourite is what they never name
    domain = make_coins("believed", hit=0.8, user_model=contrary.user_model)
    episodes = Episodes(domain, Protocol(users=2, rounds=200, heldout=50))
    likes = episodes.latents["person"] == 0
    favourite = np.where(
        likes[:, None], episodes.options[..., 0].argmax(axis=-1), episodes.options[..., 0].argmin(axis=-1)
    )
    assert (episodes.chosen != favourite).all()
    # The exact answer before any round is the domain's own: 25/40 for the brightest, 11/40 for the dullest, 4/40.
    np.testing.assert_allclose(
        np.sort(episodes.exact[:, 0]), np.broadcast_to([4 / 40, 11 / 40, 25 / 40], (2, 50, 3)), atol=1e-12
    )
    # What the oracle is told is what users do.
    assert bb.choice_probs(domain, episodes.latents, episodes.options)[0, 0].max() == 0.5


def test_a_noisy_user_names_the_favourite_at_the_stated_rate(coins):
    """Binomial test of 8/10 over 20,000 choices; fails with probability 1e-6."""
    episodes = Episodes(coins, Protocol(users=2, rounds=10_000, heldout=1))
    sign = np.where(episodes.latents["person"] == 0, 1, -1)[:, None, None]
    hits = int((episodes.chosen == (sign * episodes.options[..., 0]).argmax(axis=-1)).sum())
    assert stats.binomtest(hits, 20_000, 0.8).pvalue > 1e-6


def test_choice_probs_are_those_of_the_people(flights, people, simulator):
    rng = np.random.default_rng(3)
    person, options = rng.integers(0, 624, 20), simulator.options(rng, 20, 7)
    best = simulator.best(person[:, None], options)
    expected = best / best.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(bb.choice_probs(flights, {"person": person}, options), expected, atol=1e-12)


def test_agents_draw_from_keys_of_their_own_that_other_users_do_not_change(flights, everybody):
    import jax

    few = Episodes(flights, Protocol(7, 2, 3))
    keys = np.asarray(jax.random.key_data(everybody.agent_keys("random")))
    assert (np.asarray(jax.random.key_data(few.agent_keys("random"))) == keys[:7]).all()
    assert (np.asarray(jax.random.key_data(everybody.agent_keys("other"))) != keys).any(axis=1).all()
    assert len(np.unique(keys, axis=0)) == 624


@pytest.mark.parametrize(
    ("protocol", "says"),
    [
        (Protocol(0), r"users = 0, but flights has 624"),
        (Protocol(625), r"users = 625, but flights has 624"),
        (Protocol(-1), r"users = -1"),
        (Protocol(1, rounds=-1), r"rounds = -1; expected 0 to 10,000"),
        (Protocol(1, heldout=0), r"heldout = 0; expected 1"),
        (Protocol(1, seed=-1), r"seed = -1"),
        (Protocol(1, seed=2**32), r"seed = 4294967296"),
    ],
)
def test_numbers_out_of_range_are_wrong_calls(flights, tmp_path, protocol, says):
    with pytest.raises(bb.UsageError, match=says):
        Episodes(flights, protocol)
    with pytest.raises(bb.UsageError, match=says):
        bb.run(flights, "random", results=tmp_path, **protocol.identity())
    assert not list(tmp_path.iterdir())


def test_the_largest_seed_is_a_seed_like_any_other(flights):
    assert Episodes(flights, Protocol(7, 2, 3, seed=2**32 - 1)).truth.shape == (7, 3)


def test_there_are_624_people(flights):
    assert population(flights) == 624


def test_users_are_drawn_from_a_prior_that_is_not_uniform(make_coins):
    """10,000 users of a 75:25 prior; the declared failure rate of the bound (4.5 standard errors) is 7e-6."""
    episodes = Episodes(make_coins("drawn-coins", hit=0.8, prior=0.75), Protocol(10_000, rounds=0, heldout=1))
    share = (episodes.latents["person"] == 0).mean()
    assert abs(share - 0.75) < 4.5 * np.sqrt(0.75 * 0.25 / 10_000)
    assert episodes.users.tolist() == list(range(10_000))


def test_every_kind_of_user_is_drawn_as_often_as_its_prior_says(flights):
    """3,000 users of a prior of 1:2:3:4; chi-squared test at 1e-6."""

    def model(options, choices=None):
        person = numpyro.sample("person", dist.Categorical(probs=jnp.array([0.1, 0.2, 0.3, 0.4])))
        with numpyro.plate("rounds", len(options)):
            numpyro.sample("choice", dist.Categorical(logits=person * options[..., 0]), obs=choices)

    domain = replace(flights, name="four-kinds", model=model, user_model=model, questionnaire=None)
    episodes = Episodes(domain, Protocol(3000, rounds=0, heldout=1))
    counts = np.bincount(episodes.latents["person"], minlength=4)
    assert stats.chisquare(counts, 3000 * np.array([0.1, 0.2, 0.3, 0.4])).pvalue > 1e-6


def test_fewer_drawn_users_are_the_first_of_more(make_coins):
    domain = make_coins("drawn-coins-2", hit=0.8, prior=0.75)
    few, many = (Episodes(domain, Protocol(users, rounds=2, heldout=3)) for users in (5, 50))
    np.testing.assert_array_equal(few.latents["person"], many.latents["person"][:5])
    np.testing.assert_array_equal(few.options, many.options[:5])


def test_answers_too_many_to_hold_are_refused_at_once(flights):
    """Three probabilities of 8 bytes each: 624 x 6 x 100,000 x 24 bytes are 8.4 GiB, of 47,800 sets 4.0."""
    for heldout, rounds, size in ((100_000, 5, "8.4"), (100_000, 2, "4.2")):
        with pytest.raises(bb.UsageError) as error:
            Protocol(624, rounds, heldout).check(flights)
        assert str(error.value) == (
            f"624 users x {rounds + 1} stages x {heldout} held-out sets make answers of {size} GiB, and the limit is "
            "4 GiB; ask for fewer."
        )
    Protocol(624, rounds=5, heldout=47_790).check(flights)
    with pytest.raises(bb.UsageError, match=r"of 4.0 GiB"):
        Protocol(624, rounds=5, heldout=47_804).check(flights)


def test_presets_ask_as_many_as_the_docs_say(flights):
    assert Protocol(624) == Protocol(624, rounds=5, heldout=100, seed=0)  # the paper's
    for preset, (users, heldout) in {"quick": (8, 8), "standard": (100, 30), "paper": (624, 100)}.items():
        assert Protocol.of(flights, preset=preset) == Protocol(users, 5, heldout, 0), preset
    assert Protocol.of(bb.load_domain("flights-6"), preset="paper") == Protocol(1000, 5, 100, 0)


def test_a_million_users_can_be_drawn_from_a_prior_and_no_more(make_coins):
    domain = make_coins("drawn-coins-3", hit=0.8, prior=0.75)
    Protocol(1_000_000, rounds=0, heldout=1).check(domain)
    with pytest.raises(bb.UsageError, match="ask for 1 to 1,000,000"):
        Protocol(1_000_001, rounds=0, heldout=1).check(domain)


@pytest.mark.parametrize("users", [2.5, "5", None])
def test_users_that_are_no_whole_number_are_refused(flights, users):
    with pytest.raises(bb.UsageError, match="users = "):
        Protocol(users).check(flights)


@pytest.mark.parametrize(("value", "said"), [(0.55, "0.55"), (-0.1, "-0.1"), (1.1, "1.1"), (float("nan"), "nan")])
def test_options_off_the_grid_are_refused(flights, value, said):
    """The prices of flights are 0, .1, ..., 1."""
    with pytest.raises(bb.BeliefBenchError, match=f"draw gave price = {said}, which is not in the feature's grid"):
        Episodes(at_price(flights, value), Protocol(2, 1, 1))


@pytest.mark.parametrize("value", [0.3, 0.3 + 1e-8, 1.0])
def test_rounding_errors_are_not_off_the_grid(flights, value):
    assert (Episodes(at_price(flights, value), Protocol(2, 1, 1)).options[..., 3] == value).all()


def at_price(flights, price):
    return replace(flights, draw=lambda at, sets: flights.draw(at, sets).at[..., 3].set(price))


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 2, 4), (1, 3, 5), (3, 4)])
def test_sets_of_another_shape_are_refused(flights, shape):
    with pytest.raises(bb.BeliefBenchError) as error:
        Episodes(replace(flights, draw=lambda at, sets: jnp.zeros(shape)), Protocol(2, 1, 1))
    assert f"draw(key, 1) gave shape {list(shape)}; expected [1, 3, 4]" in str(error.value)


@pytest.mark.parametrize("domain", ["flights-2", "webshop-headphones"], ids=["shared sets", "sets of their own"])
def test_what_an_agent_asks_in_a_run_gives_the_exact_answers_too(domain):
    """From one sweep, the same as alone."""
    protocol = Protocol(users=3, rounds=2, heldout=4)
    alone, remembered = (Episodes(bb.load_domain(domain), protocol) for _ in range(2))
    with remembered.remembering():
        seen = remembered.options[:, :1], remembered.chosen[:, :1]
        sets = np.broadcast_to(remembered.heldout, (3, 4, *remembered.heldout.shape[-2:]))
        asked = np.concatenate([sets, remembered.options[:, 1:2]], axis=1)
        found = bb.predictives(remembered.domain, *seen, asked, on_contradiction="ignore")
    assert "_exact_of_all_sets" in vars(remembered)
    np.testing.assert_array_equal(found[:, 0, :4], alone.exact[:, 1])
    np.testing.assert_array_equal(remembered.exact, alone.exact)


def test_users_who_act_on_a_model_outside_the_contract_are_not_simulated(flights):
    """Another second outcome is observed: no number is made from it."""

    def odd(options, choices=None):
        person = numpyro.sample("person", dist.DiscreteUniform(0, 623))
        numpyro.sample("mood", dist.Normal(person / 624.0, 1.0), obs=jnp.array(0.5))
        numpyro.sample("choice", dist.Categorical(logits=options[..., 3]), obs=choices)

    with pytest.raises(bb.BeliefBenchError, match=r"^flights: .*mood"):
        Episodes(replace(flights, user_model=odd), Protocol(2, 1, 1))
