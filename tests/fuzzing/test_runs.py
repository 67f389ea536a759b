"""The files of a run, changed in any way: run.json, evidence.json, rows and exact answers in Parquet."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

import beliefbench as bb
from beliefbench.checking.results import CheckFailedError
from beliefbench.errors import BeliefBenchError
from beliefbench.leaderboard.reading import measured, read_row, row_of
from beliefbench.publishing.evidence import check_files, check_metrics, read_evidence, recomputed
from beliefbench.publishing.publish import publish
from beliefbench.running.files import read_parquet
from beliefbench.running.store import RunStore

from .changes import changed_bytes, json_files


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as it is left."""
    done = bb.run("flights-2", "random", users=4, rounds=1, heldout=5, results=tmp_path_factory.mktemp("local"))
    return done.folder


@pytest.fixture(scope="module")
def published(local: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, published."""
    out = tmp_path_factory.mktemp("published")
    publish(local, out)
    return next(out.rglob("run.json")).parent


@pytest.fixture
def copied(published: Path, tmp_path: Path) -> Path:
    """The folder of a copy of the published run, whose files a test replaces."""
    results = published.parents[2]
    return Path(shutil.copytree(results, tmp_path / "results")) / published.relative_to(results)


def test_run_records(tried, copied):
    """A record that is read stands in a table: nothing in it ends in an error that nobody foresaw."""

    def read(content: bytes) -> None:
        (copied / "run.json").write_bytes(content)
        store = RunStore(copied)
        record = store.record()
        if record and record.finished:
            row_of(record, copied, measured(record, copied, store.rows()))
            said = read_row(store)
            assert not isinstance(said, str) or "cannot be read (" not in said or str(copied / "run.json") in said

    tried(read, json_files((copied / "run.json").read_bytes()))


def test_evidence(tried, copied):
    rows = RunStore(copied).rows()
    metrics = recomputed(RunStore(copied).record(), rows)

    def read(content: bytes) -> None:
        (copied / "evidence.json").write_bytes(content)
        evidence = read_evidence(copied)
        assert evidence
        try:
            check_files(copied, evidence)
            check_metrics(evidence, rows.num_rows, metrics)
        except CheckFailedError as error:
            raise BeliefBenchError(str(error)) from error

    tried(read, json_files((copied / "evidence.json").read_bytes()))


TYPES = [
    *(pa.int8(), pa.int16(), pa.int64(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.null()),
    *(
        pa.string(),
        pa.large_string(),
        pa.binary(),
        pa.decimal128(20, 3),
        pa.timestamp("ns"),
        pa.date32(),
        pa.duration("s"),
    ),
    *(
        pa.list_(pa.int64()),
        pa.list_(pa.list_(pa.float16())),
        pa.struct([("a", pa.int32())]),
        pa.map_(pa.string(), pa.int8()),
    ),
    *(pa.dictionary(pa.int32(), pa.string()), pa.list_(pa.list_(pa.float64()))),
]
ODD = [
    None,
    0,
    -1,
    9,
    2**31 - 1,
    -(2**31),
    1.5,
    float("nan"),
    float("inf"),
    "",
    "x" * 100,
    True,
    b"\xff",
    [[0.5]],
    [[]],
    {},
]


@st.composite
def columns(draw: st.DrawFn, rows: int) -> pa.Array:
    """A column of any type: random values where the type can hold them, or nulls."""
    kind = draw(st.sampled_from(TYPES))
    values = draw(st.lists(st.sampled_from(ODD), min_size=1, max_size=3)) * rows
    try:
        return pa.array(values[:rows], kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.nulls(rows, kind)


@st.composite
def tables(draw: st.DrawFn, sound: pa.Table) -> pa.Table:
    """Rows with some columns left out, of another type, with odd values, doubled, or under other names."""
    table = sound
    if draw(st.booleans()):
        begin = draw(st.integers(0, table.num_rows))
        table = pa.concat_tables([table.slice(begin, draw(st.integers(0, 8)))] * draw(st.integers(1, 3)))
    for _ in range(draw(st.integers(0, 3))):
        if table.num_columns < 2:
            break
        at = draw(st.integers(0, table.num_columns - 1))
        name = table.column_names[at]
        change = draw(st.sampled_from(["leave out", "type", "value", "double", "rename"]))
        if change == "leave out":
            table = table.remove_column(at)
        elif change == "type":
            table = table.set_column(at, name, draw(columns(table.num_rows)))
        elif change == "value":
            table = table.set_column(at, name, odd(table.column(at), draw(st.sampled_from(ODD))))
        elif change == "double":
            table = table.append_column(name, table.column(at))
        else:
            table = table.set_column(
                at, draw(st.sampled_from(["", "text", "exact_0", "user", "\x00"])), table.column(at)
            )
    names = st.sampled_from([b"exact-0123456789abcdef.parquet", b"../x", b"\xff", b""])
    if draw(st.booleans()):
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"exact_answers": draw(names)})
    return table


def odd(column: pa.ChunkedArray, value: Any) -> pa.Array:
    """A column with one value replaced, if its type can hold that."""
    values = column.to_pylist()
    try:
        return pa.array([*values[:-1], value][: len(values)], column.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.nulls(len(values), column.type)


def as_parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table, sink)
    except (pa.ArrowException, ValueError):  # Parquet cannot hold it
        return b"PAR1"
    return sink.getvalue().to_pybytes()


def parquet_files(file: Path) -> st.SearchStrategy[bytes]:
    """Contents for the place of a Parquet file."""
    sound = pq.read_table(file, partitioning=None)
    return tables(sound).map(as_parquet) | changed_bytes(file.read_bytes())


def test_local_rows(tried, local, tmp_path):
    folder = Path(shutil.copytree(local, tmp_path / "run"))
    record = RunStore(folder).record()

    def read(content: bytes) -> None:
        (folder / "rows.parquet").write_bytes(content)
        measured(record, folder, RunStore(folder).rows())

    tried(read, parquet_files(local / "rows.parquet"))


def test_published_rows(tried, copied):
    record = RunStore(copied).record()

    def read(content: bytes) -> None:
        (copied / "rows.parquet").write_bytes(content)
        measured(record, copied, RunStore(copied).rows())

    tried(read, parquet_files(copied / "rows.parquet"))


def test_exact_answers(tried, copied):
    (exact,) = copied.parent.parent.glob("exact-*.parquet")
    record = RunStore(copied).record()

    def read(content: bytes) -> None:
        exact.write_bytes(content)
        measured(record, copied, RunStore(copied).rows())

    tried(read, parquet_files(exact))


def test_any_parquet(tried, tmp_path):
    file = tmp_path / "any.parquet"

    def read(content: bytes) -> None:
        file.write_bytes(content)
        read_parquet(file)

    empty = pa.table({"user": pa.array(np.arange(6), pa.int32()), "text": ["a"] * 6})
    tried(read, tables(empty).map(as_parquet) | st.binary().map(lambda inner: b"PAR1" + inner + b"PAR1"))
