"""Every form of a leaderboard of runs made by hand: JSON, CSV, Markdown, LaTeX and tables for the terminal."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import beliefbench as bb
from beliefbench.cli.leaderboard import Format
from beliefbench.intervals import Estimate
from beliefbench.leaderboard.forms.formats import FOR_PEOPLE, FOR_PROGRAMS, to_csv, to_json, writer
from beliefbench.leaderboard.forms.markdown import to_markdown
from beliefbench.leaderboard.forms.terminal import to_terminal
from beliefbench.leaderboard.ranking import Leaderboard, read_leaderboard
from beliefbench.skill.summary import Skill

# The ROW of `leaderboard --format json`, schema 1, as the design fixes it.
ROW = {
    *("domain", "domain_version", "agent", "users", "heldout", "seed", "agreement_rule", "probabilistic", "privileged"),
    *("rank", "rhat", "ess_bulk", "intact", "reproduced", "flags", "doubt", "signed", "rounds"),
}
ROUND = {
    *(
        "round",
        "accuracy",
        "accuracy_lo",
        "accuracy_hi",
        "agreement",
        "log_score",
        "brier",
        "ece",
        "kl_exact",
        "coverage",
    ),
}


SKILL = Skill(
    [Estimate(0.6, 0.55, 0.65)] * 2, (1, 2), 0.5, [0.5] * 3, Estimate(0.1, 0.05, 0.15), 0.01, {},
    1.001, 1500.0, 1400.0, 0, ["R-hat 1.234", "bulk ESS 12"],
)  # fmt: skip


def rows_of(results: Path) -> dict[str, dict]:
    return {row["agent"]: row for row in json.loads(read_leaderboard(results).as_json())["rows"]}


def test_the_formats_are_those_that_the_command_offers():
    assert {*FOR_PEOPLE, *FOR_PROGRAMS} == {one.value for one in Format}


def test_json_has_exactly_the_fields_of_schema_1(tmp_path, make_run):
    make_run(tmp_path, "states", [[3, 8], [5, 6]])
    make_run(tmp_path, "chooses", [[3, 8], [5, 6]], probs=None, privileged=True, note="4-bit weights")
    answer = json.loads(to_json(read_leaderboard(tmp_path)))
    assert answer.keys() == {"schema", "rows"}
    assert answer["schema"] == 1
    for row in answer["rows"]:
        assert row.keys() == ROW
        assert [set(one) for one in row["rounds"]] == [ROUND, ROUND]
    chooses, states = (next(row for row in answer["rows"] if row["agent"] == name) for name in ("chooses", "states"))
    expected = {"domain": "toys", "domain_version": "1", "users": 2, "heldout": 10, "seed": 0, "rank": 1}
    expected |= {"agreement_rule": "posterior predictive", "rhat": None, "ess_bulk": None}
    assert expected.items() <= chooses.items()
    assert (chooses["probabilistic"], chooses["privileged"]) == (False, True)
    assert (states["probabilistic"], states["privileged"]) == (True, False)
    for name in ("log_score", "brier", "ece", "kl_exact"):
        assert chooses["rounds"][1][name] is None
        assert states["rounds"][1][name] is not None


def test_markdown_has_a_line_for_each_agent_in_order(three_runs):
    text = to_markdown(read_leaderboard(three_runs))
    assert "toys (version 1): 3 users, 1 round, 10 held-out sets, seed 0" in text
    cells = [
        [cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    header, _, *lines = cells[:5]
    assert cells[5][:4] == ["#", "agent", "ECE 0", "ECE 1"]
    assert header[:4] == ["#", "agent", "acc 0", "acc 1"]
    assert [line[:4] for line in lines] == [
        ["1", "oracle*", "93.3", "96.7"],
        ["2", "hand", "40.0", "70.0"],
        ["3", "chooses (4-bit weights)", "16.7", "20.0"],
    ]
    assert lines[2][header.index("log score")] == "-"
    assert lines[1][header.index("log score")] == "0.847"  # -.7 ln .8 - .3 ln .1
    assert "sees the users' true preferences" in text


def test_csv_has_a_line_for_each_agent_and_round(three_runs):
    lines = list(csv.DictReader(io.StringIO(to_csv(read_leaderboard(three_runs)))))
    assert [(line["agent"], line["round"]) for line in lines] == [
        (agent, stage) for agent in ("oracle", "hand", "chooses") for stage in ("0", "1")
    ]
    assert float(lines[3]["accuracy"]) == pytest.approx(0.7)
    assert lines[5]["log_score"] == ""
    assert ROW - {"rounds"} | ROUND <= set(lines[0])


def test_the_frame_holds_what_json_holds(three_runs):
    frame = bb.leaderboard(three_runs)
    for row in rows_of(three_runs).values():
        for one in row["rounds"]:
            line = frame[(frame.agent == row["agent"]) & (frame["round"] == one["round"])].iloc[0]
            for name in ROUND:
                assert line[name] == one[name] or (one[name] is None and np.isnan(line[name]))


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_shows_every_agent_and_its_accuracies(three_runs, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    to_terminal(read_leaderboard(three_runs), console)
    text = console.file.getvalue()
    for word in (
        "oracle*",
        "hand",
        "chooses",
        "4-bit weights",
        "93.3",
        "70.0",
        "Accuracy",
        "Calibration",
        "clustered by user",
    ):
        assert word in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("form", ["table", "md", "latex"])
def test_intact_rows_stand_apart_whatever_others_claim(three_runs, form):
    board = read_leaderboard(three_runs)
    shown = writer(form, full=True)(board)
    assert "not known to be intact" not in shown  # all alike
    some = [replace(row, published=True, found_intact=row.fields["agent"] == "hand") for row in board.rows]
    text = writer(form, full=True)(Leaderboard(some, []))
    lines = [
        line for line in text.splitlines() if any(word in line for word in ("hand", "not known to be intact", "oracle"))
    ]
    order = ["hand" if "hand" in line else "oracle" if "oracle" in line else "not known to be intact" for line in lines]
    tables = [one for one, line in zip(order, lines, strict=True) if "anks count all rows" not in line]
    assert tables == ["hand", "not known to be intact", "oracle"] * (len(tables) // 3)
    assert len(tables) >= 3


def test_json_has_intact_rows_first_and_ranks_among_all(tmp_path, make_run, monkeypatch):
    make_run(tmp_path, "claims", [[3, 9], [5, 9]])
    shown = make_run(tmp_path, "shows", [[3, 8], [5, 6]])
    marked = lambda row, *_: replace(row, published=True, found_intact=row.folder == shown)  # noqa: E731
    monkeypatch.setattr("beliefbench.leaderboard.reading._marked", marked)
    rows = json.loads(to_json(read_leaderboard(tmp_path)))["rows"]
    assert [(row["agent"], row["rank"]) for row in rows] == [("shows", 2), ("claims", 1)]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_figure_is_cut_in_the_terminal(three_runs, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    rows = [replace(row, skill=SKILL) for row in read_leaderboard(three_runs).rows]
    to_terminal(Leaderboard(rows, []), console)
    text = console.file.getvalue()
    assert "! R-hat 1.234; bulk ESS 12" in text
    assert "\u2026" not in text
