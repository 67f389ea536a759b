"""Ways to change a published run, with and without making its evidence anew, and what a report says of it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import beliefbench as bb
from beliefbench.publishing.declared import expected_choices
from beliefbench.publishing.evidence import evidence_of
from beliefbench.publishing.publish import exact_name
from beliefbench.publishing.recompute import Recomputed
from beliefbench.publishing.report import Report
from beliefbench.running.packing import pack_exact, pack_rows, to_parquet
from beliefbench.running.store import RunStore, run_folder, run_key

AGENTS = ("bayesian", "random", "bayesian-mean")


def failed(report: Report) -> set[str]:
    return {result.check for result in report.findings if not result.passed}


def said(report: Report) -> str:
    return "\n".join(report.lines())


def change_rows(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Write a published run's rows anew, changed."""
    file = folder / "rows.parquet"
    rows = pq.read_table(file, partitioning=None)
    file.write_bytes(to_parquet(change(rows).replace_schema_metadata(rows.schema.metadata)))


def with_value(rows: pa.Table, name: str, at: int, value: float) -> pa.Table:
    values = rows[name].to_pylist()
    values[at] = value
    return rows.set_column(rows.column_names.index(name), name, pa.array(values, rows.schema.field(name).type))


def flip_answer(folder: Path) -> None:
    change_rows(folder, lambda rows: with_value(rows, "choice", 7, (rows["choice"][7].as_py() + 1) % 3))


def choose_again(folder: Path) -> None:
    """Choose the likeliest options, ties broken as agents break them."""
    store = RunStore(folder)
    record, rows = store.record(), store.rows()
    chosen = expected_choices(Recomputed(record, rows, bb.load_domain(record.identity.domain.name)))
    at = rows.column_names.index("choice")
    rows = rows.set_column(at, "choice", pa.array(chosen.ravel(), rows["choice"].type))
    change_rows(folder, lambda _: pack_rows(rows, exact_name(record)))


def drop_user(folder: Path) -> None:
    change_rows(folder, lambda rows: rows.filter(pa.compute.not_equal(rows["user"], rows["user"][0])))


def other_seed(folder: Path) -> None:
    """Another seed's run in its place: other users, other options."""
    rows, (exact,) = of_seed(1), folder.parents[1].glob("exact-*.parquet")
    exact.write_bytes(to_parquet(pack_exact(rows)))
    change_rows(folder, lambda _: pack_rows(rows, exact.name))


def of_seed(seed: int) -> pa.Table:
    """The rows of `bayesian` at a seed, made as all runs are."""
    shape = {"users": 6, "rounds": 2, "heldout": 10}
    return bb.run("flights", "bayesian", **shape, seed=seed, results=tempfile.mkdtemp()).rows()


def edit_record(folder: Path, changes: dict, *, follow: bool = False) -> None:
    """Edit run.json; ``follow``: with the key, the folder and the evidence that go with it."""
    record = json.loads((folder / "run.json").read_text())
    for name, change in changes.items():
        record[name] = {**record[name], **change} if isinstance(change, dict) else change
    if follow:
        record["key"] = run_key(record["identity"])
    (folder / "run.json").write_text(json.dumps(record))
    if follow:
        attest(folder)


def attest(folder: Path) -> Path:
    """Make evidence.json of what lies there, and put the run where its key says; return where."""
    store = RunStore(folder)
    record = store.record()
    exact = sorted(folder.parents[1].glob("exact-*.parquet"))[0]
    exact = exact.rename(exact.with_name(exact_name(record)))
    rows = pq.read_table(store.rows_file, partitioning=None)
    store.rows_file.write_bytes(to_parquet(rows.replace_schema_metadata({"exact_answers": exact.name})))
    files = {file.name: file.read_bytes() for file in (folder / "run.json", store.rows_file)}
    files[f"../../{exact.name}"] = exact.read_bytes()
    (folder / "evidence.json").write_bytes(evidence_of(record, store.rows(), files).as_bytes())
    place = run_folder(folder.parents[2], record.identity.domain.name, record.agent.name, record.key)
    return folder if place == folder else folder.rename(place)
