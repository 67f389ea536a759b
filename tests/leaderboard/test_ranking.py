"""The leaderboard of runs made by hand: metrics recomputed from rows, ranks, and problems named."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import beliefbench as bb
from beliefbench.leaderboard.forms.formats import to_json
from beliefbench.leaderboard.ranking import read_leaderboard
from beliefbench.publishing.publish import publish
from beliefbench.running import store
from beliefbench.running.store import ROWS, RunStore

EXACT = np.array([0.5, 0.3, 0.2])
"""The exact predictive of every set here: option 1 is best."""


def rows_of(results: Path) -> dict[str, dict]:
    return {row["agent"]: row for row in json.loads(read_leaderboard(results).as_json())["rows"]}


def test_metrics_by_hand(tmp_path, make_run):
    # 24 users, ten sets, two stages: 3, 5, 4 right of 10 each, then 8, 6, 7.
    make_run(tmp_path, "hand", [[3, 8], [5, 6], [4, 7]] * 8)
    first, last = rows_of(tmp_path)["hand"]["rounds"]
    assert (first["round"], last["round"]) == (0, 1)
    assert first["accuracy"] == pytest.approx(0.4)
    assert last["accuracy"] == pytest.approx(0.7)
    # Wilson: the shares p with (mean - p)^2 = t^2 p (1 - p) / n. The means of 24 users have the variance .16 / 23 / 24,
    # a share of n answers has mean (1 - mean) / n, and t(23) = 2.068658.
    for one in (first, last):
        mean = one["accuracy"]
        by = 2.068658**2 * (0.16 / 23 / 24) / (mean * (1 - mean))
        low, high = sorted(np.roots([1 + by, -2 * mean - by, mean**2]))
        assert (one["accuracy_lo"], one["accuracy_hi"]) == (pytest.approx(low), pytest.approx(high))
    assert first["agreement"] == last["agreement"] == 1
    assert first["coverage"] == last["coverage"] == 1
    assert last["log_score"] == pytest.approx(-0.7 * np.log(0.8) - 0.3 * np.log(0.1))
    # Right: .04 + .01 + .01; wrong: .64 + .81 + .01.
    assert last["brier"] == pytest.approx(0.7 * 0.06 + 0.3 * 1.46)
    assert last["ece"] == pytest.approx(abs(0.8 - 0.7))
    assert first["ece"] == pytest.approx(abs(0.8 - 0.4))
    assert last["kl_exact"] == pytest.approx((EXACT * np.log(EXACT / [0.8, 0.1, 0.1])).sum())


def test_ranks_are_by_the_last_round_and_equals_share_one(tmp_path, make_run):
    make_run(tmp_path, "early", [[9, 2], [9, 2]])
    make_run(tmp_path, "best", [[0, 8], [0, 8]])
    make_run(tmp_path, "second", [[0, 5], [0, 7]])
    make_run(tmp_path, "as-good", [[1, 7], [1, 5]])
    rows = json.loads(read_leaderboard(tmp_path).as_json())["rows"]
    assert [(row["agent"], row["rank"]) for row in rows] == [("best", 1), ("as-good", 2), ("second", 2), ("early", 4)]


def test_equal_shares_share_a_rank_however_their_sum_is_rounded(tmp_path, make_run):
    # .1 + .2 + .3 and .3 + .2 + .1 differ in floats: 6 right of 30 each.
    assert 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1
    make_run(tmp_path, "up", [[1], [2], [3]])
    make_run(tmp_path, "down", [[3], [2], [1]])
    assert {row["rank"] for row in rows_of(tmp_path).values()} == {1}


def test_what_cannot_be_compared_is_ranked_apart(tmp_path, make_run):
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
    board = read_leaderboard(tmp_path)
    groups = [[row.fields["agent"] for row in group] for group in board.groups()]
    assert ["a", "b"] in groups
    assert sorted(len(group) for group in groups) == [1] * 7 + [2]
    assert {row["agent"]: row["rank"] for row in json.loads(board.as_json())["rows"]}.pop("b") == 2


def test_a_row_with_fewer_users_has_no_rank_and_does_not_count(tmp_path, make_run):
    make_run(tmp_path, "all", [[3, 8], [5, 6], [5, 7]])
    make_run(tmp_path, "some", [[9, 9], [9, 9]], population=3)
    board = read_leaderboard(tmp_path)
    assert [(row.fields["agent"], row.fields["rank"]) for row in board.rows] == [("all", 1), ("some", None)]
    assert [row["rank"] for row in json.loads(board.as_json())["rows"]] == [1, None]
    assert board.as_frame().groupby("agent")["rank"].first().fillna(0).to_dict() == {"all": 1, "some": 0}


# --- problems -------------------------------------------------------------------------------------


def test_a_truncated_parquet_file_is_named_and_the_rest_is_read(tmp_path, make_run):
    make_run(tmp_path, "whole", [[3, 8], [5, 6]])
    file = make_run(tmp_path, "torn", [[3, 8], [5, 6]]) / "rows.parquet"
    file.write_bytes(file.read_bytes()[:200])
    board = read_leaderboard(tmp_path)
    assert [row.fields["agent"] for row in board.rows] == ["whole"]
    (problem,) = board.problems
    assert str(file) in problem
    assert "cannot be read" in problem
    with pytest.warns(UserWarning, match="cannot be read"):
        frame = bb.leaderboard(tmp_path)
    assert set(frame.agent) == {"whole"}


def test_a_finished_run_without_its_rows_is_named_and_the_rest_is_read(tmp_path, make_run):
    make_run(tmp_path, "whole", [[3, 8], [5, 6]])
    folder = make_run(tmp_path, "empty", [[3, 8], [5, 6]])
    (folder / "rows.parquet").unlink()
    board = read_leaderboard(tmp_path)
    assert [row.fields["agent"] for row in board.rows] == ["whole"]
    assert [str(folder) in problem for problem in board.problems] == [True]


def test_rows_that_are_not_all_there_are_named(tmp_path, make_run):
    folder = make_run(tmp_path, "some", [[3, 8], [5, 6]])
    table = store.pq.read_table(folder / "rows.parquet")
    store.pq.write_table(table.slice(1), folder / "rows.parquet")
    board = read_leaderboard(tmp_path)
    assert not board.rows
    assert [str(folder / "rows.parquet") in problem for problem in board.problems] == [True]


def test_a_run_with_a_user_missing_is_not_shown_as_a_whole_one(tmp_path, make_run):
    folder = make_run(tmp_path, "some", [[3, 8], [5, 6]])
    table = store.pq.read_table(folder / "rows.parquet").to_pandas()
    store.pq.write_table(
        store.pa.Table.from_pandas(table[table.user == 0], ROWS, preserve_index=False), folder / "rows.parquet"
    )
    board = read_leaderboard(tmp_path)
    assert not board.rows
    assert [str(folder / "rows.parquet") in problem for problem in board.problems] == [True]


def test_a_garbage_run_record_is_named_and_the_rest_is_read(tmp_path, make_run):
    make_run(tmp_path, "whole", [[3, 8], [5, 6]])
    folder = make_run(tmp_path, "garbage", [[3, 8], [5, 6]])
    (folder / "run.json").write_text('{"key": 1}')
    board = read_leaderboard(tmp_path)
    assert [row.fields["agent"] for row in board.rows] == ["whole"]
    assert [str(folder / "run.json") in problem for problem in board.problems] == [True]


def test_an_unfinished_run_is_named_and_left_out(tmp_path, make_run):
    folder = make_run(tmp_path, "half", [[3, 8], [5, 6]], finished=None)
    board = read_leaderboard(tmp_path)
    assert not board.rows
    (problem,) = board.problems
    assert problem.startswith(f"{folder} is not finished")
    with RunStore(folder).held():  # as a process that is asking its agent
        (problem,) = read_leaderboard(tmp_path).problems
    assert problem == f"{folder} is running now, and left out until it is finished."


def test_a_folder_that_does_not_exist_is_a_wrong_call(tmp_path):
    with pytest.raises(bb.UsageError, match=r"results folder '.*none' does not exist"):
        read_leaderboard(tmp_path / "none")
    with pytest.raises(bb.UsageError, match=r"results folder '.*none' does not exist"):
        bb.leaderboard(tmp_path / "none")


def test_a_folder_without_runs_has_an_empty_leaderboard(tmp_path):
    board = read_leaderboard(tmp_path)
    assert (board.rows, board.problems) == ([], [])
    assert json.loads(to_json(board)) == {"schema": 1, "rows": []}
    assert list(bb.leaderboard(tmp_path).columns[:3]) == ["domain", "domain_version", "agent"]


def test_only_some_runs_can_be_asked_for(tmp_path, make_run):
    make_run(tmp_path, "a", [[3, 8], [5, 6]])
    folder = make_run(tmp_path, "b", [[3, 8], [5, 6]])
    assert [row.fields["agent"] for row in read_leaderboard(tmp_path, only=[folder]).rows] == ["b"]


def test_the_leaderboard_is_read_in_a_fresh_process(tmp_path, make_run):
    """Whatever else a process has imported before; the package of its name does not hide the public function."""
    make_run(tmp_path, "hand", [[3, 8], [5, 6]])
    code = (
        "from beliefbench.leaderboard.ranking import read_leaderboard; import beliefbench; "
        f"print(read_leaderboard({str(tmp_path)!r}).rows[0].final['accuracy'], "
        f"beliefbench.leaderboard({str(tmp_path)!r})['accuracy'].iloc[-1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("0.7 0.7", 0), done.stderr


def test_of_a_run_that_is_published_beside_the_one_it_was_packed_from_the_published_one_counts(tmp_path):
    done = bb.run("flights-2", "first", users=4, rounds=1, heldout=3, results=tmp_path / "local")
    published = publish(done.folder, tmp_path / "published").folder
    (row,) = read_leaderboard(tmp_path).rows
    assert (row.folder, row.published, row.intact) == (published, True, False)


def test_a_copy_with_other_answers_is_named(tmp_path):
    done = bb.run("flights-2", "first", users=4, rounds=1, heldout=3, results=tmp_path / "local")
    file = publish(done.folder, tmp_path / "published").folder / "run.json"
    assert read_leaderboard(tmp_path).problems == []
    rows = pq.read_table(done.folder / "rows.parquet", partitioning=None)
    at = rows.column_names.index("choice")
    right = rows.set_column(at, rows.schema.field("choice"), rows["truth"])
    pq.write_table(right, done.folder / "rows.parquet")
    (problem,) = read_leaderboard(tmp_path).problems
    assert problem.startswith(f"{file.parent} and {done.folder} are the same run with other answers; the second is")


def test_a_published_run_that_is_not_what_its_evidence_attests_is_named(tmp_path):
    done = bb.run("flights-2", "first", users=4, rounds=1, heldout=3, results=tmp_path / "local")
    folder = publish(done.folder, tmp_path / "published").folder
    evidence = json.loads((folder / "evidence.json").read_text())
    evidence["rounds"][1]["accuracy"] = 1.0
    (folder / "evidence.json").write_text(json.dumps(evidence))
    board = read_leaderboard(tmp_path / "published")
    assert [row.published for row in board.rows] == [False]
    (problem,) = board.problems
    assert problem == f"{folder} is not what its evidence.json attests; `beliefbench verify {folder}` says why."
