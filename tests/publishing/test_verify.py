"""Verifying runs that are sound, runs that cannot be wholly checked here, and the command."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import beliefbench as bb
from beliefbench.publishing.evidence import is_unchanged, read_evidence
from beliefbench.publishing.publish import publish
from beliefbench.publishing.several import verify_all
from beliefbench.publishing.verify import verify_run
from beliefbench.running.store import RunStore

from .tampering import AGENTS, edit_record, failed, flip_answer, said

# --- what is sound --------------------------------------------------------------------------------


def test_untouched_runs_pass_wherever_they_lie(published):
    reports = list(verify_all(published))
    assert [report.folder.parent.name for report in reports] == sorted(AGENTS)
    for report in reports:
        assert report.passed, said(report)
        assert not report.left_out
        assert is_unchanged(report.folder)


def test_a_run_that_is_not_published_passes_but_for_what_would_attest_it(local, folder_of):
    report = verify_run(folder_of(local, "bayesian"))
    assert report.passed, said(report)
    assert report.left_out == ["no evidence for its files: there is no evidence.json, because it is not published."]
    assert not is_unchanged(report.folder)


def test_a_run_of_another_machine_passes(local, folder_of, tmp_path):
    """It has other versions, and the last bits of its sums are others."""
    source = RunStore(folder_of(local, "bayesian"))
    elsewhere = {"versions": {"python": "3.13.0", "jax": "0.11"}, "machine": {"system": "macOS-15-arm64", "cores": "8"}}
    other = RunStore(tmp_path / "results" / source.folder.relative_to(local))
    other.folder.mkdir(parents=True)
    other.write_record(source.record().model_copy(update=elsewhere))
    rows = source.rows()
    for name in ("prob_0", "exact_0", "prob_1", "exact_1"):
        moved = pa.compute.multiply(rows[name], 1 + 1e-13)
        rows = rows.set_column(rows.column_names.index(name), name, moved)
    pq.write_table(rows, other.rows_file)
    for report in (verify_run(other.folder, rerun=2), verify_run(publish(other.folder, tmp_path / "out").folder, 2)):
        assert report.passed, said(report)


def test_a_run_that_stopped_early_passes(tmp_path):
    """Only some users were asked, in an order of their own."""
    small = {"users": 60, "rounds": 2, "heldout": 10}
    done = bb.run("flights", "random", **small, until_width=0.2, results=tmp_path / "results")
    assert done.record.asked == 48
    folder = publish(done.folder, tmp_path / "out").folder
    report = verify_run(folder, rerun=3)
    assert report.passed, said(report)
    assert "it ended after 48 users, as its rule (width 0.2) says" in said(report)

    rule = {**done.record.identity.stopping, "width": 0.01}
    edit_record(folder, {"identity": {"stopping": rule}}, follow=True)
    (folder,) = (file.parent for file in (tmp_path / "out").rglob("run.json"))
    assert failed(verify_run(folder)) == {"stopping"}


def test_a_run_of_a_sample_passes_and_its_command_asks_for_the_sample(tmp_path):
    done = bb.run("flights-2", "random", users=6, rounds=2, heldout=5, sample=2, results=tmp_path / "results")
    folder = publish(done.folder, tmp_path / "out").folder
    report = verify_run(folder, rerun=2)
    assert report.passed, said(report)
    assert "it ended after 2 users, as its rule (a sample of 2) says" in said(report)
    assert read_evidence(folder).command.endswith("--users 6 --rounds 2 --heldout 5 --seed 0 --sample 2")


# --- what cannot be checked here ------------------------------------------------------------------


def test_a_domain_that_is_not_here_is_no_failure(flights, tmp_path):
    """As imported users are not, on a machine where nobody imported them."""
    domain = replace(flights, name="released/people")
    done = bb.run(domain, "random", users=6, rounds=2, heldout=10, results=tmp_path / "results")
    report = verify_run(publish(done.folder, tmp_path / "out").folder, rerun=1)
    assert report.passed, said(report)
    (sentence,) = report.left_out
    assert sentence.startswith("users, held-out sets and exact answers were not recomputed: there is no domain")


# --- the command ----------------------------------------------------------------------------------


def test_the_command_reports_each_run(call, published, folder_of):
    status, out, err = call("verify", str(published), "--rerun", "1")
    assert status == 0
    assert out.count("ok    agent: 1 user asked again") == 3
    assert "3 of 3 runs passed every check that was made" in err
    flip_answer(folder_of(published, "random"))
    status, out, err = call("verify", str(folder_of(published, "random")))
    assert status == 1
    assert "FAIL  files: rows.parquet was changed" in out
    assert "0 of 1 run passed every check" in err


@pytest.mark.parametrize("arguments", [["nowhere"], ["."], ["nowhere", "--rerun", "-1"], ["nowhere", "--seed", "x"]])
def test_a_wrong_call_has_status_2(call, arguments):
    status, out, _ = call("verify", *arguments)
    assert (status, out) == (2, "")
