"""Verifying by asking the agent again, which alone can show whose answers they are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import beliefbench as bb
from beliefbench.checking.results import CheckResult
from beliefbench.leaderboard.ranking import read_leaderboard
from beliefbench.leaderboard.row import Standing
from beliefbench.publishing import several
from beliefbench.publishing.publish import exact_name
from beliefbench.publishing.report import Report
from beliefbench.publishing.rerun import RerunAnswers, clearly_differ
from beliefbench.publishing.several import verify_all
from beliefbench.publishing.verify import verify_run
from beliefbench.running.packing import pack_rows
from beliefbench.running.store import RunStore

from .tampering import change_rows, choose_again, edit_record, failed, said


def test_honest_runs_pass_when_asked_again(published):
    for report in verify_all(published, rerun=3, seed=1):
        assert report.passed, said(report)
        assert "ok    agent: 3 users asked again (--seed 1): 0.00% of 96 choices differ" in said(report)


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_all_answers_of_a_user_are_compared(tmp_path, rounds):
    done = bb.run("flights-2", "random", users=3, rounds=rounds, heldout=2, results=tmp_path)
    report = verify_run(done.folder, rerun=2, seed=4)
    answers = 2 * ((rounds + 1) * 2 + rounds)
    assert f"2 users asked again (--seed 4): 0.00% of {answers} choices differ" in said(report)


def test_differences_are_counted_up_to_where_a_conversation_went_another_way(tmp_path):
    """4 users x 11 answers. The first is said to have been recommended another option in round 2, so that the five
    answers after it are not compared; the second to have answered otherwise after the last round, twice: 3 of 39."""
    done = bb.run("flights-2", "first", users=4, rounds=3, heldout=2, results=tmp_path)
    rows = done.rows()
    user, stage, question = (rows[name].to_numpy() for name in ("user", "stage", "question"))
    one, two = user[0], user[11]
    other = ((user == one) & (stage == 1) & (question == -1)) | ((user == two) & (stage == 3))
    assert other.sum() == 3
    choice = pa.array(np.where(other, 2, rows["choice"].to_numpy()), rows["choice"].type)
    changed = rows.set_column(rows.column_names.index("choice"), "choice", choice)
    change_rows(done.folder, lambda _: changed)
    report = verify_run(done.folder, rerun=4, seed=0)
    (found,) = (result for result in report.findings if result.check == "agent")
    assert not found.passed
    assert "7.69% of 39 choices differ; these are not the answers of first." in found.detail


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


def copied_answers(folder_of, local, folder: Path) -> None:
    """Put the answers of `bayesian` in a run of `random`."""
    rows = RunStore(folder_of(local, "bayesian")).rows()
    change_rows(folder, lambda _: pack_rows(rows, exact_name(RunStore(folder).record())))
    choose_again(folder)


def standing(root: Path) -> tuple[Standing, bool, str]:
    (row,) = read_leaderboard(root).rows
    return row.standing, row.intact, row.doubt


def test_what_asking_again_found_is_remembered(forged, local, folder_of, published):
    """By `verify` without `--rerun`, and by tables, though all that can be checked without asking is in order."""
    folder = forged("random", lambda folder: copied_answers(folder_of, local, folder))
    (report,) = verify_all(published)
    assert report.intact
    assert standing(published) == (Standing.intact, True, "")

    (report,) = verify_all(published, rerun=2, seed=1)
    assert failed(report) == {"agent"}
    for again in ({}, {}, {"allow": ["hub"]}):
        (report,) = verify_all(published, **again)
        assert failed(report) == {"agent"}
        assert not report.intact
        assert "2 users asked again (--seed 1)" in said(report)
        assert "An earlier `verify --rerun` on this machine found this" in said(report)
        shown, intact, doubt = standing(published)
        assert (shown, intact) == (Standing.doubtful, False)
        assert doubt.startswith("failed `verify` here: agent: 2 users asked again (--seed 1)")

    other = folder.rename(folder.with_name("moved"))  # wherever the run lies
    (report,) = verify_all(other)
    assert "agent" in failed(report)
    other.rename(folder)
    beside = folder.parents[1] / "exact-0123456789abcdef.parquet"
    beside.write_bytes(b"")
    assert standing(published)[0] == Standing.doubtful
    beside.unlink()

    copied_answers(folder_of, local, folder)
    edit_record(folder, {"started": "2026-01-01T00:00:00+00:00"}, follow=True)  # the files have changed
    (report,) = verify_all(published)
    assert report.intact, said(report)


def found(monkeypatch, folder: Path, passed: bool, detail: str, numbers: dict[str, float] | None = None) -> None:
    """Let `verify --rerun` find something."""
    result = CheckResult("agent", passed, detail, numbers or {})
    report = Report(folder, [result], domain="flights", agent="random")
    monkeypatch.setattr(several, "check_run", lambda *_: report)
    list(verify_all(folder, rerun=1))


def test_answers_that_are_the_same_later_take_back_only_that_there_were_none(published, folder_of, monkeypatch):
    folder = folder_of(published, "random")
    for numbers, after in (({}, None), ({"users": 1}, "others.")):
        found(monkeypatch, folder, False, "others.", numbers)
        assert several._failed_rerun(folder) == "others."
        found(monkeypatch, folder, True, "the same.")
        assert several._failed_rerun(folder) == after
    found(monkeypatch, folder, False, "raised MemoryError.")
    assert several._failed_rerun(folder) == "others."


def test_it_is_forgotten_when_the_code_of_the_agent_changes(published, folder_of, monkeypatch):
    folder = folder_of(published, "random")
    found(monkeypatch, folder, False, "others.", {"users": 1})
    assert several._failed_rerun(folder) == "others."
    monkeypatch.setattr(several, "code_of_name", lambda *_: "changed")
    assert several._failed_rerun(folder) is None


def moved(folder: Path, off: float) -> None:
    """Move probability from the first option to the second, in the published rows."""
    rows = RunStore(folder).rows()
    kept = [rows[f"prob_{option}"].to_numpy() for option in range(3)]
    given = np.where(kept[0] > 0.3, -off, 0.0)
    for option, by in ((0, given), (1, -given)):
        name = f"prob_{option}"
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(kept[option] + by))
    change_rows(folder, lambda _: pack_rows(rows, exact_name(RunStore(folder).record())))


@pytest.mark.parametrize("off", [0.004, 0.02])
def test_probabilities_may_differ_as_those_of_machines_do(forged, off):
    report = verify_run(forged("random", lambda folder: moved(folder, off)), rerun=6)
    expected = {"agent"} if off > 0.005 else set()
    assert failed(report) - {"choices"} == expected, said(report)  # the choices are those of before


@pytest.mark.parametrize(("gap", "differs"), [(0.0009, False), (0.0011, True), (0.008, True)])
@pytest.mark.parametrize("which", ["recorded", "asked again"])
def test_a_choice_may_differ_between_near_ties_only(gap, differs, which):
    """By the probabilities of who was asked again, whatever the published ones are."""
    probs = np.tile([0.5 + gap, 0.5, 0.0] if which == "recorded" else [0.5, 0.5 + gap, 0.0], (2, 3, 1)) / (1 + gap)
    choice = np.zeros((2, 3), int)
    other = np.where(np.arange(3) == 1, 1, choice)
    assert (clearly_differ(RerunAnswers(choice, probs), other)).any() == differs
    assert not clearly_differ(RerunAnswers(choice, probs), choice).any()


def test_the_same_choice_never_differs_whatever_its_probability():
    """As of an agent that draws its choice."""
    probs = np.tile([0.1, 0.6, 0.3], (2, 3, 1))
    choice = np.array([[0, 1, 2], [2, 1, 0]])
    assert not clearly_differ(RerunAnswers(choice, probs), choice.copy()).any()


def test_an_answer_that_is_unusable_once_only_differs_clearly():
    probs = np.tile([0.4, 0.3, 0.3], (1, 1, 1))
    for one, other, values in ((-1, 0, np.full_like(probs, np.nan)), (0, -1, probs)):
        assert clearly_differ(RerunAnswers(np.array([[one]]), values), np.array([[other]])).all()
    nothing = np.full_like(probs, np.nan)
    assert not clearly_differ(RerunAnswers(np.array([[-1]]), nothing), np.array([[-1]])).any()  # unusable both times


def test_a_choice_that_differs_clearly_fails(forged):
    """Where two options are within 0.0085, the published probabilities are off by half of that, as those of machines
    may be, and the other option is chosen. Before, this passed."""

    def swap(folder: Path) -> None:
        rows = RunStore(folder).rows()
        probs = np.stack([rows[f"prob_{option}"].to_numpy() for option in range(3)], axis=-1)
        order, every = probs.argsort(axis=-1), np.arange(len(probs))
        gap = probs[every, order[:, 2]] - probs[every, order[:, 1]]
        at = (gap > 0.002) & (gap < 0.0085) & (rows["question"].to_numpy() >= 0)
        assert at.sum() > 5
        for column, sign in ((2, -1), (1, 1)):
            probs[every[at], order[at, column]] += sign * (gap[at] / 2 + 0.0004)
        for option in range(3):
            name = f"prob_{option}"
            rows = rows.set_column(rows.column_names.index(name), name, pa.array(probs[:, option]))
        change_rows(folder, lambda _: pack_rows(rows, exact_name(RunStore(folder).record())))
        choose_again(folder)

    folder = forged("bayesian", swap)
    assert verify_run(folder).passed
    report = verify_run(folder, rerun=6)
    assert failed(report) == {"agent"}, said(report)
    assert re.search(
        r"probabilities by 4\.\de-03 at most; \d+ choices where there is no near tie; these are", said(report)
    )


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
