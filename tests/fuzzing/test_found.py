"""The faults that many inputs found, each as a plain test: before, all ended in another exception or passed."""

from __future__ import annotations

import json

import pytest

import beliefbench as bb
from beliefbench.checking.results import CheckFailedError
from beliefbench.errors import BeliefBenchError
from beliefbench.publishing.evidence import Evidence, check_metrics
from beliefbench.released.domains import users
from beliefbench.released.importing import import_path
from beliefbench.released.storage import RecordedUsers, read_record, record_files, write_record
from beliefbench.running.store import RunStore
from beliefbench.teaching.reading import ABOUT, conversations

from .test_imports import TAUGHT, sample

SET = [[0.1, 0.2]] * 3
RECORD = {
    "name": "few",
    "base": "flights-2",
    "sources": {},
    "options": [[SET, SET], [SET, SET]],
    "chosen": [[0, 1], [2, 0]],
    "heldout": [SET],
    "truth": [[0], [1]],
    "hypotheses": [0, 1],
    "lapse": None,
}


@pytest.mark.parametrize(
    "change",
    [
        {"options": [[SET, SET], [SET]]},
        {"options": []},
        {"options": [], "heldout": None},
        {"chosen": [[0, 1], [2]]},
        {"chosen": [[0, 1], [2, 3]]},
        {"chosen": [[0, 10**30], [2, 0]]},
        {"truth": [[0]]},
        {"heldout": [[[0.1]] * 3]},
        {"heldout": [SET, SET]},
        {"hypotheses": [0]},
        {"lapse": [0.1, 2]},
        {"lapse": [0.1]},
    ],
)
def test_recorded_users_that_do_not_fit_together_are_refused(tmp_path, change):
    (tmp_path / "few.json").write_text(json.dumps(RECORD))
    assert read_record(tmp_path / "few.json").arrays()[0].shape == (2, 2, 3, 2)
    (tmp_path / "few.json").write_text(json.dumps(RECORD | change))
    with pytest.raises(BeliefBenchError, match=r"cannot be read; run `beliefbench import` again\.$"):
        read_record(tmp_path / "few.json")


@pytest.mark.parametrize("change", [{"base": "flights-3"}, {"hypotheses": [0, 24]}, {"hypotheses": [-1, 0]}])
def test_recorded_users_that_do_not_fit_their_domain_are_refused(data_folder, change):
    write_record(RecordedUsers(**(RECORD | change)), data_folder / "source")
    (file,) = record_files()
    with pytest.raises(BeliefBenchError, match=r"does not fit flights-\d; run `beliefbench import` again\.$"):
        users(file, 0)


def test_a_lapse_of_one_person_is_not_fitted(tmp_path, data_folder):
    (tmp_path / "human.jsonl").write_bytes(sample("people.jsonl").splitlines()[0])
    with pytest.raises(bb.UsageError, match=r"expected 2 people or more\.$"):
        import_path(tmp_path / "human.jsonl", lambda sentence: None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[" * 100_000, "too deep"),
        (json.dumps(TAUGHT[0]).replace("0.5]", "NaN]"), "probs are 0 or more and sum to 1"),
        (json.dumps(TAUGHT[0]).replace("0.2", "Infinity"), "probs are 0 or more and sum to 1"),
    ],
    ids=["deep", "NaN", "infinity"],
)
def test_a_line_of_teaching_data_that_cannot_be_read_is_named(tmp_path, line, said):
    """Before, data with NaN probabilities ended in success and tensors of NaN."""
    (tmp_path / "data.jsonl").write_text(json.dumps(TAUGHT[0]) + "\n" + line)
    with pytest.raises(bb.UsageError, match=f"line 2: .*{said}; expected"):
        list(conversations(tmp_path / "data.jsonl", every_turn=True))


@pytest.mark.parametrize("content", ["null", "[1]", "[" * 100_000, "{"])
def test_a_damaged_record_beside_teaching_data_is_named(tmp_path, content):
    (tmp_path / "data.jsonl").write_text(json.dumps(TAUGHT[0]))
    (tmp_path / f"data.jsonl{ABOUT}").write_text(content)
    with pytest.raises(bb.UsageError, match=r"cannot be read; remove it, or make the data again\.$"):
        list(conversations(tmp_path / "data.jsonl"))


def test_a_run_record_with_nan_in_its_identity_is_named(tmp_path):
    """Before, it was left out by an error that nobody foresaw; `verify` said ValueError."""
    folder = bb.run("flights-2", "random", users=1, rounds=0, heldout=1, results=tmp_path).folder
    record = json.loads((folder / "run.json").read_text())
    record["identity"]["agent"]["temperature"] = float("nan")
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(BeliefBenchError, match="is not a run record that this version reads"):
        RunStore(folder).record()


def test_an_error_shows_little_of_a_long_name_in_a_file(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"identity": {"domain": {"x" * 100_000: 1}}}))
    with pytest.raises(BeliefBenchError) as raised:
        RunStore(tmp_path).record()
    assert len(str(raised.value)) < 1000


def test_a_finding_shows_little_of_a_long_metric_in_evidence():
    said = Evidence(files={}, answers=1, rounds=[{"a" * 5000: 0.5}], command="", beliefbench="")
    with pytest.raises(CheckFailedError, match=r"^a{80} after round 0 is None"):
        check_metrics(said, 1, [{}])
