"""The pieces that a run is made of, each by hand: bounds, what was answered so far, records."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pydantic import ValidationError

import beliefbench as bb
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
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


# --- what was answered so far ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def episodes() -> Episodes:
    return Episodes(bb.load_domain("flights-2"), Protocol(users=3, rounds=2, heldout=2))


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
