"""Publishing: what packing keeps and what it may move, how small it is, and what is refused."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import beliefbench as bb
from beliefbench.leaderboard.ranking import read_leaderboard
from beliefbench.publishing import publish as publishing
from beliefbench.publishing.evidence import Evidence, verified
from beliefbench.publishing.layout import Layout
from beliefbench.publishing.publish import publish
from beliefbench.running.packing import (
    TOLERANCE,
    pack_exact,
    pack_probs,
    pack_rows,
    to_parquet,
    unpack_probs,
    unpack_rows,
)
from beliefbench.running.store import ROWS, DamagedFileError, RunStore
from beliefbench.scoring.heldout import HeldOut
from beliefbench.scoring.scores import ROUND_FIELDS, score

MOVED = {"log_score": 1e-4, "brier": 1e-5, "kl_exact": 1e-4, "ece": 5e-4}
"""The most by which packing may move a metric of 62,400 answers; docs/publishing.md says so."""
OF_FEW = {"log_score": 1e-3, "brier": 5e-4, "kl_exact": 1e-3, "ece": 0.05}
"""The same of 60 answers: where one falls into the next bin of ECE, that moves."""


# --- 16 bits --------------------------------------------------------------------------------------


def tied(probs: np.ndarray) -> np.ndarray:
    return probs >= probs.max(axis=-1, keepdims=True) - 1e-9


@settings(max_examples=300)
@given(arrays(np.float64, (4, 3), elements=st.one_of(st.floats(0, 1), st.sampled_from([0, 1e-7, 0.25, 0.5, 1]))))
def test_packing_moves_no_probability_far_and_changes_no_tie(weights):
    probs = np.where(weights.sum(-1, keepdims=True) > 0, weights, 1)
    probs = probs / probs.sum(axis=-1, keepdims=True)
    kept = pack_probs(probs)
    back = unpack_probs(kept)
    assert kept.dtype == np.float16
    assert abs(back - probs).max() <= TOLERANCE
    assert abs(back.sum(axis=-1) - 1).max() < 1e-12
    assert (back >= 0).all()
    assert (tied(back) == tied(probs)).all()
    assert np.array_equal(pack_probs(back), kept, equal_nan=True)  # what is packed again stays as it is


@pytest.mark.parametrize(
    "probs",
    [
        [0.5001, 0.4999, 0.0],  # both round to 1/2
        [0.33341, 0.33340, 0.33319],
        [0.3334, 0.3333, 0.3333],
        [1 / 3, 1 / 3, 1 / 3],
        [0.4, 0.2, 0.4],
        [1.0, 0.0, 0.0],
        [1 - 3e-8, 2e-8, 1e-8],
    ],
)
def test_near_ties_and_ties_stay_what_they_are(probs):
    back = unpack_probs(pack_probs(np.array([probs])))
    assert (tied(back) == tied(np.array([probs]))).all()
    assert abs(back - probs).max() <= TOLERANCE


# --- what a published run says --------------------------------------------------------------------


def near(one: float | None, other: float | None, by: float) -> bool:
    return one is other or abs(one - other) <= by


def test_metrics_move_by_no_more_than_declared(local, folder_of, tmp_path):
    """Choices, truth and ties are kept, so what rests on them is the same to the bit."""
    for agent in ("bayesian", "random", "bayesian-mean"):
        publish(folder_of(local, agent), tmp_path)
    before, after = (
        {row.fields["agent"]: row for row in read_leaderboard(results).rows} for results in (local, tmp_path)
    )
    assert set(after) == set(before) == {"bayesian", "random", "bayesian-mean"}
    for agent, row in after.items():
        assert row.fields == before[agent].fields
        assert row.tokens == before[agent].tokens
        for one, other in zip(row.rounds, before[agent].rounds, strict=True):
            for name in ROUND_FIELDS:
                assert near(one[name], other[name], OF_FEW.get(name, 0)), (agent, name)
    assert max(one["kl_exact"] for one in after["bayesian"].rounds) < 1e-6


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


def made_up(users: int, stages: int, heldout: int) -> pa.Table:
    """Rows as a language model's would be, every probability another number, some answers unusable."""
    rng = np.random.default_rng(0)
    layout = Layout.of_shape(users, stages - 1, heldout)
    stage, question = np.tile(layout.stage, users), np.tile(layout.question, users)
    count, own = len(stage), np.tile(layout.own, users)
    scores = rng.normal(scale=5, size=(2, count, 3))  # of spreads from 1/2 to 5, this takes most
    probs, exact = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    unusable = rng.random(count) < 0.01
    levels = [[0.1, 0.2, 0.3, 0.25, 0.15]] * 4
    columns = {
        "user": np.repeat(rng.permutation(users), len(layout.stage)),
        "stage": stage,
        "question": question,
        "truth": rng.integers(3, size=count),
        "choice": np.where(unusable, -1, probs.argmax(axis=-1)),
        **{f"prob_{option}": np.where(unusable, np.nan, probs[:, option]) for option in range(3)},
        **{f"exact_{option}": np.where(own, np.nan, exact[:, option]) for option in range(3)},
        "tokens": rng.integers(10, 14, size=count),
        "text": ["The best option is Flight 1."] * count,
        "seconds": rng.random(count),
        "bounded": [None] * count,
        "by_beliefs": rng.integers(3, size=count),
        "beliefs": [levels if one == 0 else None for one in question],
        "exact_beliefs": [levels if one == 0 else None for one in question],
    }
    arrays = [pa.array(columns[field.name], type=field.type, from_pandas=True) for field in ROWS]
    return pa.Table.from_arrays(arrays, schema=ROWS)


def test_a_language_model_on_all_of_flights_takes_2_mb_at_most():
    rows = made_up(users=624, stages=6, heldout=100)
    packed, exact = pack_rows(rows, "exact-0.parquet"), pack_exact(rows)
    assert len(to_parquet(packed.drop_columns(["by_beliefs", "beliefs", "exact_beliefs"]))) < 1_900_000
    assert len(to_parquet(exact)) < 2_000_000
    read = (HeldOut.of(one, (624, 6, 100), True) for one in (rows, unpack_rows(packed, exact)))
    before, after = map(score, read)
    for one, other in zip(before, after, strict=True):
        for name in ROUND_FIELDS:
            assert near(one[name], other[name], MOVED.get(name, 0)), name


def test_all_that_is_kept_comes_back(tmp_path):
    rows = made_up(users=5, stages=3, heldout=4).sort_by(
        [(name, "ascending") for name in ("user", "stage", "question")]
    )
    file = tmp_path / "d" / "a" / "k" / "rows.parquet"
    file.parent.mkdir(parents=True)
    name = "exact-0123456789abcdef.parquet"
    file.write_bytes(to_parquet(pack_rows(rows, name)))
    (tmp_path / "d" / name).write_bytes(to_parquet(pack_exact(rows)))
    back = RunStore(file.parent).rows()
    moved = [one for one in ROWS.names if one.startswith(("prob", "exact", "beliefs"))]
    for one in ROWS.names:
        if one in ("text", "seconds"):
            assert back[one].null_count == back.num_rows
        elif one in moved:
            assert back[one].is_null().equals(rows[one].is_null())
        else:
            assert back[one].equals(rows[one]), one
    beliefs = back["beliefs"].drop_null().to_pylist()
    assert np.allclose(beliefs, rows["beliefs"].drop_null().to_pylist(), rtol=0, atol=TOLERANCE)


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
        assert not verified(folder)
        assert publish(folder_of(local, "random"), tmp_path).anew
        assert verified(folder)


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
    with pytest.raises(bb.BeliefBenchError, match="holds something else than this run; remove it"):
        publish(folder_of(local, "random"), tmp_path)
    assert {file: file.read_bytes() for file in folder.iterdir()} == there


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
            with pytest.raises(bb.BeliefBenchError, match="holds other exact answers than this run"):
                publish(folder_of(local, "bayesian-mean"), tmp_path)
        assert shared.read_bytes() == written
    shared.write_bytes(b"PAR1")
    with pytest.raises(DamagedFileError, match="cannot be read; remove it"):
        publish(folder_of(local, "bayesian-mean"), tmp_path)


def test_a_run_without_its_exact_answers_says_where_they_should_be(local, folder_of, tmp_path):
    done = publish(folder_of(local, "random"), tmp_path)
    (shared,) = tmp_path.rglob("exact-*.parquet")
    shared.unlink()
    with pytest.raises(DamagedFileError, match=r"its exact answers lie in .*, which is not there"):
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
    with pytest.raises(bb.BeliefBenchError, match="is not finished; run it again to go on where it stopped"):
        publish(unfinished, tmp_path / "out")


def test_a_run_that_is_not_whole_is_refused(local, folder_of, tmp_path):
    store = RunStore(tmp_path / "run")
    store.folder.mkdir()
    store.write_record(RunStore(folder_of(local, "random")).record())
    pq.write_table(RunStore(folder_of(local, "random")).rows()[:-1], store.rows_file)
    with pytest.raises(bb.BeliefBenchError, match=r"1 answers are missing, .* Only whole runs are published"):
        publish(store.folder, tmp_path / "out")


# --- the command ----------------------------------------------------------------------------------


def test_the_command_publishes_all_finished_runs_below_a_folder(call, local, unfinished, tmp_path):
    shutil.copytree(local, tmp_path / "stopped", dirs_exist_ok=True)
    status, out, err = call("publish", "stopped")
    assert (status, out) == (0, "")
    assert err.count("published: results/published/flights/") == 3
    assert err.count("is not finished and left out") == 1
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
