"""One hostile run takes nothing down: it is named and left out, and the rest is shown."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import beliefbench as bb
from beliefbench.leaderboard.ranking import read_leaderboard
from beliefbench.publishing.several import verify_all
from beliefbench.running.store import run_key


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two local runs; nobody changes them."""
    results = tmp_path_factory.mktemp("made")
    for agent in ("random", "first"):
        bb.run("flights-2", agent, users=4, rounds=1, heldout=5, results=results)
    return results


def rewrite(folder: Path, name: str, value: object) -> None:
    """Put a value in the first row of a column."""
    rows = pq.read_table(folder / "rows.parquet", partitioning=None)
    values = [value, *rows[name].to_pylist()[1:]]
    at = rows.column_names.index(name)
    rows = rows.set_column(at, rows.schema.field(name), pa.array(values, rows[name].type))
    pq.write_table(rows, folder / "rows.parquet")


def edit(folder: Path, change: Callable[[dict], None], *, follow: bool = True) -> None:
    record = json.loads((folder / "run.json").read_text())
    change(record)
    if follow:
        record["key"] = run_key(record["identity"])
    (folder / "run.json").write_text(json.dumps(record))


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_link(file: Path) -> None:
    file.rename(file.with_name("kept"))
    file.symlink_to("/etc/hostname")


def bomb(folder: Path) -> None:
    """10 million equal rows in a small file."""
    rows = pq.read_table(folder / "rows.parquet", partitioning=None)
    many = pa.concat_tables([rows.slice(0, 1)] * 1000).combine_chunks()
    many = pa.concat_tables([many] * 10_000).combine_chunks()
    pq.write_table(many, folder / "rows.parquet", compression="zstd")


def long_text(folder: Path) -> None:
    """One long text in many rows: small even when it is unpacked, and large as a column."""
    rows = pq.read_table(folder / "rows.parquet", partitioning=None)
    many = pa.concat_tables([rows.slice(0, 1)] * 100_000).combine_chunks()
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, np.int32)), pa.array(["x" * 200_000]))
    many = many.set_column(many.column_names.index("text"), "text", text)
    pq.write_table(many, folder / "rows.parquet", compression="zstd")


HOSTILE = {
    "choice of 9": lambda folder: rewrite(folder, "choice", 9),
    "truth of 9": lambda folder: rewrite(folder, "truth", 9),
    "user below 0": lambda folder: rewrite(folder, "user", -5),
    "probability of NaN": lambda folder: rewrite(folder, "prob_0", float("nan")),
    "probability of 7": lambda folder: rewrite(folder, "prob_0", 7.0),
    "exact probability of infinity": lambda folder: rewrite(folder, "exact_1", float("inf")),
    "seconds of infinity": lambda folder: rewrite(folder, "seconds", float("inf")),
    "the run's seconds of NaN": lambda folder: edit(folder, lambda record: record.update(seconds=float("nan"))),
    "rounds of 1e9": lambda folder: edit(folder, lambda record: record["identity"].update(rounds=10**9)),
    "rounds of 30,000": lambda folder: edit(folder, lambda record: record["identity"].update(rounds=30_000)),
    "held-out sets of 1e7": lambda folder: edit(folder, lambda record: record["identity"].update(heldout=10**7)),
    "users of 1e6": lambda folder: edit(folder, lambda record: record["identity"].update(users=10**6)),
    "seed below 0": lambda folder: edit(folder, lambda record: record["identity"].update(seed=-1)),
    "another's key": lambda folder: edit(folder, lambda record: record.update(key="0" * 64), follow=False),
    "record in a pipe": lambda folder: pipe(folder / "run.json"),
    "rows in a pipe": lambda folder: pipe(folder / "rows.parquet"),
    "record in a folder": lambda folder: a_folder(folder / "run.json"),
    "rows in a folder": lambda folder: a_folder(folder / "rows.parquet"),
    "record in a link": lambda folder: a_link(folder / "run.json"),
    "rows in a link": lambda folder: a_link(folder / "rows.parquet"),
    "evidence in a pipe": lambda folder: os.mkfifo(folder / "evidence.json"),
    "10 million rows": bomb,
    "20 GB of text": long_text,
    "a record of 20 MB": lambda folder: (folder / "run.json").write_text(" " * 20_000_000),
    "a deep record": lambda folder: (folder / "run.json").write_text('{"a":' * 100_000),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_run_is_named_and_the_rest_is_shown(made, tmp_path, change):
    results = Path(shutil.copytree(made, tmp_path / "results"))
    (folder,) = (results / "flights-2" / "random").iterdir()
    change(folder)
    board = read_leaderboard(results)
    shown = [row.fields["agent"] for row in board.rows]
    assert "first" in shown
    assert [problem for problem in board.problems if str(folder) in problem]
    assert shown == ["first"] or (folder / "evidence.json").exists()
    reports = {report.folder: report for report in verify_all(results)}
    assert not reports.pop(folder).passed
    assert all(report.passed for report in reports.values())


def test_exact_answers_in_a_pipe_harm_only_the_runs_that_need_them(made, tmp_path):
    results = Path(shutil.copytree(made, tmp_path / "results"))
    os.mkfifo(results / "flights-2" / f"exact-{'0' * 16}.parquet")
    assert len(read_leaderboard(results).rows) == 2
