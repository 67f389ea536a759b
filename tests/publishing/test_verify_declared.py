"""Verifying compares what run.json says of the agent with the agent itself, and choices with probabilities."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import beliefbench as bb
from beliefbench.plugins.sources import add_plugin_folder
from beliefbench.publishing.publish import publish
from beliefbench.publishing.several import verify_all
from beliefbench.publishing.verify import verify_run
from beliefbench.running.store import run_key

from .tampering import change_rows, edit_record, failed, said

SAMPLES = """
import numpy as np
from beliefbench.agents.random import Random

class Samples(Random):
    name = "samples"

    def predict(self, state, options):
        answers = super().predict(state, options)
        probs = np.broadcast_to([0.5, 0.3, 0.2], answers.probs.shape)
        return type(answers)(answers.choice, probs)

AGENTS = {"samples": Samples}
"""


def choose_what_is_wanted(folder: Path) -> None:
    change_rows(
        folder, lambda rows: rows.set_column(rows.column_names.index("choice"), "choice", rows["truth"].cast(pa.int8()))
    )


def test_random_cannot_break_its_ties_by_what_users_want(forged):
    report = verify_run(forged("random", choose_what_is_wanted))
    assert failed(report) == {"choices"}
    assert "break a tie in another way than the seed, 0 are not the likeliest option" in said(report)


def test_a_choice_is_the_likeliest_option(forged):
    def other(folder: Path) -> None:
        change_rows(
            folder,
            lambda rows: rows.set_column(
                rows.column_names.index("choice"), "choice", pa.array((rows["choice"].to_numpy() + 1) % 3, pa.int8())
            ),
        )

    assert failed(verify_run(forged("bayesian", other))) == {"choices"}


def test_honest_choices_follow_from_probabilities_and_seed(published, tmp_path):
    done = bb.run("flights-2", "oracle", users=9, rounds=2, heldout=7, sample=5, results=tmp_path / "results")
    publish(done.folder, published)
    for report in verify_all(published):
        assert report.passed, said(report)
        assert not report.left_out
        assert "ok    SPEC: the SPEC '" in said(report)


def test_a_plugin_may_choose_by_a_rule_of_its_own_and_this_is_said(plugin_folder, tmp_path):
    (plugin_folder / "samples.py").write_text(SAMPLES)
    add_plugin_folder(plugin_folder)
    done = bb.run("flights-2", "samples", users=9, rounds=1, heldout=7, results=tmp_path / "results")
    report = verify_run(publish(done.folder, tmp_path / "out").folder)
    assert report.intact, said(report)
    (sentence,) = report.left_out
    assert "are not the likeliest option; samples is a plugin, which may choose by another rule" in sentence


@pytest.mark.parametrize(
    ("agent", "changes", "sentence"),
    [
        ("oracle", {"agent": {"privileged": False}}, "has privileged = False, and it is True"),
        (
            "oracle",
            {"agent": {"privileged": False}, "spec": "no-such-plugin"},
            "has privileged = False, and it is True",
        ),
        ("oracle", {"agent": {"privileged": False}, "spec": None}, "has privileged = False, and it is True"),
        ("random", {"spec": "bayesian"}, "the SPEC 'bayesian' loads bayesian; the run is one of random"),
        ("bayesian", {"spec": "oracle"}, "the SPEC 'oracle' loads oracle; the run is one of bayesian"),
        ("random", {"agent": {"privileged": True}}, "has privileged = True, and it is False"),
    ],
)
def test_what_run_json_says_of_the_agent_is_compared(tmp_path, agent, changes, sentence):
    done = bb.run("flights-2", agent, users=4, rounds=1, heldout=5, results=tmp_path)
    edit_record(done.folder, changes)
    report = verify_run(done.folder)
    assert failed(report) == {"SPEC"}
    assert sentence in said(report)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("no-such-plugin", "the SPEC was not checked, because it cannot be loaded here: there is no agent"),
        ("prompted:/nowhere", "the SPEC was not checked: its SPEC in run.json, 'prompted:/nowhere', names a path"),
        ("endpoint:gpt-5", "the SPEC was not checked: 'endpoint:gpt-5' uses a server"),
        (None, "the SPEC was not checked: run.json has none"),
    ],
)
def test_a_spec_that_cannot_be_loaded_is_not_checked_and_so_said(tmp_path, spec, sentence):
    done = bb.run("flights-2", "random", users=4, rounds=1, heldout=5, results=tmp_path)
    edit_record(done.folder, {"spec": spec})
    report = verify_run(done.folder)
    assert report.passed, said(report)
    assert sentence in report.left_out[-1]


def test_settings_of_the_identity_are_those_of_the_agent(tmp_path):
    done = bb.run("flights-2", "random", users=4, rounds=1, heldout=5, results=tmp_path)
    record = json.loads((done.folder / "run.json").read_text())
    record["identity"]["agent"]["temperature"] = 0.5
    record["key"] = run_key(record["identity"])
    (done.folder / "run.json").write_text(json.dumps(record))
    moved = done.folder.rename(done.folder.with_name(record["key"][:16]))
    assert failed(verify_run(moved)) == {"SPEC"}
    assert "loads another agent here than the one of the run: its temperature differ" in said(verify_run(moved))


def test_another_version_of_an_agent_may_be_honest_and_is_said(flights, tmp_path):
    agent = bb.load_agent("first", flights)
    agent.version = "0"
    done = bb.run(flights, agent, users=4, rounds=0, heldout=5, results=tmp_path)
    edit_record(done.folder, {"spec": "first"})
    report = verify_run(done.folder)
    assert report.passed
    assert "its version differ" in report.left_out[-1]
    assert np.isin(["choices", "domain"], [one.check for one in report.findings]).all()
