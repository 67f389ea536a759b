"""The command line: what it prints, its exit statuses, and one clear sentence for every wrong call."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from beliefbench.cli import main as cli

SMALL = ("--domain", "flights-2", "--users", "3", "--rounds", "2", "--heldout", "4")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--domain", "flihgts"], "there is no domain 'flihgts'; did you mean 'flights'?"),
        (
            ["run", "--domain", "flights", "--agent", "bayesain"],
            "there is no agent 'bayesain'; did you mean 'bayesian'?",
        ),
        (
            ["run", "--domain", "flights", "--agent", "random:model"],
            "random does not take the model 'model'; it takes nothing.",
        ),
        (["run", "--domain", "flights", "--agent", "random,dtype=x"], "random does not take the option 'dtype'"),
        (["run", "--domain", "flights", "--agent", "random,dtype"], "expected key=value after the comma, got 'dtype'"),
        (
            ["run", "--domain", "flights", "--agent", "lowest:colour"],
            "no feature 'colour'; flights has departure_time, duration",
        ),
        (
            ["run", "--domain", "flights", "--agent", "prompted:./missing"],
            "there is no model folder or GGUF file './missing'",
        ),
        (
            ["run", "--domain", "flights", "--agent", "prompted:/missing/model.gguf"],
            "there is no model folder or GGUF file",
        ),
        (
            ["run", "--domain", "flights", "--agent", "prompted:smollm2,dtype=int3"],
            "dtype 'int3' is not known; use bfloat16 or float32.",
        ),
        (
            ["run", "--domain", "flights", "--agent", "random", "--users", "0"],
            "users = 0, but flights has 624 different users",
        ),
        (
            ["run", "--domain", "flights", "--agent", "random", "--users", "625"],
            "users = 625, but flights has 624 different users",
        ),
        (["run", "--domain", "flights", "--agent", "random", "--rounds", "-1"], "rounds = -1; expected 0 to 10,000."),
        (
            ["run", "--domain", "flights", "--agent", "random", "--heldout", "0"],
            "heldout = 0; expected 1 to 1,000,000.",
        ),
        (["run", "--domain", "flights", "--agent", "random", "--seed", "-1"], "seed = -1; expected 0 to"),
        (
            ["run", "--domain", "flights", "--agent", "random", "--results", "file"],
            "results folder 'file' is a file or lies below one",
        ),
        (["run", "--domain", "flights", "--agent", "random", "--results", "file/below"], "is a file or lies below one"),
        (
            ["run", "--domain", "flights", "--agent", "random", "--results", "/proc/nowhere"],
            "results folder '/proc/nowhere' cannot be written",
        ),
        (["leaderboard", "--results", "missing"], "results folder 'missing' does not exist"),
        (["check", "flihgts"], "did you mean 'flights'?"),
    ],
)
def test_a_wrong_call_gets_one_sentence_and_status_2(call, arguments, sentence):
    Path("file").touch()
    status, out, err = call(*arguments)
    assert (status, out) == (2, "")
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("beliefbench: error: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--users", "many"],
        ["run", "--preset", "huge"],
        ["run", "--executor", "spark"],
        ["leaderboard", "--format", "pdf"],
        ["rnu"],
    ],
)
def test_a_call_that_cannot_be_read_has_status_2(call, arguments):
    status, out, err = call(*arguments)
    assert (status, out) == (2, "")
    assert "Traceback" not in err


def test_nothing_is_run_where_any_part_of_the_call_is_wrong(call):
    assert call("run", *SMALL, "--agent", "random", "--agent", "nobody")[0] == 2
    assert not list(Path("results").rglob("run.json"))


def test_debug_shows_the_traceback(call, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["beliefbench", "leaderboard", "--results", "missing", "--debug"])
    with pytest.raises(Exception, match="does not exist"):
        cli.main()


def test_list_names_everything_installed(call):
    status, out, _ = call("list")
    assert status == 0
    for name in ("flights", "bayesian", "bayesian-mean", "oracle", "prompted", "log_score", "kl_exact"):
        assert name in out
    assert "float[" not in out
    assert "bayesian" not in call("list", "domains")[1]


def test_run_ends_with_the_leaderboard_and_reuses_what_is_there(call):
    arguments = ("run", *SMALL, "--agent", "bayesian", "--agent", "first")
    status, out, err = call(*arguments)
    assert status == 0
    assert "flights-2 (version 1): 3 users, 2 rounds, 4 held-out sets, seed 0" in out
    assert "done" in err
    files = {file: file.stat().st_mtime_ns for file in Path("results").rglob("*.*") if file.is_file()}
    assert {file.name for file in files} == {"run.json", "rows.parquet", ".lock"}
    again = call(*arguments)
    assert (again[0], again[1]) == (0, out)
    assert "reused" in again[2]
    assert files == {file: file.stat().st_mtime_ns for file in Path("results").rglob("*.*") if file.is_file()}


def test_two_names_of_one_domain_are_run_once(call):
    names = ("--domain", "flights", "--domain", "flights-4")
    status, _, err = call("run", *names, *SMALL[2:], "--agent", "first")
    assert status == 0
    assert err.count("flights") == 1


def test_a_domain_takes_settings(call):
    noisy = "flights-2,user_lapse=0.5"
    status, out, _ = call("run", "--domain", noisy, *SMALL[2:], "--agent", "first")
    assert status == 0
    assert f"{noisy} (version 1): 3 users" in out
    status, _, err = call("run", "--domain", "flights,noise=0.5", "--agent", "first")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "no setting 'noise'; there are temperature, lapse, lapse_to, and user_ before each" in err


def test_an_agent_that_serves_only_some_domains_is_left_out_of_the_others(call):
    domains = ("--domain", "flights-3", "--domain", "flights-2", "--users", "3", "--heldout", "4")
    agents = ("--agent", "first", "--agent", "lowest:departure_time")
    status, out, err = call("run", *domains, *agents)
    assert status == 0
    left_out = "agent 'lowest:departure_time' is left out of flights-2: agent 'lowest:departure_time' cannot be made: "
    assert f"{left_out}no feature 'departure_time'" in err
    assert "Means over 2 domains" in out
    assert "lowest:departure_time" in out
    status, out, err = call("run", *domains[2:], *agents)
    assert (status, out) == (2, "")  # where it serves none, the call is wrong


def test_a_setting_that_is_no_number_and_data_that_is_not_imported_are_named(call):
    status, _, err = call("run", "--domain", "flights-2,lapse=often", "--agent", "first")
    assert status == 2
    assert "lapse is a number; got 'often'" in err
    status, _, err = call("run", "--domain", "released/flights", "--agent", "first")
    assert status == 2
    assert "nothing is imported here yet: `beliefbench import PATH` does it." in err


def test_run_shows_only_the_runs_it_was_asked_for(call):
    call("run", *SMALL, "--agent", "first")
    _, out, _ = call("run", *SMALL, "--agent", "random")
    assert "random" in out
    assert "first" not in out


def test_leaderboard_formats(call):
    call("run", *SMALL, "--agent", "bayesian", "--agent", "oracle", "--agent", "first")
    status, out, err = call("leaderboard", "--format", "json")
    assert (status, err) == (0, "")
    board = json.loads(out)
    assert board["rows"][0]["agent"] == "oracle"
    assert {row["agent"]: row["probabilistic"] for row in board["rows"]}["first"] is False
    assert "| bayesian" in call("leaderboard", "--format", "md")[1]
    assert call("leaderboard", "--format", "csv")[1].splitlines()[0].startswith("domain,domain_version,agent,")
    said = "beliefbench: the leaderboard is in board.json.\n"
    assert call("leaderboard", "--format", "json", "--out", "board.json") == (0, "", said)
    assert json.loads(Path("board.json").read_text()) == board
    status, _, err = call("leaderboard", "--out", "missing/board.txt")
    assert status == 2
    assert "'missing/board.txt' cannot be written" in err


def test_leaderboard_of_an_empty_folder_says_how_to_fill_it(call):
    Path("empty").mkdir()
    status, out, err = call("leaderboard", "--results", "empty", "--format", "json")
    assert (status, json.loads(out)) == (0, {"schema": 1, "rows": []})
    assert "`beliefbench run --results empty` makes some" in err


def test_a_truncated_file_is_named_and_the_rest_still_read(call):
    call("run", *SMALL, "--agent", "bayesian", "--agent", "first")
    (damaged,) = Path("results").rglob("first/*/rows.parquet")
    damaged.write_bytes(damaged.read_bytes()[:-200])
    status, out, err = call("leaderboard", "--format", "csv")
    assert status == 0
    assert str(damaged) in err
    assert "bayesian" in out
    assert "first" not in out
    status, out, err = call("run", *SMALL, "--agent", "first")
    assert status == 0
    assert str(damaged) in err
    assert "first" in out


@pytest.mark.parametrize(
    "arguments",
    [("list", "agents"), pytest.param(("run", *SMALL, "--agent", "random"), marks=pytest.mark.reference)],
    ids=lambda arguments: arguments[0],
)
def test_the_command_works_from_anywhere(tmp_path, arguments):
    """Runs of a process of its own are in the tests of the wheel too."""
    command = Path(sys.executable).with_name("beliefbench")
    done = subprocess.run([command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "random" in done.stdout


# --- the first table, the last table, and the skill model -----------------------------------------
