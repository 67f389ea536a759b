"""Verifying by asking the agent again, which alone can show whose answers they are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import beliefbench as bb
from beliefbench.publishing.publish import exact_name
from beliefbench.publishing.several import verify_all
from beliefbench.publishing.verify import verify_run
from beliefbench.running.packing import pack_rows
from beliefbench.running.store import RunStore

from .tampering import change_rows, choose_again, edit_record, failed, said


def test_honest_runs_pass_when_asked_again(published):
    for report in verify_all(published, rerun=3, seed=1):
        assert report.passed, said(report)
        assert "ok    agent: 3 users asked again (--seed 1): 0.00% of 96 choices differ" in said(report)


def test_who_is_asked_again_cannot_be_foreseen(published, folder_of):
    folder = folder_of(published, "random")
    seeds = {re.search(r"--seed (\d+)", said(verify_run(folder, rerun=1))).group(1) for _ in range(3)}
    assert len(seeds) == 3
    assert said(verify_run(folder, rerun=1, seed=5)) == said(verify_run(folder, rerun=1, seed=5))


@pytest.mark.parametrize(("agent", "of"), [("random", "bayesian"), ("bayesian", "random"), ("bayesian-mean", "random")])
def test_copied_answers_are_found_by_asking_again(forged, local, folder_of, agent, of):
    """The rows of one agent, presented as another's: all else is in order."""

    def copy(folder: Path) -> None:
        rows = RunStore(folder_of(local, of)).rows()
        if agent == "bayesian-mean":
            for name in ("prob_0", "prob_1", "prob_2"):
                rows = rows.set_column(rows.column_names.index(name), name, pa.nulls(rows.num_rows, pa.float64()))
        change_rows(folder, lambda _: pack_rows(rows, exact_name(RunStore(folder).record())))
        if agent != "bayesian-mean":
            choose_again(folder)

    folder = forged(agent, copy)
    assert verify_run(folder).passed
    report = verify_run(folder, rerun=2)
    assert failed(report) == {"agent"}
    assert f"these are not the answers of {agent}." in said(report)


@pytest.mark.parametrize("off", [0.004, 0.02])
def test_probabilities_may_differ_as_those_of_machines_do(forged, off):
    def move(folder: Path) -> None:
        rows = RunStore(folder).rows()
        kept = [rows[f"prob_{option}"].to_numpy() for option in range(3)]
        given = np.where(kept[0] > 0.3, -off, 0.0)
        for option, by in ((0, given), (1, -given)):
            name = f"prob_{option}"
            rows = rows.set_column(rows.column_names.index(name), name, pa.array(kept[option] + by))
        change_rows(folder, lambda _: pack_rows(rows, exact_name(RunStore(folder).record())))
        choose_again(folder)

    report = verify_run(forged("bayesian", move), rerun=6)
    assert failed(report) == (set() if off < 0.005 else {"agent"}), said(report)


def test_an_oracle_that_hides_what_it_was_told_is_found(tmp_path):
    done = bb.run("flights", "oracle", users=6, rounds=2, heldout=10, results=tmp_path)
    edit_record(done.folder, {"agent": {"privileged": False}})
    report = verify_run(done.folder)
    assert failed(report) == {"SPEC"}
    assert "run.json says that oracle has privileged = False, and it is True." in said(report)


class Lazy:
    """Names the first option; without a SPEC, since it was given as an object."""

    name, version, probabilistic, privileged = "lazy", "1", False, False

    def identity(self) -> dict:
        return {}

    def begin(self, brief, keys, truth=None) -> None:
        return None

    def predict(self, state, options) -> bb.Prediction:
        return bb.Prediction(np.zeros(options.shape[:2], int))

    def observe(self, state, options, recommended, chosen) -> None:
        return None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, r"the agent was not asked again, because it cannot be loaded here: there is no agent 'lazy'"),
        ({"name": "first", "version": "0"}, r"'first' is another agent here .*: its version differ"),
    ],
)
def test_an_agent_that_cannot_be_had_is_no_failure(flights, tmp_path, changes, sentence):
    agent = Lazy()
    vars(agent).update(changes)
    done = bb.run(flights, agent, users=6, rounds=2, heldout=10, results=tmp_path)
    report = verify_run(done.folder, rerun=1)
    assert report.passed, said(report)
    assert re.search(sentence, report.left_out[-1])


def test_a_server_cannot_be_asked_again(published, folder_of, monkeypatch):
    """Whoever it is that answers there now."""
    folder = folder_of(published, "random")
    edit_record(folder, {"spec": "endpoint:model"})
    for address in ("", "http://localhost:9/v1"):
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        report = verify_run(folder, rerun=1)
        assert "nobody can tell" in report.left_out[-1]
