"""The leaderboard of runs made by hand: metrics recomputed from rows, ranks, problems named, and every format."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import bench
from bench import store
from bench.finished import Format
from bench.formats import FOR_PEOPLE, FOR_PROGRAMS
from bench.standings import read_standings
from bench.store import OWN_SET, ROWS, AgentRecord, RunRecord, RunStore, run_key
from bench.tables import to_csv, to_json, to_markdown, to_terminal

# The ROW of `leaderboard --format json`, schema 1, as the design fixes it.
ROW = {
    *("domain", "domain_version", "agent", "users", "heldout", "seed", "agreement_rule", "probabilistic", "privileged"),
    *("rank", "rhat", "ess_bulk", "rounds"),
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

EXACT = np.array([0.5, 0.3, 0.2])
"""The exact predictive of every set here: option 1 is best."""


def make_run(
    results: Path,
    agent: str,
    right: list[list[int]],
    *,
    sets: int = 10,
    probs: tuple[float, float, float] | None = (0.8, 0.1, 0.1),
    privileged: bool = False,
    note: str | None = None,
    finished: str | None = "2026-01-01T00:00:00+00:00",
    **identity: object,
) -> Path:
    """Write a finished run in which user u at stage s got ``right[u][s]`` of the sets right, and return its folder.

    The agent always names option 0, with ``probs``; the truth is option 0 where it is right and 1 where it is not. Each
    stage but the last has an answer to the round's own set, always right, that must count for nothing.
    """
    lines = []
    stages = len(right[0])
    for user, hits in enumerate(right):
        for stage, count in enumerate(hits):
            for question in [*range(sets), *([OWN_SET] if stage + 1 < stages else [])]:
                hit = question == OWN_SET or question < count
                line = {"user": user, "stage": stage, "question": question, "truth": 0 if hit else 1, "choice": 0}
                line |= {f"prob_{k}": None if probs is None else probs[k] for k in range(3)}
                lines.append(line | {f"exact_{k}": None if question == OWN_SET else EXACT[k] for k in range(3)})
    identity = {
        "schema": 1,
        "domain": {"name": "toys", "version": "1", "parameters": {}},
        "agent": {"name": agent, "version": "1"},
        **{"users": len(right), "rounds": stages - 1, "heldout": sets, "seed": 0, "stopping": None},
        **identity,
    }
    key = run_key(identity)
    run = RunStore(results / identity["domain"]["name"] / agent / key[:16])
    run.folder.mkdir(parents=True)
    run.write_record(
        RunRecord(
            schema_version=1,
            key=key,
            identity=identity,
            agent=AgentRecord(
                name=agent, version="1", probabilistic=probs is not None, privileged=privileged, note=note
            ),
            versions={},
            machine={},
            started="2026-01-01T00:00:00+00:00",
            finished=finished,
        )
    )
    rng = np.random.default_rng(0)  # rows are found whatever their order
    table = store.pa.Table.from_pylist([lines[at] for at in rng.permutation(len(lines))], schema=ROWS)
    store.pq.write_table(table, run.folder / "rows.parquet")
    return run.folder


def rows_of(results: Path) -> dict[str, dict]:
    return {row["agent"]: row for row in json.loads(read_standings(results).as_json())["rows"]}


def test_metrics_by_hand(tmp_path):
    # Three users, ten sets, two stages: 3, 5, 4 right of 10 each, then 8, 6, 7.
    make_run(tmp_path, "hand", [[3, 8], [5, 6], [4, 7]])
    first, last = rows_of(tmp_path)["hand"]["rounds"]
    assert (first["round"], last["round"]) == (0, 1)
    assert first["accuracy"] == pytest.approx(0.4)
    assert last["accuracy"] == pytest.approx(0.7)
    # Student's t on 3 users' means of standard deviation .1: t(2) = 4.302653.
    half = 4.302653 * 0.1 / np.sqrt(3)
    assert (first["accuracy_lo"], first["accuracy_hi"]) == (pytest.approx(0.4 - half), pytest.approx(0.4 + half))
    assert (last["accuracy_lo"], last["accuracy_hi"]) == (pytest.approx(0.7 - half), pytest.approx(0.7 + half))
    assert first["agreement"] == last["agreement"] == 1
    assert first["coverage"] == last["coverage"] == 1
    assert last["log_score"] == pytest.approx(-0.7 * np.log(0.8) - 0.3 * np.log(0.1))
    # Right: .04 + .01 + .01; wrong: .64 + .81 + .01.
    assert last["brier"] == pytest.approx(0.7 * 0.06 + 0.3 * 1.46)
    assert last["ece"] == pytest.approx(abs(0.8 - 0.7))
    assert first["ece"] == pytest.approx(abs(0.8 - 0.4))
    assert last["kl_exact"] == pytest.approx((EXACT * np.log(EXACT / [0.8, 0.1, 0.1])).sum())


def test_json_has_exactly_the_fields_of_schema_1(tmp_path):
    make_run(tmp_path, "states", [[3, 8], [5, 6]])
    make_run(tmp_path, "chooses", [[3, 8], [5, 6]], probs=None, privileged=True, note="4-bit weights")
    answer = json.loads(to_json(read_standings(tmp_path)))
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


def test_ranks_are_by_the_last_round_and_equals_share_one(tmp_path):
    make_run(tmp_path, "early", [[9, 2], [9, 2]])
    make_run(tmp_path, "best", [[0, 8], [0, 8]])
    make_run(tmp_path, "second", [[0, 5], [0, 7]])
    make_run(tmp_path, "as-good", [[1, 7], [1, 5]])
    rows = json.loads(read_standings(tmp_path).as_json())["rows"]
    assert [(row["agent"], row["rank"]) for row in rows] == [("best", 1), ("as-good", 2), ("second", 2), ("early", 4)]


def test_equal_shares_share_a_rank_however_their_sum_is_rounded(tmp_path):
    # .1 + .2 + .3 and .3 + .2 + .1 differ in floats: 6 right of 30 each.
    assert 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1
    make_run(tmp_path, "up", [[1], [2], [3]])
    make_run(tmp_path, "down", [[3], [2], [1]])
    assert {row["rank"] for row in rows_of(tmp_path).values()} == {1}


def test_what_cannot_be_compared_is_ranked_apart(tmp_path):
    toys = {"name": "toys", "version": "1", "parameters": {}}
    make_run(tmp_path, "a", [[3, 8], [5, 6]])
    make_run(tmp_path, "seed", [[3, 9], [5, 9]], seed=1)
    make_run(tmp_path, "users", [[3, 9]])
    make_run(tmp_path, "rounds", [[9], [9]])
    make_run(tmp_path, "heldout", [[3, 9], [5, 9]], sets=11)
    make_run(tmp_path, "version", [[3, 9], [5, 9]], domain={**toys, "version": "2"})
    make_run(tmp_path, "domain", [[3, 9], [5, 9]], domain={**toys, "name": "games"})
    make_run(tmp_path, "parameters", [[3, 9], [5, 9]], domain={**toys, "parameters": {"noise": 0.1}})
    make_run(tmp_path, "b", [[3, 7], [5, 6]])
    standings = read_standings(tmp_path)
    groups = [[row.fields["agent"] for row in group] for group in standings.groups()]
    assert ["a", "b"] in groups
    assert sorted(len(group) for group in groups) == [1] * 7 + [2]
    assert {row["agent"]: row["rank"] for row in json.loads(standings.as_json())["rows"]}.pop("b") == 2


# --- problems -------------------------------------------------------------------------------------


def test_a_truncated_parquet_file_is_named_and_the_rest_is_read(tmp_path):
    make_run(tmp_path, "whole", [[3, 8], [5, 6]])
    file = make_run(tmp_path, "torn", [[3, 8], [5, 6]]) / "rows.parquet"
    file.write_bytes(file.read_bytes()[:200])
    standings = read_standings(tmp_path)
    assert [row.fields["agent"] for row in standings.rows] == ["whole"]
    (problem,) = standings.problems
    assert str(file) in problem
    assert "cannot be read" in problem
    with pytest.warns(UserWarning, match="cannot be read"):
        frame = bench.leaderboard(tmp_path)
    assert set(frame.agent) == {"whole"}


def test_a_finished_run_without_its_rows_is_named_and_the_rest_is_read(tmp_path):
    make_run(tmp_path, "whole", [[3, 8], [5, 6]])
    folder = make_run(tmp_path, "empty", [[3, 8], [5, 6]])
    (folder / "rows.parquet").unlink()
    standings = read_standings(tmp_path)
    assert [row.fields["agent"] for row in standings.rows] == ["whole"]
    assert [str(folder) in problem for problem in standings.problems] == [True]


def test_rows_that_are_not_all_there_are_named(tmp_path):
    folder = make_run(tmp_path, "some", [[3, 8], [5, 6]])
    table = store.pq.read_table(folder / "rows.parquet")
    store.pq.write_table(table.slice(1), folder / "rows.parquet")
    standings = read_standings(tmp_path)
    assert not standings.rows
    assert [str(folder / "rows.parquet") in problem for problem in standings.problems] == [True]


def test_a_run_with_a_user_missing_is_not_shown_as_a_whole_one(tmp_path):
    folder = make_run(tmp_path, "some", [[3, 8], [5, 6]])
    table = store.pq.read_table(folder / "rows.parquet").to_pandas()
    store.pq.write_table(
        store.pa.Table.from_pandas(table[table.user == 0], ROWS, preserve_index=False), folder / "rows.parquet"
    )
    standings = read_standings(tmp_path)
    assert not standings.rows
    assert [str(folder / "rows.parquet") in problem for problem in standings.problems] == [True]


def test_a_garbage_run_record_is_named_and_the_rest_is_read(tmp_path):
    make_run(tmp_path, "whole", [[3, 8], [5, 6]])
    folder = make_run(tmp_path, "garbage", [[3, 8], [5, 6]])
    (folder / "run.json").write_text('{"key": 1}')
    standings = read_standings(tmp_path)
    assert [row.fields["agent"] for row in standings.rows] == ["whole"]
    assert [str(folder / "run.json") in problem for problem in standings.problems] == [True]


def test_an_unfinished_run_is_named_and_left_out(tmp_path):
    folder = make_run(tmp_path, "half", [[3, 8], [5, 6]], finished=None)
    standings = read_standings(tmp_path)
    assert not standings.rows
    (problem,) = standings.problems
    assert problem.startswith(f"{folder} is not finished")


def test_a_folder_that_does_not_exist_is_a_wrong_call(tmp_path):
    with pytest.raises(bench.UsageError, match=r"results folder '.*none' does not exist"):
        read_standings(tmp_path / "none")
    with pytest.raises(bench.UsageError, match=r"results folder '.*none' does not exist"):
        bench.leaderboard(tmp_path / "none")


def test_a_folder_without_runs_has_an_empty_leaderboard(tmp_path):
    standings = read_standings(tmp_path)
    assert (standings.rows, standings.problems) == ([], [])
    assert json.loads(to_json(standings)) == {"schema": 1, "rows": []}
    assert list(bench.leaderboard(tmp_path).columns[:3]) == ["domain", "domain_version", "agent"]


def test_only_some_runs_can_be_asked_for(tmp_path):
    make_run(tmp_path, "a", [[3, 8], [5, 6]])
    folder = make_run(tmp_path, "b", [[3, 8], [5, 6]])
    assert [row.fields["agent"] for row in read_standings(tmp_path, only=[folder]).rows] == ["b"]


def test_the_leaderboard_is_read_in_a_fresh_process(tmp_path):
    """Whatever else a process has imported before."""
    make_run(tmp_path, "hand", [[3, 8], [5, 6]])
    code = f"from bench.standings import read_standings as r; print(r({str(tmp_path)!r}).rows[0].final['accuracy'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("0.7", 0), done.stderr


# --- formats --------------------------------------------------------------------------------------


@pytest.fixture
def three_runs(tmp_path) -> Path:
    make_run(tmp_path, "hand", [[3, 8], [5, 6], [4, 7]])
    make_run(tmp_path, "oracle", [[9, 9], [9, 10], [10, 10]], privileged=True)
    make_run(tmp_path, "chooses", [[1, 2], [2, 2], [2, 2]], probs=None, note="4-bit weights")
    return tmp_path


def test_the_formats_are_those_that_the_command_offers():
    assert {*FOR_PEOPLE, *FOR_PROGRAMS} == {one.value for one in Format}


def test_markdown_has_a_line_for_each_agent_in_order(three_runs):
    text = to_markdown(read_standings(three_runs))
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
    assert "told the truth" in text


def test_csv_has_a_line_for_each_agent_and_round(three_runs):
    lines = list(csv.DictReader(io.StringIO(to_csv(read_standings(three_runs)))))
    assert [(line["agent"], line["round"]) for line in lines] == [
        (agent, stage) for agent in ("oracle", "hand", "chooses") for stage in ("0", "1")
    ]
    assert float(lines[3]["accuracy"]) == pytest.approx(0.7)
    assert lines[5]["log_score"] == ""
    assert ROW - {"rounds"} | ROUND <= set(lines[0])


def test_the_frame_holds_what_json_holds(three_runs):
    frame = bench.leaderboard(three_runs)
    for row in rows_of(three_runs).values():
        for one in row["rounds"]:
            line = frame[(frame.agent == row["agent"]) & (frame["round"] == one["round"])].iloc[0]
            for name in ROUND:
                assert line[name] == one[name] or (one[name] is None and np.isnan(line[name]))


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_shows_every_agent_and_its_accuracies(three_runs, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    to_terminal(read_standings(three_runs), console)
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
        assert word in text
    assert max(map(len, text.splitlines())) <= width
