"""Runs on disk: a key that names what was run, files that are there whole or not at all, and damage that is named."""

import os
import threading
import time
from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.running import store
from beliefbench.running.files import DamagedFileError
from beliefbench.running.store import (
    ROWS,
    AgentRecord,
    DomainIdentity,
    RunIdentity,
    RunRecord,
    RunStore,
    prepare_results,
    run_folder,
    run_key,
)

IDENTITY = RunIdentity(
    schema=1,
    domain=DomainIdentity(name="d", version="1", parameters={}),
    agent={"name": "a", "version": "1"},
    seed=0,
    users=2,
    rounds=1,
    heldout=3,
    stopping=None,
)


def record(**changes: object) -> RunRecord:
    agent = AgentRecord(name="a", version="1", probabilistic=True, privileged=False)
    plain = RunRecord(
        schema_version=1,
        key="k",
        identity=IDENTITY,
        agent=agent,
        versions={},
        machine={},
        started="2026-01-01T00:00:00+00:00",
    )
    return plain.model_copy(update=changes)


def rows(*users: int):
    columns = {field.name: [None if field.nullable else 0] * len(users) for field in ROWS} | {
        "user": list(users),
        "text": ["ä"] * len(users),
    }
    return store.pa.table(columns, schema=ROWS)


# --- keys and folders -----------------------------------------------------------------------------


def test_the_key_does_not_depend_on_the_order_of_fields():
    assert run_key({"a": 1, "b": {"c": [1, 2], "d": None}}) == run_key({"b": {"d": None, "c": [1, 2]}, "a": 1})


def test_the_key_is_the_sha256_of_canonical_json():
    # printf '{"a":[1,2.5,null,true],"b":"ä"}' | sha256sum
    import hashlib

    assert (
        run_key({"b": "ä", "a": [1, 2.5, None, True]})
        == hashlib.sha256('{"a":[1,2.5,null,true],"b":"ä"}'.encode()).hexdigest()
    )


@pytest.mark.parametrize("other", [{"a": 2}, {"a": "1"}, {"a": 1.5}, {"b": 1}, {"a": [1]}, {}, {"a": 1, "b": None}])
def test_different_identities_have_different_keys(other):
    assert run_key({"a": 1}) != run_key(other)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_an_identity_that_json_cannot_hold_has_no_key(value):
    with pytest.raises((ValueError, TypeError)):
        run_key({"a": value})


def test_a_run_stays_below_its_results_folder_whatever_its_names():
    for name in ("../../etc", "a/b", "prompted:org/model", "C:\\x", ".hidden"):
        folder = run_folder(Path("results"), name, name, "0" * 64)
        assert len(folder.parts) == 4, name
        assert not {".", ".."} & set(folder.parts), name


# --- whole files ----------------------------------------------------------------------------------


def test_what_is_written_is_read_back_and_nothing_else_is_left(tmp_path):
    run = RunStore(tmp_path)
    run.write_record(record())
    run.write_part("000-a", rows(3, 1), seconds=1.5)
    run.write_part("000-b", rows(2), seconds=0.25)
    assert run.record() == record()
    assert sorted(run.rows()["user"].to_pylist()) == [1, 2, 3]
    assert not [file for file in tmp_path.rglob("*") if file.name.endswith(".tmp")]
    done = run.finish(record(finished="2026-01-01T00:01:00+00:00"))
    assert done.seconds == 1.75
    assert run.record() == done
    assert run.rows()["user"].to_pylist() == [1, 2, 3]
    assert run.rows()["text"].to_pylist() == ["ä"] * 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["rows.parquet", "run.json"]


def test_rows_do_not_tell_how_they_were_gathered(tmp_path):
    for name, parts in {"one": [(1, 2, 3)], "three": [(3,), (1,), (2,)]}.items():
        run = RunStore(tmp_path / name)
        run.folder.mkdir()
        for number, users in enumerate(parts):
            run.write_part(f"{number}", rows(*users), seconds=number)
        run.finish(record())
    assert (tmp_path / "one/rows.parquet").read_bytes() == (tmp_path / "three/rows.parquet").read_bytes()


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_crash_before_a_file_is_in_place_leaves_the_old_one(tmp_path, monkeypatch, fails):
    run = RunStore(tmp_path)
    run.write_record(record(started="before"))

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(*((os, "fsync") if fails == "fsync" else (Path, "replace")), crash)
    with pytest.raises(KeyboardInterrupt):
        run.write_record(record(started="after"))
    with pytest.raises(KeyboardInterrupt):
        run.write_part("000", rows(1), seconds=0)
    monkeypatch.undo()
    assert run.record().started == "before"
    assert run.rows().num_rows == 0
    assert run.quarantine_damaged([2]) == []


# --- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"not parquet at all", None], ids=["empty", "stub", "text", "truncated"]
)
def test_a_damaged_part_is_named_and_can_be_set_aside(tmp_path, content):
    run = RunStore(tmp_path)
    run.write_part("000", rows(1), seconds=0)
    run.write_part("001", rows(2), seconds=0)
    part = tmp_path / "parts/001.parquet"
    part.write_bytes(part.read_bytes()[:-20] if content is None else content)
    with pytest.raises(DamagedFileError, match=r"001\.parquet cannot be read"):
        run.rows()
    assert run.quarantine_damaged([2]) == [part]
    assert run.rows()["user"].to_pylist() == [1]
    assert (tmp_path / "001.parquet.damaged").exists()
    assert run.quarantine_damaged([2]) == []


def test_a_parquet_file_of_something_else_is_damage_too(tmp_path):
    store.pq.write_table(store.pa.table({"x": [1]}), tmp_path / "rows.parquet")
    with pytest.raises(DamagedFileError, match=r"rows\.parquet cannot be read"):
        RunStore(tmp_path).rows()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": "k"}', "\x00\xff"])
def test_a_garbage_run_record_is_named(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DamagedFileError, match=r"run\.json is not a run record that this version reads"):
        RunStore(tmp_path).record()


def test_files_of_earlier_versions_lack_columns_and_are_read(tmp_path):
    """What nobody wrote down then is null; what no answer can be without is damage."""
    run = RunStore(tmp_path)
    table = rows(0, 1)
    store.pq.write_table(
        table.drop_columns(["seconds", "bounded", "by_beliefs", "beliefs", "exact_beliefs"]), run.rows_file
    )
    assert run.rows().equals(table)
    store.pq.write_table(table.drop_columns(["choice"]), run.rows_file)
    with pytest.raises(DamagedFileError):
        run.rows()


def test_the_number_of_rows_of_a_whole_run():
    assert IDENTITY.rows_per_user == 2 * 3 + 1  # two stages of three sets, one recommendation


def test_rows_that_are_too_few_are_damage(tmp_path):
    store.pq.write_table(rows(1, 2), tmp_path / "rows.parquet")
    assert RunStore(tmp_path).quarantine_damaged([2]) == []
    assert RunStore(tmp_path).quarantine_damaged([3]) == [tmp_path / "rows.parquet"]


def test_where_there_is_nothing_there_is_no_record_and_no_row(tmp_path):
    assert RunStore(tmp_path / "none").record() is None
    assert RunStore(tmp_path / "none").rows().num_rows == 0


# --- results folders ------------------------------------------------------------------------------


def test_results_that_are_a_file_are_a_wrong_call(flights, tmp_path):
    file = tmp_path / "file"
    file.write_text("here first")
    for results in (file, file / "below"):
        with pytest.raises(bb.UsageError, match="is a file or lies below one"):
            bb.run(flights, "first", users=1, rounds=0, heldout=1, results=results)
    assert file.read_text() == "here first"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_results_that_cannot_be_written_are_a_wrong_call(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(bb.UsageError, match="cannot be written"):
            prepare_results(tmp_path / "results")
        with pytest.raises(bb.UsageError, match="cannot be written"):
            prepare_results(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_results_folder_is_made_and_left_clean(tmp_path):
    prepare_results(tmp_path / "a/b")
    assert not list((tmp_path / "a/b").iterdir())


# --- one at a time --------------------------------------------------------------------------------


def test_a_folder_is_held_by_one_at_a_time(tmp_path):
    with RunStore(tmp_path).held(), pytest.raises(bb.BeliefBenchError, match="another process is working in"):
        RunStore(tmp_path).held().__enter__()
    with RunStore(tmp_path).held():
        pass


def test_whether_a_folder_is_held_is_known_without_making_anything(tmp_path):
    one, other = RunStore(tmp_path / "run"), RunStore(tmp_path / "run")
    assert not one.is_held()
    assert not (tmp_path / "run").exists()
    with one.held():
        assert other.is_held()
    assert not other.is_held()
    assert not RunStore(tmp_path / ("x" * 300)).is_held()  # the system refuses such a name


def barge_in(folder: Path, until: float, clashes: list[str]) -> None:
    """Hold the folder over and over; note each time that somebody else was inside."""
    inside = folder / "inside"
    while time.monotonic() < until:
        try:
            with RunStore(folder).held():
                try:
                    inside.touch(exist_ok=False)
                    inside.unlink()
                except FileNotFoundError:
                    clashes.append("came in while I was there")
                except FileExistsError:
                    clashes.append("was there when I came")
        except bb.BeliefBenchError:
            continue


def test_letting_go_never_lets_two_in(tmp_path):
    """Six threads, which file locks treat as they treat processes, hold and let go for two seconds."""
    clashes: list[str] = []
    workers = [threading.Thread(target=barge_in, args=(tmp_path, time.monotonic() + 2, clashes)) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not clashes
