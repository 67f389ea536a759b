"""Verifying finds what was changed after a run was published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beliefbench.publishing import several
from beliefbench.publishing.evidence import is_unchanged
from beliefbench.publishing.several import verify_all
from beliefbench.publishing.verify import verify_run
from beliefbench.running.packing import to_parquet

from .tampering import change_rows, drop_user, edit_record, failed, flip_answer, other_seed, said, with_value


def change_probability(folder: Path) -> None:
    rows = pq.read_table(folder / "rows.parquet", partitioning=None)
    given = pa.compute.and_(pa.compute.is_valid(rows["prob_1"]), pa.compute.greater_equal(rows["question"], 0))
    at = given.to_pylist().index(True)
    off = np.float16(rows["prob_1"][at].as_py() + 0.001)
    change_rows(folder, lambda rows: with_value(rows, "prob_1", at, off))


def duplicate_row(folder: Path) -> None:
    change_rows(folder, lambda rows: pa.concat_tables([rows, rows[3:4]]))


def drop_row(folder: Path) -> None:
    change_rows(folder, lambda rows: rows[1:])


def edit_run_json(folder: Path) -> None:
    edit_record(folder, {"seconds": 12345.0})


def truncate(folder: Path) -> None:
    content = (folder / "rows.parquet").read_bytes()
    (folder / "rows.parquet").write_bytes(content[: len(content) // 2])


def truncate_run_json(folder: Path) -> None:
    content = (folder / "run.json").read_bytes()
    (folder / "run.json").write_bytes(content[: len(content) // 2])


def truncate_evidence(folder: Path) -> None:
    content = (folder / "evidence.json").read_bytes()
    (folder / "evidence.json").write_bytes(content[: len(content) // 2])


def swap_exact_answers(folder: Path) -> None:
    (file,) = folder.parents[1].glob("exact-*.parquet")
    exact = pq.read_table(file)
    file.write_bytes(to_parquet(exact.set_column(3, "exact_0", exact["exact_0"].take(np.arange(len(exact))[::-1]))))


def lose(name: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        (folder / name).unlink()

    remove.__name__ = f"lose_{name}"
    return remove


def edit_metric(folder: Path) -> None:
    evidence = json.loads((folder / "evidence.json").read_text())
    evidence["rounds"][-1]["accuracy"] += 0.01
    (folder / "evidence.json").write_text(json.dumps(evidence))


@pytest.mark.parametrize(
    ("change", "checks"),
    [
        (flip_answer, {"files", "metrics"}),
        (change_probability, {"files", "metrics"}),
        (drop_user, {"files", "rows"}),
        (duplicate_row, {"files", "rows"}),
        (drop_row, {"files", "rows"}),
        (other_seed, {"files", "metrics", "users"}),
        (edit_run_json, {"files"}),
        (truncate, {"files", "rows.parquet"}),
        (truncate_run_json, {"files", "run.json"}),
        (truncate_evidence, {"evidence.json"}),
        (swap_exact_answers, {"files", "rows.parquet"}),
        (lose("run.json"), {"files", "run.json"}),
        (lose("rows.parquet"), {"files", "run.json"}),
        (lose("evidence.json"), {"evidence.json"}),
        (edit_metric, {"metrics"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_was_changed_is_found(published, folder_of, change, checks):
    """Each by the checks that should, and whatever is broken, the report ends."""
    folder = folder_of(published, "bayesian")
    change(folder)
    report = verify_run(folder)
    assert failed(report) >= checks, said(report)
    assert not report.passed
    assert not is_unchanged(folder)
    assert not [result for result in report.findings if "raised" in result.detail], said(report)


def test_another_command_beside_the_run_is_found(published, folder_of):
    folder = folder_of(published, "bayesian")
    evidence = json.loads((folder / "evidence.json").read_text())
    evidence["command"] = evidence["command"].replace("bayesian", "random")
    (folder / "evidence.json").write_text(json.dumps(evidence))
    report = verify_run(folder)
    assert failed(report) == {"metrics"}
    assert "evidence.json names another command than run.json: beliefbench run --domain flights" in said(report)


def test_only_what_was_changed_is_found(published, folder_of):
    flip_answer(folder_of(published, "random"))
    reports = {report.folder.parent.name: report for report in verify_all(published)}
    assert {agent: report.passed for agent, report in reports.items()} == {
        "bayesian": True,
        "bayesian-mean": True,
        "random": False,
    }


def test_sentences_say_what_is_wrong(published, folder_of):
    folder = folder_of(published, "bayesian")
    user = int(pq.read_table(folder / "rows.parquet", partitioning=None)["user"][0].as_py())
    drop_row(folder)
    report = said(verify_run(folder))
    assert "FAIL  files: rows.parquet was changed: its SHA-256 is not the one in evidence.json." in report
    assert f"FAIL  rows: 1 answers are missing, such as user {user}, stage 0, own set." in report
    assert "--    nothing was recomputed, because its rows are not complete." in report


def test_a_run_that_lies_there_twice_is_found(published, folder_of):
    shutil.copytree(published, published / "again")
    found = [failed(report) for report in verify_all(published)]
    assert found.count({"duplicate"}) == found.count(set()) == 3


@pytest.mark.reference
def test_several_domains_are_verified_by_several_processes(published, folder_of, tmp_path, monkeypatch):
    """The reports are those of one process, in the order of the folders."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    flip_answer(folder_of(published, "random"))
    for number in range(4):
        shutil.copytree(published, tmp_path / "all" / str(number))
    found = list(verify_all(tmp_path / "all"))
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert [report.lines() for report in found] == [report.lines() for report in verify_all(tmp_path / "all")]
    assert [report.folder for report in found] == sorted(report.folder for report in found)
    assert ["files" in failed(report) for report in found] == [False, False, True] * 4


@pytest.mark.parametrize("change", [change_probability, edit_run_json, truncate, truncate_evidence, swap_exact_answers])
def test_a_run_that_passed_before_is_checked_again_once_it_is_changed(published, folder_of, change):
    folder = folder_of(published, "bayesian")
    first = [report.lines() for report in verify_all(folder)]
    assert [report.lines() for report in verify_all(folder)] == first
    change(folder)
    (report,) = verify_all(folder)
    assert not report.passed
    assert report.lines() == verify_run(folder).lines()


def test_a_run_is_checked_again_for_other_code_of_its_domain_or_agent_only(published, folder_of, monkeypatch):
    folder, checked = folder_of(published, "random"), []
    real = several.check_run
    monkeypatch.setattr(several, "check_run", lambda *given: checked.append(given) or real(*given))
    codes = {"domain": "one", "agent": "one"}
    monkeypatch.setattr(several, "code_of_name", lambda kind, name: codes[kind])
    (first,) = verify_all(folder)
    assert (first.passed, len(checked)) == (True, 1)
    (again,) = verify_all(folder)
    assert (again.lines(), len(checked)) == (first.lines(), 1)
    for number, kind in enumerate(codes, 2):
        codes[kind] = "two"
        for _ in range(2):
            (report,) = verify_all(folder)
            assert (report.lines(), len(checked)) == (first.lines(), number)
    codes["agent"] = None  # nobody can tell whether it changed
    for number in (4, 5):
        list(verify_all(folder))
        assert len(checked) == number


@pytest.mark.parametrize("agent", ["random", "bayesian"])
def test_a_report_that_failed_is_not_kept(published, folder_of, monkeypatch, agent):
    folder, checked = folder_of(published, agent), []
    flip_answer(folder)
    real = several.check_run
    monkeypatch.setattr(several, "check_run", lambda *given: checked.append(given) or real(*given))
    for number in (1, 2):
        (report,) = verify_all(folder)
        assert not report.passed
        assert len(checked) == number
