"""The pieces that a run is made of, each by hand: bounds, shards, stated beliefs, what was answered so far."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

import beliefbench as bb
from beliefbench.exact.questionnaire import choices_of_levels, level_marginals
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.running.answering import ANSWERS, Answers, Job, Shard, _columns, _implied, questions_at, shards_of
from beliefbench.running.completeness import set_faulty_parts_aside
from beliefbench.running.derived import answers_digest
from beliefbench.running.files import DamagedFileError, check_ranges
from beliefbench.running.harness import answered_so_far
from beliefbench.running.store import ROWS, AgentRecord, DomainIdentity, RunIdentity, RunRecord, RunStore

IDENTITY = {
    "schema": 1,
    "domain": DomainIdentity(name="d", version="1", parameters={}),
    "agent": {"name": "a", "version": "1"},
    "seed": 0,
    "users": 2,
    "rounds": 2,
    "heldout": 2,
    "stopping": None,
}
AGENT = {"name": "a", "privileged": False}
RECORD = {
    "schema_version": 1,
    "key": "k",
    "identity": RunIdentity(**IDENTITY),
    "agent": AgentRecord(name="a", version="1", probabilistic=True, privileged=False),
    "versions": {},
    "machine": {},
    "started": "2026-01-01T00:00:00+00:00",
}


# --- bounds ---------------------------------------------------------------------------------------


def answer(**changed: float) -> pa.Table:
    values: dict[str, float | None] = {field.name: None for field in ROWS}
    values |= {"user": 0, "stage": 0, "question": 0, "truth": 0, "choice": 0} | changed
    return pa.table({name: pa.array([value]) for name, value in values.items()}).cast(
        pa.schema([pa.field(name, pa.float64()) for name in values])
    )


@pytest.mark.parametrize(
    ("column", "least", "most"),
    [
        ("user", 0, 8_388_607),
        ("stage", 0, 32_767),
        ("question", -1, 16_777_214),
        ("truth", 0, 2),
        ("choice", -1, 2),
        ("by_beliefs", -1, 2),
        ("tokens", 0, 2_147_483_647),
        ("seconds", 0, 1_000_000_000),
    ],
)
def test_answers_within_their_bounds_are_read_and_no_others(tmp_path, column, least, most):
    for fine in (least, most):
        check_ranges(answer(**{column: fine}), tmp_path)
    for wrong in (least - 1, most + 1):
        with pytest.raises(DamagedFileError, match=f"{column} is between .*; expected {least}"):
            check_ranges(answer(**{column: wrong}), tmp_path)


@pytest.mark.parametrize(
    ("number", "least", "most"),
    [("users", 1, 2**23 - 1), ("rounds", 0, 32_767), ("heldout", 1, 2**24 - 2), ("seed", 0, 2**32 - 1)],
)
def test_a_record_has_numbers_within_bounds(number, least, most):
    for fine in (least, most):
        assert getattr(RunIdentity(**(IDENTITY | {number: fine})), number) == fine
    for wrong in (least - 1, most + 1):
        with pytest.raises(ValidationError, match=number):
            RunIdentity(**(IDENTITY | {number: wrong}))


def test_the_users_asked_are_within_bounds():
    assert [RunRecord(**RECORD, asked=fine).asked for fine in (None, 1, 8_388_607)] == [None, 1, 8_388_607]
    for wrong in (0, -5, 8_388_608):
        with pytest.raises(ValidationError, match="asked"):
            RunRecord(**RECORD, asked=wrong)


# --- shards ---------------------------------------------------------------------------------------


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


# --- what was answered so far ---------------------------------------------------------------------


def table(rows: list[tuple[int, int, int, int]]) -> pa.Table:
    names = ("user", "stage", "question", "choice")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    given = {name: pa.array(columns[name], ROWS.field(name).type) for name in names}
    none = {
        field.name: pa.array([None if field.nullable else 0] * len(rows), field.type)
        for field in ROWS
        if field.name not in names
    }
    return pa.table(given | none).select(ROWS.names)


def stage_of(user: int, stage: int, recommended: int = 2) -> list[tuple[int, int, int, int]]:
    """The rows of a user's stage with 2 rounds and 2 held-out sets."""
    own = [(user, stage, -1, recommended)] if stage < 2 else []
    return [*own, (user, stage, 0, 0), (user, stage, 1, 1)]


def test_a_stage_is_answered_when_all_its_rows_are_there(episodes):
    one, two, three = (int(user) for user in episodes.users)
    rows = [
        *stage_of(three, 0),
        *stage_of(three, 1, 0),
        *stage_of(three, 2),
        *stage_of(one, 0, 1),
        *stage_of(one, 1)[1:],
    ]
    answered, recommended = answered_so_far(episodes, table(rows))
    assert answered.tolist() == [[True, False, False], [False] * 3, [True, True, True]]
    assert recommended.tolist() == [[1, -1, -1], [-1, -1, -1], [2, 0, -1]]
    assert two not in {row[0] for row in rows}


@pytest.mark.parametrize(
    ("fault", "faulty"),
    [
        ("none", False),
        ("another stage's answers of the user", False),
        ("the same answers again", True),
        ("a user nobody asked", True),
        ("a stage after the last", True),
        ("two stages", True),
        ("no rows", True),
        ("a row is missing", True),
    ],
)
def test_a_part_is_used_if_it_is_whole_and_new(episodes, tmp_path, fault, faulty):
    one, two, _ = (int(user) for user in episodes.users)
    rows = {
        "none": [*stage_of(one, 0), *stage_of(two, 0)],
        "another stage's answers of the user": stage_of(one, 2),
        "the same answers again": [*stage_of(one, 1), *stage_of(two, 1)],
        "a user nobody asked": [*stage_of(one, 0), *stage_of(999, 0)],
        "a stage after the last": [(one, 3, 0, 0), (one, 3, 1, 0)],
        "two stages": [*stage_of(one, 0), *stage_of(two, 2)],
        "no rows": [],
        "a row is missing": stage_of(two, 0)[1:],
    }[fault]
    store = RunStore(tmp_path)
    store.write_part("000", table(stage_of(one, 1)), 0.0)
    store.write_part("001", table(rows) if rows else ROWS.empty_table(), 0.0)
    aside = set_faulty_parts_aside(store, episodes)
    assert [file.name for file in aside] == (["001.parquet"] if faulty else [])
    assert sorted(file.name for file in store.parts.iterdir()) == ["000.parquet", "001.parquet"][: 2 - faulty]


# --- records --------------------------------------------------------------------------------------


def test_the_seconds_of_a_run_are_the_sum_of_its_parts_to_the_millisecond(tmp_path):
    store = RunStore(tmp_path)
    for name, seconds in (("0", 0.1234567), ("1", 1.0001), ("2", 0.0)):
        store.write_part(name, table(stage_of(int(name), 2)), seconds)
    assert store.finish(RunRecord(**RECORD)).seconds == 1.124


def test_units_are_users_asked_times_stages(tmp_path):
    run = bb.run("flights-2", "first", users=3, rounds=4, heldout=1, results=tmp_path)
    assert run.units == 15
    few = bb.run("flights-2", "first", users=24, rounds=1, heldout=1, sample=5, results=tmp_path)
    assert (few.record.identity.users, few.record.asked, few.units) == (24, 5, 10)


def test_answers_are_the_record_and_the_rows_wherever_they_lie(tmp_path):
    seen = set()
    for place, (name, content) in enumerate(
        [("run.json", b"1"), ("rows.parquet", b"1"), ("rows.parquet", b"2"), ("run.json", b"2")]
    ):
        (tmp_path / name).write_bytes(content)
        seen.add(answers_digest(tmp_path))
        (tmp_path / "evidence.json").write_bytes(bytes([place]))
        seen.add(answers_digest(tmp_path))
    assert len(seen) == 4
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert answers_digest(moved) in seen
