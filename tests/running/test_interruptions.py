"""A run goes on where it stopped, whatever stopped it: an agent that breaks, a kill, or damage to what it wrote."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import beliefbench as bb
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.running.store import OWN_SET, RunStore

from .pupil import PROTOCOL, Pupil, every_unit, run_code, sit_down

# --- interruptions --------------------------------------------------------------------------------


def answered(folder: Path) -> set[tuple[int, int]]:
    """The (user, stage) pairs that a run has on disk."""
    rows = RunStore(folder).rows()
    return set(zip(rows["user"].to_pylist(), rows["stage"].to_pylist(), strict=True))


@pytest.mark.parametrize("breaks_at", [1, 2, 5, 9])
@pytest.mark.parametrize("users_per_call", [2, 4])
def test_an_agent_that_breaks_loses_no_answer(
    flights, tmp_path, make_pupil, asked, uninterrupted, breaks_at, users_per_call
):
    """Nine calls of two users each; it breaks in one of them, and goes on in calls of the same or another size."""
    with pytest.raises(bb.BeliefBenchError, match=r"agent 'pupil' broke on flights: RuntimeError: the pupil is tired"):
        bb.run(flights, make_pupil(breaks_at=breaks_at), results=tmp_path / "r", **PROTOCOL)
    (record,) = (tmp_path / "r").rglob("run.json")
    before = answered(record.parent)
    assert len(before) == 2 * (breaks_at - 1)
    assert not RunStore(record.parent).record().finished
    asked()
    done = bb.run(flights, make_pupil(users_per_call=users_per_call), results=tmp_path / "r", **PROTOCOL)
    assert not done.reused
    assert asked() == Counter(every_unit(flights) - before)
    assert (done.folder / "rows.parquet").read_bytes() == uninterrupted


def test_state_is_replayed_with_the_recorded_recommendations(flights, tmp_path, make_pupil):
    with pytest.raises(bb.BeliefBenchError):
        bb.run(flights, make_pupil(breaks_at=3, users_per_call=6), results=tmp_path, **PROTOCOL)
    resumed = make_pupil(users_per_call=6)
    rows = bb.run(flights, resumed, results=tmp_path, **PROTOCOL).rows().to_pandas()
    assert resumed.calls == 1
    keys = np.asarray(jax.random.key_data(Episodes(flights, Protocol(**PROTOCOL)).agent_keys("pupil")))
    own = rows[rows.question == OWN_SET].set_index(["user", "stage"]).choice
    users = Episodes(flights, Protocol(**PROTOCOL)).users
    expected = {
        (bytes(key).hex(), stage, own[user, stage]) for key, user in zip(keys, users, strict=True) for stage in (0, 1)
    }
    assert set(resumed.told) == expected


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_where_it_stopped(flights, tmp_path, asked, uninterrupted):
    """``kill -9``, twice, at moments drawn anew every time; then it finishes. Meanwhile nobody else gets in."""
    results, finished = tmp_path / "r", set()
    for sitting, parts_wanted in enumerate((random.randint(1, 3), random.randint(4, 6))):
        process = sit_down(results, tmp_path / "notes")
        try:
            while len(parts := list(results.rglob("parts/*.parquet"))) < parts_wanted:
                assert process.poll() is None, process.stderr.read().decode()
                time.sleep(0.01)
            folder = parts[0].parent.parent
            if sitting == 0:
                with pytest.raises(bb.BeliefBenchError, match="another process is working in"):
                    bb.run(flights, Pupil(tmp_path / "intruder"), results=results, **PROTOCOL)
                assert not (tmp_path / "intruder").exists()
            time.sleep(random.uniform(0, 0.3))
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        assert process.returncode == -signal.SIGKILL
        assert not set(asked()) & finished
        assert answered(folder) >= finished
        finished = answered(folder)
        assert finished < every_unit(flights)
    done = bb.run(flights, Pupil(tmp_path / "notes", users_per_call=3), results=results, **PROTOCOL)
    assert asked() == Counter(every_unit(flights) - finished)
    assert (done.folder / "rows.parquet").read_bytes() == uninterrupted


@pytest.mark.reference
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("wanted", [40])
def test_no_kill_at_a_random_moment_loses_an_answer(flights, tmp_path, uninterrupted, record_property, wanted):
    """``kill -9`` at moments drawn from the time that a whole run takes; each run goes on until it ends."""
    rng, found = random.Random(0), Counter[str]()
    place = multiprocessing.get_context("forkserver")
    place.set_forkserver_preload(["jax", "numpyro", "pandas", "pyarrow.parquet", "beliefbench.running.harness"])

    def begin(results: Path) -> multiprocessing.Process:
        process = place.Process(target=exec, args=(run_code(results, tmp_path / "notes", 0.05), {}))
        process.start()
        return process

    def end_of(process: multiprocessing.Process, results: Path) -> None:
        process.join()
        assert process.exitcode == 0
        (rows,) = results.rglob("rows.parquet")
        assert rows.read_bytes() == uninterrupted
        assert not [*results.rglob("*.damaged"), *results.rglob("parts")]
        found["whole runs"] += 1

    end_of(begin(tmp_path / "warm"), tmp_path / "warm")
    begun = time.monotonic()
    end_of(begin(tmp_path / "timed"), tmp_path / "timed")
    whole, results, kept = time.monotonic() - begun, tmp_path / "2", set[tuple[int, int]]()
    while found["kills"] < wanted:
        process = begin(results)
        process.join(rng.uniform(0, whole))
        if process.exitcode is not None:  # it had ended
            end_of(process, results)
            results, kept = tmp_path / str(found["whole runs"]), set()
            continue
        process.kill()
        process.join()
        found["kills"] += 1
        now = answered(next(results.rglob("run.json")).parent) if list(results.rglob("run.json")) else set()
        assert now >= kept
        found["kills after the first answer"] += bool(now)
        kept = now
    end_of(begin(results), results)
    record_property("kills", dict(found))


def test_a_kill_between_the_rows_and_the_record_asks_nobody_again(flights, tmp_path, make_pupil, asked, uninterrupted):
    done = bb.run(flights, make_pupil(), results=tmp_path / "r", **PROTOCOL)
    asked()
    RunStore(done.folder).write_record(done.record.model_copy(update={"finished": None, "seconds": None}))
    again = bb.run(flights, make_pupil(), results=tmp_path / "r", **PROTOCOL)
    assert asked() == Counter()
    assert again.record.finished
    assert (again.folder / "rows.parquet").read_bytes() == uninterrupted


def test_each_sitting_is_on_record(flights, tmp_path, make_pupil):
    with pytest.raises(bb.BeliefBenchError):
        bb.run(flights, make_pupil(breaks_at=4), results=tmp_path, **PROTOCOL)
    done = bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL)
    assert len(done.record.resumed) == 1
    assert "numpyro" in done.record.resumed[0].versions


# --- damage to a run that is not finished, or was -------------------------------------------------


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_a_truncated_finished_run_is_set_aside_and_asked_again(flights, tmp_path, make_pupil, uninterrupted):
    rows_file = bb.run(flights, make_pupil(), results=tmp_path / "r", **PROTOCOL).folder / "rows.parquet"
    truncate(rows_file)
    again = bb.run(flights, make_pupil(), results=tmp_path / "r", **PROTOCOL)
    assert not again.reused
    assert again.damaged == (rows_file,)
    assert rows_file.read_bytes() == uninterrupted
    assert list(rows_file.parent.glob("*.damaged"))


@pytest.mark.parametrize("users_per_call", [1, 2, 4, 6])
def test_truncated_answers_of_an_unfinished_run_are_asked_again_in_calls_of_any_size(
    flights, tmp_path, make_pupil, uninterrupted, users_per_call
):
    """Calls 1 to 3 are the three stages of the first two users, 4 to 6 of the next; stage 1 of both is damaged."""
    with pytest.raises(bb.BeliefBenchError):
        bb.run(flights, make_pupil(breaks_at=8), results=tmp_path, **PROTOCOL)
    damaged = sorted(tmp_path.rglob("parts/001-*.parquet"))
    assert len(damaged) == 2
    for part in damaged:
        truncate(part)
    done = bb.run(flights, make_pupil(users_per_call=users_per_call), results=tmp_path, **PROTOCOL)
    assert sorted(done.damaged) == damaged
    assert done.rows().num_rows == 6 * 14
    assert (done.folder / "rows.parquet").read_bytes() == uninterrupted


def unknown_user(part: Path) -> None:
    rows = pq.read_table(part, partitioning=None)
    users = pa.array([2_000_000] * rows.num_rows, pa.int32())
    pq.write_table(rows.set_column(0, rows.schema.field("user"), users), part)


def unknown_stage(part: Path) -> None:
    rows = pq.read_table(part, partitioning=None)
    pq.write_table(rows.set_column(1, rows.schema.field("stage"), pa.array([9] * rows.num_rows, pa.int16())), part)


def twice(part: Path) -> None:
    shutil.copy(part, part.with_name(f"z{part.name}"))


def shorter(part: Path) -> None:
    pq.write_table(pq.read_table(part, partitioning=None).slice(1), part)


@pytest.mark.parametrize("change", [unknown_user, unknown_stage, twice, shorter, Path.unlink])
def test_a_part_that_is_not_what_was_asked_is_set_aside_and_asked_again(
    flights, tmp_path, make_pupil, uninterrupted, change
):
    with pytest.raises(bb.BeliefBenchError):
        bb.run(flights, make_pupil(breaks_at=8), results=tmp_path, **PROTOCOL)
    part = min(tmp_path.rglob("parts/001-*.parquet"))
    change(part)
    done = bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL)
    assert [file.name.removeprefix("z") for file in done.damaged] == [part.name] * (change is not Path.unlink)
    assert (done.folder / "rows.parquet").read_bytes() == uninterrupted
    assert bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL).reused


def test_a_part_that_is_lost_while_others_are_asked_is_asked_again(flights, tmp_path, make_pupil, uninterrupted):
    lost = []

    def lose(done: int, total: int) -> None:
        if done == total and not lost:
            lost.append(min(tmp_path.rglob("parts/001-*.parquet")))
            lost[0].unlink()

    done = bb.run(flights, make_pupil(), results=tmp_path, progress=lose, **PROTOCOL)
    assert lost
    assert (done.folder / "rows.parquet").read_bytes() == uninterrupted


def test_a_row_that_is_there_twice_in_a_finished_run_is_asked_again(flights, tmp_path, make_pupil, uninterrupted):
    rows = bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL).folder / "rows.parquet"
    table = pq.read_table(rows, partitioning=None)
    pq.write_table(pa.concat_tables([table.slice(0, 1), table.slice(0, table.num_rows - 1)]), rows)
    assert bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL).damaged == (rows,)
    assert rows.read_bytes() == uninterrupted


@pytest.mark.parametrize("at", range(0, 1000, 100))
def test_a_page_of_a_finished_run_that_was_changed_is_asked_again(flights, tmp_path, make_pupil, uninterrupted, at):
    """Before, 418 of 1,499 random damages passed with changed data: pages have checksums now."""
    rows = bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL).folder / "rows.parquet"
    content = bytearray(uninterrupted)
    content[at + 40] ^= 1
    rows.write_bytes(content)
    again = bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL)
    assert again.damaged == (rows,) or again.rows().equals(pq.read_table(pa.BufferReader(uninterrupted)))


def test_missing_rows_of_a_finished_run_are_asked_again(flights, tmp_path, make_pupil, uninterrupted):
    done = bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL)
    rows = done.folder / "rows.parquet"
    pq.write_table(pq.read_table(rows).slice(0, 5), rows)
    again = bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL)
    assert (again.reused, again.damaged) == (False, (rows,))
    assert rows.read_bytes() == uninterrupted


@pytest.mark.parametrize("content", ["{", '{"identity": {}}', '{"schema_version": 99}'])
def test_a_garbage_record_is_made_again_and_no_answer_is_asked_again(
    flights, tmp_path, make_pupil, uninterrupted, content
):
    done = bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL)
    record = (done.folder / "run.json").read_text()
    (done.folder / "run.json").write_text(content)
    again = bb.run(flights, make_pupil(breaks_at=1), results=tmp_path, **PROTOCOL)
    assert again.damaged == (done.folder / "run.json",)
    assert (done.folder / "rows.parquet").read_bytes() == uninterrupted
    assert json.loads((done.folder / "run.json").read_text())["identity"] == json.loads(record)["identity"]
