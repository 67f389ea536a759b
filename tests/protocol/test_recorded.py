"""Recorded users: whose rounds and sets are taken, and records whose shapes do not belong together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.domain import Recorded
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol, population

USERS, ROUNDS, SETS = 5, 3, 4


@pytest.fixture(scope="module")
def simulated() -> Episodes:
    return Episodes(bb.load_domain("flights-2"), Protocol(USERS, ROUNDS, SETS))


def record(simulated: Episodes, **changed) -> bb.Domain:
    """A domain whose users are recorded: those of a simulation, or changed ones."""
    names = ("options", "chosen", "heldout", "truth", "latents")
    parts = {name: getattr(simulated, name) for name in names} | changed
    return replace(simulated.domain, name="recorded", recorded=Recorded(**parts))


@pytest.mark.parametrize("own", [False, True], ids=["shared sets", "sets of one's own"])
def test_each_user_has_the_rounds_sets_and_choices_that_were_recorded(simulated, own):
    rng = np.random.default_rng(0)
    each = rng.permuted(np.broadcast_to(simulated.heldout, (USERS, *simulated.heldout.shape)), axis=1)
    domain = record(simulated, **({"heldout": each} if own else {}))
    assert population(domain) == USERS
    episodes = Episodes(domain, Protocol(4, 2, 3))
    assert len(set(episodes.users)) == 4
    for place, user in enumerate(episodes.users):
        np.testing.assert_array_equal(episodes.options[place], simulated.options[user, :2])
        np.testing.assert_array_equal(episodes.chosen[place], simulated.chosen[user, :2])
        np.testing.assert_array_equal(episodes.truth[place], simulated.truth[user, :3])
        assert episodes.latents["person"][place] == simulated.latents["person"][user]
        sets = each[user, :3] if own else simulated.heldout[:3]
        np.testing.assert_array_equal(episodes.heldout[place] if own else episodes.heldout, sets)
        expected = bb.predictive(domain, episodes.options[place], episodes.chosen[place], sets)
        np.testing.assert_allclose(episodes.exact[place, -1], expected, atol=1e-12)


def test_what_recorded_users_want_is_told_only_if_somebody_knows_it(simulated):
    protocol = Protocol(4, 1, 1)
    known = Episodes(record(simulated), protocol)
    assert known.latents_of(np.array([2, 0]))["person"].tolist() == known.latents["person"][[2, 0]].tolist()
    unknown = Episodes(record(simulated, latents=None), protocol)
    assert unknown.latents is None
    with pytest.raises(bb.UsageError, match="nobody knows what the recorded users of recorded want; leave this agent"):
        unknown.latents_of(np.array([0]))


def test_other_seeds_ask_recorded_users_in_another_order(simulated):
    domain = record(simulated)
    orders = {tuple(Episodes(domain, Protocol(USERS, 1, 1, seed)).users) for seed in range(8)}
    assert len(orders) > 1
    assert all(sorted(order) == list(range(USERS)) for order in orders)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"rounds": 4}, "rounds = 4; expected 0 to 3 on recorded, whose users were recorded."),
        ({"heldout": 5}, "heldout = 5; expected 1 to 4 on recorded, whose users were recorded."),
        ({"users": 6}, "users = 6, but recorded has 5 different users; ask for 1 to 5."),
        ({"seed": -1}, "seed = -1; expected 0 to 4,294,967,295."),
    ],
)
def test_more_than_was_recorded_is_refused(simulated, asked, said):
    with pytest.raises(bb.UsageError) as error:
        Protocol(**({"users": 1, "rounds": 1, "heldout": 1} | asked)).check(record(simulated))
    assert str(error.value) == said


@pytest.mark.parametrize(
    ("part", "shape", "expected"),
    [
        ("chosen", (USERS, ROUNDS - 1), [USERS, ROUNDS - 1, 3, 2]),
        ("chosen", (USERS - 1, ROUNDS), [USERS - 1, ROUNDS, 3, 2]),
        ("chosen", (USERS,), "two dimensions"),
        ("chosen", (), "two dimensions"),
        ("options", (USERS - 1, ROUNDS, 3, 2), [USERS, ROUNDS, 3, 2]),
        ("options", (USERS, ROUNDS, 3, 3), [USERS, ROUNDS, 3, 2]),
        ("options", (USERS, ROUNDS, 2, 2), [USERS, ROUNDS, 3, 2]),
        ("heldout", (SETS, 2, 2), [SETS, 3, 2]),
        ("heldout", (USERS + 1, SETS, 3, 2), [USERS, SETS, 3, 2]),
        ("heldout", (SETS - 1, 3, 2), [SETS, 3, 2]),
        ("heldout", (3, 2), [SETS, 3, 2]),
        ("truth", (USERS, SETS + 1), [SETS + 1, 3, 2]),
        ("truth", (USERS - 1, SETS), [USERS, SETS]),
        ("truth", (USERS,), "two dimensions"),
    ],
)
def test_shapes_that_do_not_belong_together_are_refused(simulated, part, shape, expected):
    values = np.zeros(shape, np.int64 if part in ("chosen", "truth") else float)
    with pytest.raises(bb.BeliefBenchError, match=r"^domain 'recorded': its recorded \w+ have shape .*") as error:
        Episodes(record(simulated, **{part: values}), Protocol(1, 1, 1))
    assert str(error.value).endswith(f"; expected {expected}.")


def test_what_is_no_array_or_has_other_users_latents_is_refused(simulated):
    with pytest.raises(bb.BeliefBenchError, match="its recorded options are no array, but list"):
        Episodes(record(simulated, options=simulated.options.tolist()), Protocol(1, 1, 1))
    short = {"person": simulated.latents["person"][:2]}
    with pytest.raises(bb.BeliefBenchError, match=r"recorded latents 'person' have shape \[2\]; expected \[5\]"):
        Episodes(record(simulated, latents=short), Protocol(1, 1, 1))
    assert Episodes(record(simulated, latents=None), Protocol(1, 1, 1)).latents is None
    many = {"person": simulated.latents["person"], "weights": np.zeros((USERS, 2))}
    assert Episodes(record(simulated, latents=many), Protocol(3, 1, 1)).latents["weights"].shape == (3, 2)


@pytest.mark.parametrize("part", ["chosen", "truth"])
@pytest.mark.parametrize("value", [-1, 3])
def test_choices_of_options_that_are_not_there_are_refused(simulated, part, value):
    wrong = getattr(simulated, part).copy()
    wrong[-1, -1] = value
    with pytest.raises(bb.BeliefBenchError, match=f"its recorded {part} are not all 0, 1 or 2"):
        Episodes(record(simulated, **{part: wrong}), Protocol(1, 1, 1))


@pytest.mark.parametrize("text", ["", "  ", None, 7, ["price"]])
def test_an_option_without_text_is_refused(simulated, text):
    domain = replace(record(simulated), describe=lambda option: text)
    with pytest.raises(bb.BeliefBenchError, match=r"describe\(.*\) gave .*; expected some text"):
        Episodes(domain, Protocol(1, 1, 1))
