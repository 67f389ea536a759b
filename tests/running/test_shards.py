"""Shards by hand: who is asked together, what is asked, and the columns that answers become."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pyarrow as pa
import pytest

import beliefbench as bb
from beliefbench.exact.questionnaire import choices_of_levels, level_marginals
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.running.answering import ANSWERS, Answers, Job, Shard, _columns, _implied, questions_at, shards_of

AGENT = {"name": "a", "privileged": False}


@pytest.fixture(scope="module")
def episodes() -> Episodes:
    return Episodes(bb.load_domain("flights-2"), Protocol(users=3, rounds=2, heldout=2))


@pytest.fixture
def shard(episodes) -> Shard:
    keys = np.arange(12, dtype=np.uint32).reshape(3, 4)[:, :2]
    places = np.arange(3)
    return Shard(
        places=places,
        users=episodes.users,
        keys=keys,
        options=episodes.options,
        chosen=episodes.chosen,
        heldout=episodes.heldout,
        truth=None,
        answered=np.array([True, False, False]),
        recommended=np.array([[0, -1, -1], [1, -1, -1], [2, -1, -1]]),
    )


def test_a_shard_that_answered_a_stage_knows_what_it_recommended(shard):
    columns = {field.name: pa.nulls(9, field.type) for field in ANSWERS}
    columns["choice"] = pa.array([0, 1, 2, 0, 0, 1, 2, 2, 0], ANSWERS.field("choice").type)
    after = shard.after(Answers(1, pa.table(columns, schema=ANSWERS), 0.0))
    assert after.answered.tolist() == [True, True, False]
    assert after.recommended.tolist() == [[0, 2, -1], [1, 1, -1], [2, 0, -1]]
    assert shard.answered.tolist() == [True, False, False]
    assert shard.recommended[:, 1].tolist() == [-1, -1, -1]


def test_the_heldout_sets_are_asked_first_and_then_the_rounds_own_set_if_there_is_a_round(shard, episodes):
    each = np.stack([np.roll(episodes.heldout, user, axis=1) for user in range(3)])
    for heldout in (episodes.heldout, each):
        met = replace(shard, heldout=heldout)
        for places in ([0, 1, 2], [2, 0]):
            for stage, own in ((0, True), (1, True), (2, False)):
                asked = questions_at(met, np.array(places), stage)
                assert asked.shape == (len(places), 2 + own, 3, 2)
                for at, place in enumerate(places):
                    np.testing.assert_array_equal(asked[at, :2], heldout if heldout.ndim == 3 else heldout[place])
                    np.testing.assert_array_equal(asked[at, 2:], shard.options[place, stage : stage + 1])


def test_stated_beliefs_stand_once_a_user_and_imply_a_choice_of_each_set(shard, episodes):
    domain = episodes.domain
    questions = questions_at(shard, np.arange(3), 1)
    assert questions.shape == (3, 3, 3, 2)
    exact = [level_marginals(domain, shard.options[user, :1], shard.chosen[user, :1]) for user in range(3)]
    stated = np.stack([exact[0], np.full_like(exact[0], np.nan), exact[2]])
    found = {name: column.to_pylist() for name, column in _implied(domain, shard, 1, questions, stated).items()}
    assert {name: len(column) for name, column in found.items()} == {
        "by_beliefs": 9,
        "beliefs": 9,
        "exact_beliefs": 9,
    }
    for user in range(3):
        rows = slice(3 * user, 3 * user + 3)
        np.testing.assert_allclose(found["beliefs"][rows][0], stated[user])
        np.testing.assert_allclose(found["exact_beliefs"][rows][0], exact[user], atol=1e-12)
        assert found["beliefs"][rows][1:] == found["exact_beliefs"][rows][1:] == [None, None]
        if user == 1:
            assert found["by_beliefs"][rows] == [-1, -1, -1]
            continue
        probs = choices_of_levels(domain, exact[user], questions[user])
        chosen = probs[np.arange(3), found["by_beliefs"][rows]]
        np.testing.assert_allclose(chosen, probs.max(axis=-1), atol=1e-9)
    nothing = _implied(domain, shard, 1, questions, None)
    assert all(column.null_count == 9 for column in nothing.values())


def test_answers_become_columns_by_user_and_set():
    probs = np.array([[[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0], [0.4, 0.4, 0.2]]])
    found = _columns(
        bb.Prediction(
            choice=np.array([[2, -1], [1, 0]]),
            probs=probs,
            tokens=np.array([[1, 2], [3, 4]]),
            text=np.array([["ä", None], ["x\udcff", ""]], object),
            seconds=np.array([[0.5, np.nan], [1, 2]]),
            bounded=np.array([[True, False], [False, True]]),
        )
    )
    assert {name: column.to_pylist() for name, column in found.items()} == {
        "choice": [2, -1, 1, 0],
        "prob_0": [0.2, None, 0.0, 0.4],
        "prob_1": [0.3, None, 1.0, 0.4],
        "prob_2": [0.5, None, 0.0, 0.2],
        "tokens": [1, 2, 3, 4],
        "text": ["ä", None, "x\\udcff", ""],
        "seconds": [0.5, None, 1.0, 2.0],
        "bounded": [True, False, False, True],
    }
    assert probs[0, 1].tolist() == [1, 0, 0]  # the agent's own are left as they were
    bare = _columns(bb.Prediction(choice=np.array([[2, 0]]), probs=None))
    assert bare["choice"].to_pylist() == [2, 0]
    assert all(column.null_count == 2 for name, column in bare.items() if name != "choice")


@pytest.mark.parametrize(
    ("waiting", "most", "slots", "sizes"),
    [
        (10, 1024, 1, [10]),
        (10, 1024, 3, [4, 4, 2]),
        (10, 3, 1, [3, 3, 3, 1]),
        (10, 3, 5, [2, 2, 2, 2, 2]),
        (9, 1024, 3, [3, 3, 3]),
        (2, 1024, 4, [1, 1]),
        (1, 1, 1, [1]),
    ],
)
def test_shards_are_small_enough_for_a_call_and_one_for_each_slot(waiting, most, slots, sizes):
    job = Job.of(bb.load_domain("flights-2"), SimpleNamespace(**AGENT, users_per_call=most), preset="quick", users=12)
    met = Episodes(job.domain, job.protocol)
    answered = np.zeros((12, 6), bool)
    answered[waiting:] = True
    shards = list(shards_of(job, met, answered, np.full((12, 6), -1), slots))
    assert [len(one.places) for one in shards] == sizes
    assert [place for one in shards for place in one.places] == list(range(waiting))


def test_users_who_wait_for_the_same_stages_are_together(episodes):
    job = Job(episodes.domain, SimpleNamespace(**AGENT), episodes.protocol)
    answered = np.array([[True, False, False], [True, True, True], [True, False, False]])
    recommended = np.array([[0, -1, -1], [1, 1, 1], [2, -1, -1]])
    (shard,) = shards_of(job, episodes, answered, recommended, 1)
    assert shard.places.tolist() == [0, 2]
    assert shard.users.tolist() == episodes.users[[0, 2]].tolist()
    assert shard.answered.tolist() == [True, False, False]
    assert shard.recommended.tolist() == [[0, -1, -1], [2, -1, -1]]
    assert shard.truth is None
    np.testing.assert_array_equal(shard.options, episodes.options[[0, 2]])
    np.testing.assert_array_equal(shard.chosen, episodes.chosen[[0, 2]])
    np.testing.assert_array_equal(shard.heldout, episodes.heldout)
    np.testing.assert_array_equal(shard.keys, jax.random.key_data(episodes.agent_keys("a"))[np.array([0, 2])])
    job.agent.privileged = True
    answered[0] = [False, True, False]
    first, second = shards_of(job, episodes, answered, recommended, 1)
    assert [first.places.tolist(), second.places.tolist()] == [[0], [2]]
    assert first.answered.tolist() == [False, True, False]
    assert second.truth["person"].tolist() == [episodes.latents["person"][2]]
