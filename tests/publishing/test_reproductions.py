"""Two words: a run is intact if its files agree, and reproduced if somebody asked its agent again; who says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

import beliefbench as bb
from beliefbench.leaderboard.forms.formats import writer
from beliefbench.leaderboard.ranking import read_leaderboard
from beliefbench.leaderboard.row import Standing
from beliefbench.publishing.several import record_reproduction, verify_all
from beliefbench.publishing.verify import verify_run
from beliefbench.running.packing import pack_exact, to_parquet
from beliefbench.running.store import RunStore

from .tampering import attest, edit_record, failed, said


@pytest.fixture
def reproduced(published, folder_of) -> Path:
    """The published runs, of which Bob reproduced `random`."""
    for report in verify_all(published, rerun=2, seed=1):
        if report.folder == folder_of(published, "random"):
            assert "recorded in" in record_reproduction(report, "Bob <b@example.org>")
    return published


def standings(results: Path) -> dict[str, Standing]:
    return {row.fields["agent"]: row.standing for row in read_leaderboard(results).rows}


def edit_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_verifying_says_intact_and_who_says_reproduced(published, folder_of):
    folder = folder_of(published, "random")
    assert "intact: its files, metrics and seed agree with each other. Anybody can make such files" in said(
        verify_run(folder)
    )
    assert "reproduced" not in said(verify_run(folder))
    report = verify_run(folder, rerun=2, seed=1)
    assert "reproduced: here and now, 2 users asked again (--seed 1): 0.00% of 64 choices differ" in said(report)
    record_reproduction(report, "Bob")
    claim = "said to be reproduced: by Bob, 20"
    assert claim in said(verify_run(folder))
    assert "(reproduced-1.json, not signed: anybody can write this)" in said(verify_run(folder))
    record = json.loads((folder / "reproduced-1.json").read_text())
    figures = ("users", "answers", "seed", "choices_differ")
    assert [record[name] for name in figures] == [2, 64, 1, 0.0]
    assert record["probabilities_differ"] < 5e-4


def test_a_table_marks_what_was_verified_here_and_says_who_reproduced_it(published, reproduced):
    assert standings(reproduced) == {
        "bayesian": Standing.intact,
        "random": Standing.claimed,
        "bayesian-mean": Standing.intact,
    }
    board = read_leaderboard(reproduced)
    for form in ("table", "md", "latex", "html"):
        text = " ".join(writer(form, full=True)(board).split())
        assert "random" in text.partition("is said to be reproduced: by Bob")[0][-20:], form
    for name, mark in (("random", "◐"), ("bayesian", "○")):
        assert f"{name} {mark}" in writer("table")(board)
    (row,) = [row for row in json.loads(writer("json")(board))["rows"] if row["agent"] == "random"]
    (claim,) = row["reproduced"]
    assert (row["intact"], claim["by"], claim["users"], claim["trusted"]) == (True, "Bob <b@example.org>", 2, False)


def test_a_table_marks_nothing_that_was_not_verified_here_and_says_what_gives_marks(call, published):
    assert set(standings(published).values()) == {Standing.unknown}
    hint = f"3 published runs without a mark; `beliefbench verify {published}` gives marks."
    assert hint in call("leaderboard", "--results", str(published))[2]
    assert call("verify", str(published))[0] == 0
    assert "without a mark" not in call("leaderboard", "--results", str(published))[2]


def test_a_run_that_is_not_published_is_not_called_intact(local, folder_of):
    report = verify_run(folder_of(local, "random"), rerun=1)
    assert report.passed
    assert not report.intact
    assert "no record was written" in record_reproduction(report, "Bob")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"files": {"run.json": "0" * 64}}, "it was made of other files than those of this run"),
        ({"run": "0" * 64}, "it was made of other files"),
        ({"users": 7}, "it has more users or answers than this run"),
        ({"answers": 1000}, "it has more users or answers than this run"),
        ({"probabilities_differ": 0.5}, "by its own figures, the agent gave other answers"),
        ({"probabilities_differ": None}, "differ in whether the agent states probabilities"),
        ({"choices_differ": float("nan")}, "it is no record"),
        ({"by": ""}, "it is no record"),
        ({"more": 1}, "it is no record"),
    ],
)
def test_a_record_that_does_not_fit_is_named_and_not_shown(reproduced, folder_of, changes, sentence):
    folder = folder_of(reproduced, "random")
    edit_json(folder / "reproduced-1.json", **changes)
    (problem,) = read_leaderboard(reproduced).problems
    assert "reproduced-1.json" in problem
    assert sentence in problem
    assert standings(reproduced)["random"] == Standing.intact
    report = verify_run(folder)
    assert failed(report) == {"reproduced-1.json"}
    assert "Bob" not in said(report)


def test_a_record_of_another_run_does_not_fit(reproduced, folder_of):
    shutil.copy(folder_of(reproduced, "random") / "reproduced-1.json", folder_of(reproduced, "bayesian"))
    assert standings(reproduced)["bayesian"] == Standing.intact


def test_a_name_in_a_record_writes_no_line_and_no_markup(reproduced, folder_of):
    edit_json(folder_of(reproduced, "random") / "reproduced-1.json", by="x\n  ok \x1b[1A <b>|*")
    assert all(line.isprintable() for line in verify_run(folder_of(reproduced, "random")).lines())
    board = read_leaderboard(reproduced)
    assert "<b>" not in writer("html")(board)
    assert r"&lt;b>\|\*" in writer("md")(board)


def test_forged_exact_answers_lose_every_mark(published, reproduced, folder_of):
    """All that can be made anew is made anew: evidence, and the record of the reproduction."""
    folder = folder_of(published, "random")
    shutil.rmtree(published / "flights" / "bayesian")
    shutil.rmtree(published / "flights" / "bayesian-mean")
    rows = RunStore(folder).rows()
    for option in range(3):
        ours = pa.compute.if_else(pa.compute.equal(rows["question"], -1), None, rows[f"prob_{option}"])
        rows = rows.set_column(rows.column_names.index(f"exact_{option}"), f"exact_{option}", ours)
    (file,) = folder.parents[1].glob("exact-*.parquet")
    file.write_bytes(to_parquet(pack_exact(rows)))
    attest(folder)
    edit_json(folder / "reproduced-1.json", files=json.loads((folder / "evidence.json").read_text())["files"])
    assert standings(published) == {"random": Standing.unknown}
    (report,) = verify_all(published)
    assert failed(report) == {"exact answers"}
    assert standings(published) == {"random": Standing.doubtful}
    (problem,) = read_leaderboard(published).problems
    assert "is not intact; `beliefbench verify" in problem
    assert "Bob" not in writer("html")(read_leaderboard(published))


@pytest.mark.parametrize("what", ["answers", "note", "seconds"])
def test_a_forged_published_run_does_not_hide_the_honest_local_one(local, published, folder_of, tmp_path, what):
    results = tmp_path / "results"
    honest = results / "local" / folder_of(local, "random").relative_to(local)
    shutil.copytree(folder_of(local, "random"), honest)
    forged = folder_of(published, "random")
    for agent in ("bayesian", "bayesian-mean"):
        shutil.rmtree(published / "flights" / agent)
    if what == "answers":
        edit_rows(forged)
    else:
        edit_record(forged, {"agent": {"note": "8 GPUs"}} if what == "note" else {"seconds": 12345.0})
    attest(forged)
    shutil.move(published, results / "published")
    list(verify_all(results / "published"))
    board = read_leaderboard(results)
    assert [row.folder for row in board.rows] == [honest]
    assert any("are the same run with" in problem and "the second is shown" in problem for problem in board.problems)


def edit_rows(folder: Path) -> None:
    """Choose what users want, where the probabilities tie."""
    from .tampering import change_rows

    change_rows(
        folder, lambda rows: rows.set_column(rows.column_names.index("choice"), "choice", rows["truth"].cast(pa.int8()))
    )


def test_the_command_records_under_a_name(call, published, folder_of):
    status, _, err = call("verify", str(published), "--rerun", "1", "--by", "Bob")
    assert status == 0
    assert err.count("recorded in ") == 3
    assert "3 runs intact; 3 runs reproduced here." in err
    assert call("verify", str(published), "--rerun", "1", "--by", "Eve")[0] == 0
    assert (folder_of(published, "random") / "reproduced-2.json").exists()


@pytest.mark.parametrize(
    "arguments", [["--by", "Bob"], ["--rerun", "1", "--by", " "], ["--rerun", "1", "--by", "a\nb"]]
)
def test_a_name_that_says_nothing_is_refused(call, published, arguments):
    assert call("verify", str(published), *arguments)[0] == 2


def test_the_frame_has_both_words(published, reproduced):
    frame = bb.leaderboard(reproduced)
    assert frame["intact"].all()
    assert frame[frame["agent"] == "random"]["reproduced"].str.contains("by Bob").all()
