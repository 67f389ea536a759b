"""Ways to make a run hostile; each takes the folder of a run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beliefbench.running.store import run_key


def rewrite(folder: Path, name: str, value: object) -> None:
    """Put a value in the first row of a column, which published rows may lack."""
    rows = pq.read_table(folder / "rows.parquet", partitioning=None)
    if name not in rows.column_names:
        rows = rows.append_column(name, pa.nulls(rows.num_rows, pa.float64()))
    values = [value, *rows[name].to_pylist()[1:]]
    at = rows.column_names.index(name)
    rows = rows.set_column(at, rows.schema.field(name), pa.array(values, rows[name].type))
    pq.write_table(rows, folder / "rows.parquet")


def edit(folder: Path, change: Callable[[dict], None], *, follow: bool = True) -> None:
    """Change run.json; ``follow``: its key follows."""
    record = json.loads((folder / "run.json").read_text())
    change(record)
    if follow:
        record["key"] = run_key(record["identity"])
    (folder / "run.json").write_text(json.dumps(record))


def rename(folder: Path, name: str) -> None:
    """Give the agent another name, in every place."""

    def change(record: dict) -> None:
        record["agent"]["name"] = record["identity"]["agent"]["name"] = name

    edit(folder, change)


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_link(file: Path) -> None:
    file.rename(file.with_name("kept"))
    file.symlink_to("/etc/hostname")


def sparse(file: Path) -> None:
    """20 GB that take no room on the disk."""
    with file.open("r+b") as out:
        out.truncate(20_000_000_000)


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
    if "text" in many.column_names:
        many = many.drop_columns("text")
    pq.write_table(many.append_column("text", text), folder / "rows.parquet", compression="zstd")


HOSTILE: dict[str, Callable[[Path], object]] = {
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
    "evidence in a pipe": lambda folder: ((folder / "evidence.json").unlink(True), os.mkfifo(folder / "evidence.json")),
    "10 million rows": bomb,
    "20 GB of text": long_text,
    "rows of 20 GB": lambda folder: sparse(folder / "rows.parquet"),
    "a record of 20 MB": lambda folder: (folder / "run.json").write_text(" " * 20_000_000),
    "a deep record": lambda folder: (folder / "run.json").write_text('{"a":' * 100_000),
}
"""Runs that nobody can show."""


def _settings(folder: Path, **settings: object) -> None:
    edit(folder, lambda record: record["identity"]["agent"].update(settings))


ODD: dict[str, Callable[[Path], object]] = {
    "users of 1e9": lambda folder: edit(folder, lambda record: record["identity"].update(users=10**9)),
    "a name in LaTeX": lambda folder: rename(folder, r"p:$\input{/etc/passwd}$ {\catcode`\%=12 ~^_#&"),
    "a name in HTML": lambda folder: rename(folder, "p:<script>alert(1)</script>|**b**"),
    "a name with escapes": lambda folder: rename(folder, "p:\x1b[2J\x1b]0;owned\x07\u202e\0"),
    "a name for a spreadsheet": lambda folder: rename(folder, "=HYPERLINK(1)"),
    "a name of 3 MB": lambda folder: rename(folder, "x" * 3_000_000),
    "the name of another agent": lambda folder: rename(folder, "p0"),
    "100,000 settings": lambda folder: _settings(folder, **{f"s{number}": number for number in range(100_000)}),
    "deep settings": lambda folder: _settings(folder, deep=json.loads('{"a":' * 150 + "1" + "}" * 150)),
    "settings of every type": lambda folder: _settings(folder, a=[{"b": 1}], b={}, c=None, d=10**400, e="", f=[[]]),
    "a version in pieces": lambda folder: edit(
        folder, lambda record: record["identity"]["domain"].update(version="1\n\0\x1b[2J|$")
    ),
    "a domain with settings": lambda folder: edit(
        folder, lambda record: record["identity"]["domain"].update(name="flights-2,information=nan")
    ),
    "a domain nobody has": lambda folder: edit(
        folder, lambda record: record["identity"]["domain"].update(name="../\0x", parameters={"a": [1e300]})
    ),
    "a stopping rule": lambda folder: edit(
        folder, lambda record: (record["identity"].update(stopping={"rule": {}, "users": []}), record.update(asked=2))
    ),
    "a bad SPEC": lambda folder: edit(folder, lambda record: record.update(spec='p0:",,=\x1b[2J')),
}
"""Runs that are odd: they may be shown, escaped."""
