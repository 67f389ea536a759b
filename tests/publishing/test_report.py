"""What a report says: intact, asked again, what a table shows of it, and checks that are not possible."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from beliefbench.checking.results import CheckResult
from beliefbench.publishing import several
from beliefbench.publishing.report import Report

FILES = {"run.json": "1" * 64}


def report(*findings: CheckResult, **known: object) -> Report:
    return Report(Path("r"), list(findings), **{"files": FILES, "domain": "d"} | known)


def test_a_run_is_intact_if_all_was_recomputed_and_no_check_failed():
    good, bad = CheckResult("rows", True, "there."), CheckResult("truth", False, "differs.")
    assert report(good).intact
    assert not report(good, bad).intact
    assert not report(good, files=None).intact
    assert not report(good, domain=None).intact
    assert report(good, files=None, domain=None).passed
    assert report(good, bad).found() == {
        "intact": False,
        "failed": ["truth: differs."],
        "flags": [],
        "probs": None,
    }


def test_asked_again_is_the_finding_that_the_agent_gave_the_same():
    again = CheckResult("agent", True, "the same.")
    assert report(CheckResult("rows", True, ""), again).asked_again == again
    assert report(CheckResult("agent", False, "others.")).asked_again is None
    assert report(CheckResult("rows", True, "")).asked_again is None


@pytest.mark.parametrize(
    ("finding", "added"),
    [
        (CheckResult("agent", False, "others."), False),  # this call found it itself
        (CheckResult("agent", True, "the same."), True),
        (CheckResult("SPEC", False, "cannot be loaded."), True),
        (CheckResult("truth", False, "differs."), True),
    ],
)
def test_what_an_earlier_rerun_found_is_added_unless_this_one_found_it(monkeypatch, finding, added):
    monkeypatch.setattr(several, "_failed_rerun", lambda folder: "2 users asked again: others.")
    found = several._with_failed_rerun(report(finding)).findings
    assert found[0] == finding
    assert [one.check for one in found[1:]] == ["agent"] * added
    monkeypatch.setattr(several, "_failed_rerun", lambda folder: None)
    assert several._with_failed_rerun(report(finding)).findings == [finding]


def test_what_a_table_shows_of_a_failed_check_has_160_characters_at_most():
    (short,) = report(CheckResult("x", False, "y" * 157)).found()["failed"]
    (long,) = report(CheckResult("x", False, "y" * 158)).found()["failed"]
    assert short == f"x: {'y' * 157}"
    assert long == f"x: {'y' * 156}…"


def test_a_check_that_is_not_possible_is_no_finding():
    one = report()

    def impossible() -> str:
        raise KeyError("no such agent")

    one.holds_if_possible("SPEC", impossible, KeyError)
    assert (one.findings, one.left_out) == ([], ["'no such agent'"])
    one.holds_if_possible("SPEC", lambda: "fine.", KeyError)
    assert [(found.check, found.passed, found.detail) for found in one.findings] == [("SPEC", True, "fine.")]
    assert one.read("rows", lambda: SimpleNamespace(a=1)).a == 1
    assert len(one.findings) == 1
