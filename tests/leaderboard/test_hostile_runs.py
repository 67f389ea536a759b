"""One hostile run takes nothing down: it is named and left out, and the rest is shown."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr

import beliefbench as bb
from beliefbench.agents.first import First
from beliefbench.leaderboard.forms.formats import writer
from beliefbench.leaderboard.naming import agent_names, shortened, told_apart
from beliefbench.leaderboard.ranking import read_leaderboard
from beliefbench.plugins.sources import add_plugin_folder, forget_plugin_folders
from beliefbench.publishing.publish import publish_all
from beliefbench.publishing.several import verify_all
from beliefbench.running.store import RunStore

from .hostile import HOSTILE, ODD


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two local runs; nobody changes them."""
    results = tmp_path_factory.mktemp("made")
    for agent in ("random", "first"):
        bb.run("flights-2", agent, users=4, rounds=1, heldout=5, results=results)
    return results


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_run_is_named_and_the_rest_is_shown(made, tmp_path, change):
    results = Path(shutil.copytree(made, tmp_path / "results"))
    (folder,) = (results / "flights-2" / "random").iterdir()
    change(folder)
    board = read_leaderboard(results)
    shown = [row.fields["agent"] for row in board.rows]
    assert "first" in shown
    assert [problem for problem in board.problems if str(folder) in problem]
    assert shown == ["first"] or (folder / "evidence.json").exists()
    reports = {report.folder: report for report in verify_all(results)}
    assert not reports.pop(folder).passed
    assert all(report.passed for report in reports.values())


def test_exact_answers_in_a_pipe_harm_only_the_runs_that_need_them(made, tmp_path):
    results = Path(shutil.copytree(made, tmp_path / "results"))
    os.mkfifo(results / "flights-2" / f"exact-{'0' * 16}.parquet")
    assert len(read_leaderboard(results).rows) == 2


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred published runs: 50 agents at 2 seeds. Nobody changes them."""
    made, published = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("published")
    domain = bb.load_domain("flights-2")
    for number in range(100):
        agent = First(domain)
        agent.name = f"p{number % 50}"
        bb.run(domain, agent, users=2, rounds=1, heldout=4, seed=number // 50, results=made)
    assert publish_all(made, published, lambda said: None)
    return published


def made_hostile(hundred: Path, folder: Path, ways: list[Callable[[Path], object]]) -> tuple[set[Path], set[Path]]:
    """Copy the runs, and make some of them hostile; return the folders of the honest and of the hostile ones."""
    results = Path(shutil.copytree(hundred, folder))
    folders = sorted(file.parent for file in results.rglob("run.json"))
    hostile = folders[3 :: len(folders) // len(ways)][: len(ways)]  # among the honest, so that all kinds meet
    for run, change in zip(hostile, ways, strict=True):
        change(run)
    return set(folders) - set(hostile), set(hostile)


TWENTY = [
    *("choice of 9", "truth of 9", "seconds of infinity", "the run's seconds of NaN", "rounds of 1e9", "users of 1e9"),
    *("probability of NaN", "rows in a pipe", "record in a folder", "rows in a link", "evidence in a pipe"),
    *("10 million rows", "rows of 20 GB", "a name in LaTeX", "a name in HTML", "a name with escapes"),
    *("100,000 settings", "a version in pieces", "the name of another agent", "a stopping rule"),
]


@pytest.mark.reference
@pytest.mark.timeout(900)
def test_of_a_hundred_runs_the_other_eighty_stand_everywhere(hundred, tmp_path, call):
    """Failed at 5f2b401: 100,000 settings took longer than anybody waits, and 20 GB were read into memory."""
    honest, hostile = made_hostile(hundred, tmp_path / "results", [(HOSTILE | ODD)[way] for way in TWENTY])
    assert (len(honest), len(hostile)) == (80, 20)
    said = {}
    for form in ("table", "md", "latex", "csv", "json", "html"):
        more = ["--full"] if form == "table" else []
        status, said[form], err = call("leaderboard", "--results", "results", "--format", form, *more)
        assert (form, status) == (form, 0)
        assert not [run for run in hostile if str(run.relative_to(tmp_path)) not in err]
        assert not [run for run in honest if f"warning: {run.relative_to(tmp_path)}" in err]  # but as what is shown
    for form, text in said.items():
        assert not set(text) & {"\x1b", "\x07", "\u202e", "\0"}, form
    lines = list(csv.DictReader(io.StringIO(said["csv"])))
    rows = {row.folder: row for row in read_leaderboard(tmp_path / "results").rows}
    assert honest <= set(rows)
    for run in honest:
        fields = {name: str(rows[run].fields[name]) for name in ("domain", "agent", "seed")}
        assert [one["accuracy"] for one in lines if fields.items() <= one.items()]
        for form in ("table", "md", "latex", "json", "html"):
            assert re.search(rf"\b{fields['agent']}\b", said[form])
    assert "<script>alert" not in said["html"]
    assert "\\input" not in said["latex"]
    status, _, err = call("export", "--results", "results", "--out", "runs.nc")
    assert status == 0
    assert not [run for run in hostile if str(run.relative_to(tmp_path)) not in err]
    with xr.open_datatree("runs.nc") as tree:
        exported = {str(run) for node in tree.subtree if "run" in node.coords for run in node["run"].values}
    assert {run.name for run in honest} <= exported
    status, out, _ = call("verify", "results")
    assert status == 1
    reports = {block.splitlines()[0]: block for block in re.split(r"^(?=results/)", out, flags=re.M) if block}
    failed = {tmp_path / run for run, block in reports.items() if "  FAIL  " in block}
    assert (len(reports), failed) == (100, hostile)


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
def test_an_odd_run_is_named_and_harms_no_other(made, tmp_path, change):
    results = Path(shutil.copytree(made, tmp_path / "results"))
    (folder,) = (results / "flights-2" / "random").iterdir()
    (other,) = (results / "flights-2" / "first").iterdir()
    change(folder)
    board = read_leaderboard(results)
    assert other in {row.folder for row in board.rows}
    for form in ("table", "md", "latex", "csv", "json"):
        assert "first" in writer(form)(board)
    reports = {report.folder: report for report in verify_all(results)}
    assert reports[other].passed
    assert not any("\x1b" in line for report in reports.values() for line in report.lines())


BROKEN = """
import dataclasses
import beliefbench as bb
def describe(option):
    {}
trains = dataclasses.replace(bb.load_domain("flights-2"), name="trains", describe=describe)
DOMAINS = {{"trains": trains}}
"""


@pytest.mark.parametrize("raised", ["RuntimeError('no trains')", "SystemExit(0)", "GeneratorExit()"])
def test_the_page_stands_with_a_domain_that_cannot_describe(plugin_folder, tmp_path, raised):
    """At 5f2b401 only an ``Exception`` of ``describe`` was caught; an exit ended the page."""
    (plugin_folder / "trains.py").write_text(BROKEN.format("return 'a train'"))
    add_plugin_folder(plugin_folder)
    for domain in ("trains", "flights-2"):
        bb.run(domain, "first", users=2, rounds=1, heldout=4, results=tmp_path / "results")
    forget_plugin_folders()
    (plugin_folder / "trains.py").write_text(BROKEN.format(f"raise {raised}"))
    add_plugin_folder(plugin_folder)
    page = writer("html")(read_leaderboard(tmp_path / "results"))
    assert "The conversations on trains cannot be shown: domain &#39;trains&#39;" in page
    assert "The best option is Flight" in page


def test_names_take_no_longer_than_they_have_letters(make_run, tmp_path):
    """Failed at 5f2b401: the labels of 10,000 settings took the square of their number, and a cut that of a name."""
    settings = [{f"s{at}": f"{at}{'x' * 300}{number}" for at in range(10_000)} for number in range(3)]
    records = [RunStore(make_run(tmp_path, "p", [[1, 2]], settings=one)).record() for one in settings]
    began = time.process_time()
    names = agent_names(records)
    assert len(set(names)) == 3
    assert max(map(len, names)) < 300
    cut = shortened(["a" * 20_000, "a" * 20_000 + "b", "é" * 20_000], 20)
    assert {len(one) for one in cut.values()} == {20}
    assert time.process_time() - began < 5
    taken = [f"x-{'0' * digits}" for digits in range(4, 65)]
    assert len(set(told_apart(["a", "b", *taken], ["x", "x", *taken]))) == 2 + len(taken)
