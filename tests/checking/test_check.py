"""Checking by name: which checks a name is given, the evidence they leave, and names that cannot be checked."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from beliefbench.checking import check as checking
from beliefbench.checking.results import CheckResult, evidence
from beliefbench.errors import UsageError


def test_an_agent_by_its_spec_leaves_evidence(tmp_path):
    lines = []
    assert checking.check("lowest:duration", evidence_folder=tmp_path / "checks", report=lines.append)
    record = json.loads((tmp_path / "checks" / "lowest-duration.json").read_text())
    *findings, where = lines
    assert len(findings) == len(record["findings"]) == 7
    assert where == f"--    evidence: {tmp_path / 'checks' / 'lowest-duration.json'}"
    assert lines[0] == "ok    members: lowest:duration, version 1; only chooses."
    assert record["identity"]["feature"] == "duration"
    assert record["versions"]["numpyro"]
    assert [file.name for file in (tmp_path / "checks").iterdir()] == ["lowest-duration.json"]


def test_a_name_that_is_a_domain_and_an_agent_is_checked_as_both(tmp_path, monkeypatch, coins):
    coins = replace(coins, name="random")
    monkeypatch.setattr(checking, "is_domain", lambda name: True)
    monkeypatch.setattr(checking, "load_suite", lambda name: (coins,))
    monkeypatch.setattr(checking, "check_domain_contract", lambda domain: [CheckResult("describe", False, "no text.")])
    lines = []
    assert not checking.check("random", evidence_folder=tmp_path, report=lines.append)
    assert "FAIL  describe: no text." in lines
    assert "--    exact inference was not compared with PyMC, since the contract does not hold." in lines
    kinds = {file.name: json.loads(file.read_text())["kind"] for file in tmp_path.iterdir()}
    assert kinds == {"random.domain.json": "domain", "random.agent.json": "agent"}


def test_an_unknown_name_is_answered_with_the_nearest_of_both_kinds(tmp_path):
    for given, near in (("flihgts", "flights"), ("bayesain", "bayesian")):
        with pytest.raises(UsageError, match=f"there is no domain or agent '{given}'; did you mean '{near}'?"):
            checking.check(given, evidence_folder=tmp_path, report=print)


def test_an_agent_that_needs_a_model_says_so(tmp_path):
    with pytest.raises(UsageError, match="agent 'lowest': lowest needs model"):
        checking.check("lowest", evidence_folder=tmp_path, report=print)


def test_evidence_with_less_in_it_replaces_none_with_more(tmp_path, monkeypatch, call):
    folder = tmp_path / "checks"
    held = CheckResult("PyMC, log joint, rounds: 1", True, "the same.", {"points": 24})
    found = {"contract": [CheckResult("describe", True, "texts.")], "PyMC": [held]}
    monkeypatch.setattr(checking, "check_domain_contract", lambda domain: found["contract"])
    monkeypatch.setattr(checking, "cross_check", lambda domain: evidence("domain", domain.identity(), found["PyMC"]))
    file = folder / "flights-2.json"

    def told() -> tuple[int, str, list[str]]:
        status, out, _ = call("check", "flights-2", "--evidence", str(folder))
        checks = [one["check"] for one in json.loads(file.read_text())["findings"]]
        return status, " ".join(out.split()), checks

    both = ["describe", held.check]
    assert told()[::2] == (0, both)
    before = file.read_bytes()
    monkeypatch.undo()
    monkeypatch.setattr(checking, "check_domain_contract", lambda domain: found["contract"])
    monkeypatch.setitem(sys.modules, "pymc", None)  # as `make run` leaves it
    status, out, checks = told()
    assert (status, checks, file.read_bytes()) == (0, both, before)
    assert "not compared with PyMC: PyMC cannot be imported" in out
    dated = json.loads(before)["date"][:10]
    assert f"{file} stays as it is: its evidence, of {dated}, has checks that were left out now." in out
    found["contract"] = [CheckResult("describe", False, "no text.")]  # what fails is news
    assert told()[::2] == (1, ["describe"])
    found["contract"] = [CheckResult("describe", True, "texts.")]  # and so is what holds again, or another version
    assert told()[::2] == (0, ["describe"])
    file.write_bytes(before.replace(b'"version": "1"', b'"version": "0"'))
    assert told()[::2] == (0, ["describe"])


def test_a_check_changes_no_tracked_file(call, tmp_path, monkeypatch):
    monkeypatch.setattr(checking, "check_domain_contract", lambda domain: [CheckResult("describe", False, "no text.")])
    assert call("check", "flights-2")[0] == 1
    written = [file.relative_to(tmp_path) for file in tmp_path.rglob("*.json")]
    assert written == [Path("results/local/checks/flights-2.json")]  # .gitignore has results/local/
