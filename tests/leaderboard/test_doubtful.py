"""Runs that failed `verify` or are implausible: shown, marked and named, and without effect on any other run."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from beliefbench.leaderboard.forms.compact import to_compact
from beliefbench.leaderboard.forms.formats import to_csv, writer
from beliefbench.leaderboard.overview import gap_closed, overview_of
from beliefbench.leaderboard.page import drawing, pictures
from beliefbench.leaderboard.page.page import to_html
from beliefbench.leaderboard.ranking import Leaderboard, read_leaderboard
from beliefbench.leaderboard.row import Standing
from beliefbench.publishing import several
from beliefbench.running.derived import keep, run_digest

FLAG = "it ends in the future"
FAILED = "agent: 5 users asked again: 80.00% of 100 choices differ; these are not the answers of forged."
DOMAINS = [{"name": name, "version": "1", "parameters": {}} for name in ("toys", "games", "plays")]
RIGHT = [[3, 8], [5, 6], [4, 7]] * 8


def doubt(folder: Path, failed: str | None = None, flag: str | None = None) -> None:
    """Keep what `verify` would keep of a run that failed a check or is flagged."""
    found = {"intact": False, "failed": [failed] if failed else [], "flags": [flag] if flag else [], "probs": None}
    keep(several._key("found", folder, run_digest(folder)), found)


def without(results: Path, make_run) -> None:
    """Two honest agents on two domains."""
    for domain in DOMAINS[:2]:
        make_run(results, "honest", RIGHT, domain=domain)
        make_run(results, "worse", [[3, 5]] * 24, domain=domain)


@pytest.fixture
def forged(tmp_path, make_run) -> Path:
    """The honest runs, beside others that are better, larger, of the honest agent, or on a domain of their own."""
    without(tmp_path, make_run)
    doubt(make_run(tmp_path, "forged", [[9, 10]] * 24, domain=DOMAINS[0]), failed=FAILED)
    doubt(make_run(tmp_path, "forged", [[9, 10]] * 24, domain=DOMAINS[1]), flag=FLAG)
    doubt(make_run(tmp_path, "forged", [[9, 10]] * 40, domain=DOMAINS[0]), flag=FLAG)  # a larger group
    doubt(make_run(tmp_path, "forged", [[9, 10]] * 24, domain=DOMAINS[2]), flag=FLAG)
    doubt(make_run(tmp_path, "honest", [[0, 0]] * 24, domain=DOMAINS[2]), failed=FAILED)
    return tmp_path


@pytest.fixture
def honest(tmp_path_factory, make_run) -> Path:
    results = tmp_path_factory.mktemp("honest")
    without(results, make_run)
    return results


def compact(results: Path) -> str:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    to_compact(read_leaderboard(results), console)
    return console.file.getvalue()


def test_ranks_and_means_are_those_without_them(forged, honest):
    rows = {row.folder.relative_to(forged): row for row in read_leaderboard(forged).rows}
    alone = {row.folder.relative_to(honest): row for row in read_leaderboard(honest).rows}
    for place, row in alone.items():
        assert rows.pop(place).fields["rank"] == row.fields["rank"]
    assert len(rows) == 5
    assert {row.fields["rank"] for row in rows.values()} == {None}
    assert {row.standing for row in rows.values()} == {Standing.doubtful}
    found, expected = (overview_of(read_leaderboard(results).groups()) for results in (forged, honest))
    assert [(one.agent, one.everywhere, one.domains, gap_closed(one)) for one in found if one.rows] == [
        (one.agent, one.everywhere, one.domains, gap_closed(one)) for one in expected
    ]
    (only,) = [one for one in found if not one.rows]
    assert (only.agent, len(only.doubtful), gap_closed(only)) == ("forged", 4, None)


def test_the_table_of_one_screen_ranks_without_them_and_says_which_they_are(forged, honest):
    lines, alone = (compact(results).splitlines() for results in (forged, honest))
    assert lines[1] == alone[1] == "Means over 2 domains, each of the same weight"
    for line, rest in zip(lines[4:6], alone[4:6], strict=True):
        assert line.replace(" ✗", "  ").split() == rest.split()
    assert lines[4].split()[1] == "honest"
    assert [line.split() for line in lines[6:8]] == [["doubtful:", "no", "rank"], ["-", "forged", "✗", *["-"] * 5]]
    assert any(line.startswith("forged on toys: failed `verify` here: agent: 5 users") for line in lines)
    assert any(line.startswith("✗: failed a check, or implausible") for line in lines)


def test_a_table_of_one_domain_shows_them_below(tmp_path, make_run):
    make_run(tmp_path, "honest", RIGHT)
    doubt(make_run(tmp_path, "forged", [[9, 10]] * 24), failed=FAILED)
    lines = compact(tmp_path).splitlines()
    assert [line.split()[:3] for line in lines[4:7]] == [
        ["1", "honest", "40.0"],
        ["doubtful:", "no", "rank"],
        ["-", "forged", "✗"],
    ]
    assert any(line.startswith("forged: failed `verify` here: agent: 5 users") for line in lines)


@pytest.mark.parametrize("form", ["table", "md", "latex"])
def test_each_form_for_people_marks_and_names_them(forged, form):
    said = writer(form, full=True)(read_leaderboard(forged))
    words = " ".join(said.replace("\\", "").split())
    assert words.count("doubtful: no rank") >= 3
    assert "failed `verify` here: agent: 5 users asked again" in words
    assert FLAG in words
    assert form == "latex" or "forged ✗" in words
    assert form == "latex" or "counts for no mean" in words


def test_the_page_marks_them_and_its_overview_leaves_them_out(forged, honest, tmp_path, monkeypatch):
    for module in (drawing, pictures):
        monkeypatch.setattr(module, "PICTURES", {"learning-curves": pictures.learning_curves})
    monkeypatch.setattr(drawing, "FEW", 9)  # no other processes
    page = to_html(read_leaderboard(forged))
    overview = page.split('id="overview"')[1].split("</section>")[0]
    assert "<small>doubtful</small>" in overview
    assert "counts for no mean" in overview
    assert '<span class="badge warns">doubtful</span>' in overview
    means = [f'data-order="{gap_closed(one):.9g}"' for one in overview_of(read_leaderboard(honest).groups())]
    assert all(mean in overview for mean in means)
    assert FAILED[:40] in page
    learning = page.split('class="asked">plays')[1].split("</section>")[0]
    assert "<svg" not in learning  # all runs of this domain are doubtful
    drawn = {file.name.partition(".")[0] for file in pictures.draw_all(read_leaderboard(forged), tmp_path / "pictures")}
    assert drawn == {"games", "toys-24-users"}


def test_json_and_csv_say_why(forged):
    board = read_leaderboard(forged)
    doubts = {row["agent"]: row["doubt"] for row in json.loads(board.as_json())["rows"] if row["domain"] == "toys"}
    assert doubts["honest"] is None
    assert doubts["forged"] == f"flagged: {FLAG}" or FAILED in doubts["forged"]
    assert FAILED in to_csv(board)
    assert set(board.as_frame().query("agent == 'worse'").doubt) == {""}


def test_the_skill_model_is_fitted_without_them(forged, honest, monkeypatch):
    given = []

    def skills(groups, labels, results, fit):
        given.append((groups, labels))
        return [[None] * len(group.runs) for group in groups]

    monkeypatch.setattr("beliefbench.skill.summary.skills", skills)
    boards = [read_leaderboard(results).with_skill(results) for results in (forged, honest)]
    (with_forged, labels), (alone, alone_labels) = given
    kept = [group for group in with_forged if group.runs]
    assert [one for one in labels if one] == alone_labels
    for one, other in zip(kept, alone, strict=True):
        assert list(one.agents) == list(other.agents)
        assert all(np.array_equal(a.right, b.right) for a, b in zip(one.runs, other.runs, strict=True))
    assert len(boards[0].rows) == 9


def test_answers_that_two_runs_share_are_no_doubt_about_the_one_that_somebody_trusted_reproduced(tmp_path, make_run):
    from dataclasses import replace
    from types import SimpleNamespace

    make_run(tmp_path, "first", RIGHT)
    (row,) = read_leaderboard(tmp_path).rows
    copied = replace(row, flags=(f"{several.SAME_PROBS} elsewhere",), published=True, found_intact=True)
    assert copied.standing == Standing.doubtful
    said = SimpleNamespace(trusted=True, sentence=lambda: "")
    assert replace(copied, claims=(said,)).standing == Standing.reproduced
    assert replace(copied, claims=(said,), flags=(*copied.flags, FLAG)).standing == Standing.doubtful


def test_a_table_of_doubtful_runs_alone_is_shown(tmp_path, make_run):
    for domain in DOMAINS[:2]:
        doubt(make_run(tmp_path, "forged", RIGHT, domain=domain), flag=FLAG)
    board = read_leaderboard(tmp_path)
    assert "forged ✗" in compact(tmp_path)
    for form in ("table", "md", "html", "latex", "csv", "json"):
        assert "forged" in writer(form)(Leaderboard(board.rows, []))
