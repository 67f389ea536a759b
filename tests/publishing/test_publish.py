"""Publishing: what a published run says, and what is refused."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import beliefbench as bb
from beliefbench.errors import BeliefBenchError
from beliefbench.leaderboard.ranking import read_leaderboard
from beliefbench.publishing import publish as publishing
from beliefbench.publishing.evidence import Evidence, is_unchanged
from beliefbench.publishing.publish import publish
from beliefbench.running.files import DamagedFileError
from beliefbench.running.packing import to_parquet
from beliefbench.running.store import RunStore

from .tampering import edit_record

# --- what a published run says --------------------------------------------------------------------


def test_a_published_run_is_an_ordinary_one_with_evidence_and_shares_the_exact_answers(local, folder_of, tmp_path):
    for agent in ("bayesian", "random"):
        done = publish(folder_of(local, agent), tmp_path)
        source = folder_of(local, agent)
        assert done.folder.relative_to(tmp_path) == source.relative_to(local)
        assert (done.folder / "run.json").read_bytes() == (source / "run.json").read_bytes()
        assert sorted(file.name for file in done.folder.iterdir()) == ["evidence.json", "rows.parquet", "run.json"]
        assert done.size == sum(file.stat().st_size for file in done.folder.iterdir())
        kept = RunStore(done.folder).rows()
        for name in ("user", "stage", "question", "truth", "choice"):
            assert kept[name].equals(RunStore(source).rows()[name])
        assert kept["text"].null_count == kept["seconds"].null_count == kept.num_rows
    assert len(list(tmp_path.rglob("exact-*.parquet"))) == 1


def test_evidence_says_how_to_make_the_run_again(call, local, folder_of, tmp_path):
    folder = publish(folder_of(local, "random"), tmp_path / "out").folder
    evidence = Evidence.model_validate_json((folder / "evidence.json").read_bytes())
    assert evidence.answers == 6 * (3 * 10 + 2)
    assert len(evidence.rounds) == 3
    program, *arguments = shlex.split(evidence.command)
    assert program == "beliefbench"
    assert call(*arguments)[0] == 0
    (again,) = Path("results/local").rglob("rows.parquet")
    assert again.read_bytes() == (folder_of(local, "random") / "rows.parquet").read_bytes()


def test_the_record_keeps_the_spec_where_there_is_one(flights, tmp_path):
    named = bb.run("flights", "lowest:price", users=1, rounds=0, heldout=1, results=tmp_path)
    assert named.record.spec == "lowest:price"
    given = bb.run(flights, "first", users=1, rounds=0, heldout=1, results=tmp_path)
    assert given.record.spec is None
    done = publish(given.folder, tmp_path / "out")
    assert "--agent first --users 1" in json.loads((done.folder / "evidence.json").read_text())["command"]


# --- what is refused ------------------------------------------------------------------------------


def test_publishing_twice_is_no_second_time(local, folder_of, tmp_path):
    first = publish(folder_of(local, "random"), tmp_path)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    second = publish(folder_of(local, "random"), tmp_path)
    assert (first.anew, second.anew) == (True, False)
    assert second.size == first.size
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before


def test_what_was_published_can_be_published_elsewhere(local, folder_of, tmp_path):
    first = publish(folder_of(local, "bayesian"), tmp_path / "one")
    second = publish(first.folder, tmp_path / "two")
    for file in first.folder.iterdir():
        assert (second.folder / file.name).read_bytes() == file.read_bytes()


def test_evidence_that_was_lost_or_is_wrong_is_made_anew(local, folder_of, tmp_path):
    folder = publish(folder_of(local, "random"), tmp_path).folder
    for content in (None, "{}", (folder / "evidence.json").read_text().replace('"accuracy": 0', '"accuracy": 1')):
        (folder / "evidence.json").unlink()
        if content is not None:
            (folder / "evidence.json").write_text(content)
        assert not is_unchanged(folder)
        assert publish(folder_of(local, "random"), tmp_path).anew
        assert is_unchanged(folder)


@pytest.mark.parametrize("change", ["run.json", "rows.parquet", "truncated"])
def test_something_else_in_its_place_is_left_alone(local, folder_of, tmp_path, change):
    folder = publish(folder_of(local, "random"), tmp_path).folder
    if change == "run.json":
        (folder / change).write_text((folder / change).read_text().replace('"seconds": ', '"seconds": 1'))
    elif change == "rows.parquet":
        rows = pq.read_table(folder / change)
        choice = pa.array((rows["choice"].to_numpy() + 1) % 3, rows["choice"].type)
        (folder / change).write_bytes(to_parquet(rows.set_column(rows.column_names.index("choice"), "choice", choice)))
    else:
        (folder / "rows.parquet").write_bytes((folder / "rows.parquet").read_bytes()[:-9])
    there = {file: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(bb.BeliefBenchError, match="contains something else than this run; remove it"):
        publish(folder_of(local, "random"), tmp_path)
    assert {file: file.read_bytes() for file in folder.iterdir()} == there


@pytest.mark.parametrize("key", ["/../../../elsewhere", "0" * 64])
def test_a_key_that_is_not_that_of_the_identity_makes_no_path(local, folder_of, tmp_path, key):
    run = Path(shutil.copytree(folder_of(local, "random"), tmp_path / "run"))
    edit_record(run, {"key": key})
    with pytest.raises(BeliefBenchError, match="key or its agent's name is not that of its identity"):
        publish(run, tmp_path / "a" / "out")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["run"]


def test_a_link_out_of_the_folder_is_not_followed(local, folder_of, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "flights").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BeliefBenchError, match="is a link that leaves"):
        publish(folder_of(local, "random"), tmp_path / "out")
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("name", ["rows.parquet", "evidence.json"])
def test_a_file_in_its_place_is_not_overwritten(local, folder_of, tmp_path, name):
    run = folder_of(local, "random")
    place = tmp_path / "flights" / "random" / run.name
    place.mkdir(parents=True)
    (place / name).write_text("something else")
    with pytest.raises(BeliefBenchError, match="contains something else"):
        publish(run, tmp_path)
    assert (place / name).read_text() == "something else"


def test_publishing_that_was_broken_off_goes_on(local, folder_of, tmp_path):
    run = folder_of(local, "random")
    (publish(run, tmp_path).folder / "run.json").unlink()
    assert publish(run, tmp_path).anew


def test_exact_answers_that_differ_are_refused(local, folder_of, tmp_path):
    """Those of another machine, whose last bits differ, are not; nor are they written again."""
    publish(folder_of(local, "bayesian"), tmp_path)
    (shared,) = tmp_path.rglob("exact-*.parquet")
    kept = pq.read_table(shared)
    for name, off in {"a rounding": 2**-12, "more": 0.01}.items():
        probs = kept["exact_0"].to_numpy()
        moved = pa.array(np.where(probs > 0.25, probs - np.float16(off), probs), mask=np.isnan(probs))
        shared.write_bytes(to_parquet(kept.set_column(3, "exact_0", moved)))
        written = shared.read_bytes()
        if name == "a rounding":
            assert publish(folder_of(local, "random"), tmp_path).anew
        else:
            with pytest.raises(bb.BeliefBenchError, match="has other exact answers than this run"):
                publish(folder_of(local, "bayesian-mean"), tmp_path)
        assert shared.read_bytes() == written
    shared.write_bytes(b"PAR1")
    with pytest.raises(DamagedFileError, match="cannot be read; remove it"):
        publish(folder_of(local, "bayesian-mean"), tmp_path)


def test_a_run_without_its_exact_answers_says_where_they_should_be(local, folder_of, tmp_path):
    done = publish(folder_of(local, "random"), tmp_path)
    (shared,) = tmp_path.rglob("exact-*.parquet")
    shared.unlink()
    with pytest.raises(DamagedFileError, match=r"its exact answers are in .*, which is missing"):
        RunStore(done.folder).rows()
    (problem,) = read_leaderboard(tmp_path).problems
    assert str(shared) in problem


def test_more_than_2_mb_is_refused(local, folder_of, tmp_path, monkeypatch):
    monkeypatch.setattr(publishing, "LARGEST", 1000)
    with pytest.raises(bb.BeliefBenchError, match=r"takes 0\.01 MB packed, and a published run may take 2"):
        publish(folder_of(local, "bayesian"), tmp_path)
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.fixture
def unfinished(local, folder_of, tmp_path) -> Path:
    """A run that was stopped before its end."""
    store = RunStore(tmp_path / "stopped" / "flights" / "random" / "key")
    store.folder.mkdir(parents=True)
    store.write_record(RunStore(folder_of(local, "random")).record().model_copy(update={"finished": None}))
    return store.folder


def test_an_unfinished_run_is_refused(unfinished, tmp_path):
    with pytest.raises(bb.BeliefBenchError, match="is not finished; run it again to continue it"):
        publish(unfinished, tmp_path / "out")


def test_a_run_that_is_not_whole_is_refused(local, folder_of, tmp_path):
    store = RunStore(tmp_path / "run")
    store.folder.mkdir()
    store.write_record(RunStore(folder_of(local, "random")).record())
    pq.write_table(RunStore(folder_of(local, "random")).rows()[:-1], store.rows_file)
    with pytest.raises(bb.BeliefBenchError, match=r"1 answers are missing, .* Only complete runs can be published"):
        publish(store.folder, tmp_path / "out")


# --- the command ----------------------------------------------------------------------------------


def test_the_command_publishes_all_finished_runs_below_a_folder(call, local, unfinished, tmp_path):
    shutil.copytree(local, tmp_path / "stopped", dirs_exist_ok=True)
    status, out, err = call("publish", "stopped")
    assert (status, out) == (0, "")
    assert err.count("published: results/published/flights/") == 3
    assert err.count("is not finished and left out") == 1
    sizes = sorted(float(line.split("(")[1].removesuffix(" MB)")) for line in err.splitlines() if "MB)" in line)
    packed = [file.stat().st_size for file in Path("results/published").rglob("*") if file.is_file()]
    assert sizes[0] > 0
    assert sum(sizes) == pytest.approx(sum(packed) / 1e6, abs=0.03)  # each is rounded to two decimals
    status, _, err = call("publish", "stopped")
    assert err.count("was published already: results/published/") == 3
    assert len(read_leaderboard("results/published").rows) == 3


@pytest.mark.parametrize("arguments", [["nowhere"], ["."], ["file"]])
def test_where_there_is_no_run_the_call_is_wrong(call, arguments):
    Path("file").touch()
    status, _, err = call("publish", *arguments)
    assert status == 2
    assert "there is no run in" in err


def test_a_single_run_that_cannot_be_published_is_an_error(call, unfinished):
    status, _, err = call("publish", str(unfinished))
    assert status == 1
    assert err.count("error: ") == 1
    assert "is not finished" in err
