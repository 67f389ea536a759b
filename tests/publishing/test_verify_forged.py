"""Verifying finds what was published false, with digests, key and metrics all made anew."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from beliefbench.publishing.evidence import is_unchanged
from beliefbench.publishing.verify import verify_run
from beliefbench.running.packing import pack_exact, to_parquet
from beliefbench.running.store import RunStore, run_key

from .tampering import change_rows, drop_user, edit_record, failed, other_seed, said


def leave_a_user_out(folder: Path) -> None:
    drop_user(folder)
    edit_record(folder, {"asked": 5})


def count_fewer_users(folder: Path) -> None:
    drop_user(folder)
    record = json.loads((folder / "run.json").read_text())
    record["identity"]["users"] = 5
    record["key"] = run_key(record["identity"])
    (folder / "run.json").write_text(json.dumps(record))


def claim_another_seed(folder: Path) -> None:
    record = json.loads((folder / "run.json").read_text())
    record["identity"]["seed"] = 1
    record["key"] = run_key(record["identity"])
    (folder / "run.json").write_text(json.dumps(record))


def claim_another_version(folder: Path) -> None:
    record = json.loads((folder / "run.json").read_text())
    record["identity"]["domain"]["version"] = "0"
    record["key"] = run_key(record["identity"])
    (folder / "run.json").write_text(json.dumps(record))


def want_what_is_recommended(folder: Path) -> None:
    change_rows(
        folder, lambda rows: rows.set_column(rows.column_names.index("truth"), "truth", rows["choice"].cast(pa.int8()))
    )


def make_the_exact_answers_ours(folder: Path) -> None:
    rows = RunStore(folder).rows()
    own = pa.compute.equal(rows["question"], -1)
    for option in range(3):
        ours = pa.compute.if_else(own, None, rows[f"prob_{option}"])
        rows = rows.set_column(rows.column_names.index(f"exact_{option}"), f"exact_{option}", ours)
    (file,) = folder.parents[1].glob("exact-*.parquet")
    file.write_bytes(to_parquet(pack_exact(rows)))


@pytest.mark.parametrize(
    ("agent", "change", "check"),
    [
        ("bayesian", leave_a_user_out, "users"),
        ("bayesian", count_fewer_users, "users"),
        ("bayesian", other_seed, "users"),
        ("bayesian", claim_another_seed, "users"),
        ("bayesian", claim_another_version, "domain"),
        ("bayesian", want_what_is_recommended, "truth"),
        ("random", make_the_exact_answers_ours, "exact answers"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_was_published_false_is_found(forged, agent, change, check):
    report = verify_run(forged(agent, change))
    assert check in failed(report), said(report)
    assert not [result for result in report.findings if "raised" in result.detail], said(report)


def test_evidence_has_to_name_every_file(published, folder_of):
    folder = folder_of(published, "random")
    evidence = json.loads((folder / "evidence.json").read_text())
    for name in list(evidence["files"]):
        files = {one: digest for one, digest in evidence["files"].items() if one != name}
        (folder / "evidence.json").write_text(json.dumps({**evidence, "files": files}))
        assert failed(verify_run(folder)) == {"files"}
        assert not is_unchanged(folder)


def test_the_key_and_the_folder_follow_from_the_identity(published, folder_of):
    folder = folder_of(published, "random")
    moved = folder.rename(folder.parent / "0123456789abcdef")
    assert failed(verify_run(moved)) == {"key"}
    moved = moved.rename(folder)
    edit_record(moved, {"key": "0" * 64})
    assert failed(verify_run(moved)) == {"files", "key"}
