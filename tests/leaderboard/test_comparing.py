"""``beliefbench compare``: which pairs there are, what is refused, and every form."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.leaderboard.comparing import matrix_of, pairs_of
from beliefbench.leaderboard.ranking import read_leaderboard

RNG = np.random.default_rng(0)
GOOD = RNG.binomial(10, 0.7, (40, 2)).tolist()
BAD = RNG.binomial(10, 0.4, (40, 2)).tolist()


@pytest.fixture
def results(make_run, tmp_path):
    folder = tmp_path / "results"
    make_run(folder, "good", GOOD)
    make_run(folder, "bad", BAD)
    make_run(folder, "chooses", BAD, probs=None)
    make_run(folder, "other-seed", BAD, seed=1)
    return folder


def test_differences_are_those_of_the_users(results):
    frame = bb.compare("good", "bad", results)
    one = frame[(frame.metric == "accuracy") & (frame["round"] == 1)].iloc[0]
    expected = (np.array(GOOD) - np.array(BAD))[:, 1] / 10
    assert one.value == pytest.approx(expected.mean())
    error = expected.std(ddof=1) / 40**0.5
    assert (one.low, one.high) == pytest.approx((one.value - 2.0227 * error, one.value + 2.0227 * error), abs=1e-5)
    assert one["first"] - one.second == pytest.approx(one.value)
    assert one.adjusted >= one.p
    assert set(frame.metric) == {"accuracy", "agreement", "log_score", "brier", "kl_exact"}
    assert set(bb.compare("good", "chooses", results).metric) == {"accuracy", "agreement"}
    back = bb.compare("bad", "good", results)
    assert back.value.tolist() == pytest.approx((-frame.value).tolist())


def test_a_sample_is_compared_on_its_users(results, make_run):
    make_run(results, "few", BAD[:30], population=40)
    frame = bb.compare("good", "few", results)
    assert set(frame.users) == {30}
    first = frame[(frame.metric == "accuracy") & (frame["round"] == 0)].iloc[0]
    assert first["first"] == pytest.approx(np.array(GOOD)[:30, 0].mean() / 10)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("god", "bad", "no run below 'results' is of the agent 'god'; did you mean 'good'?"),
        ("good", "good", "'good' and 'good' are the same run; name two."),
        ("good", "other-seed", "answered different questions on toys (seed 0 and 1); run both with the same numbers."),
        (
            "results/toys/good",
            "bad",
            "'results/toys/good' is not the folder of a run; name one below it: results/toys/good/",
        ),
        ("results/toys", "bad", "'results/toys' is not the folder of a run; name the folder of a run, or an agent."),
        ("results/none", "bad", "no run below 'results' is of the agent 'results/none'; there are bad, chooses, good"),
    ],
)
def test_what_cannot_be_compared_is_told(results, call, first, second, said):
    status, out, err = call("compare", first, second, "--results", "results")
    assert (status, out) == (2, "")
    assert said in " ".join(err.split())


def test_no_pair_of_different_users_or_domains(results, make_run, call):
    make_run(results, "elsewhere", BAD, domain={"name": "games", "version": "1", "parameters": {}})
    _, _, err = call("compare", "good", "elsewhere", "--results", "results")
    assert "'good' and 'elsewhere' have no domain in common; run both on one." in " ".join(err.split())
    assert call("compare", "good", "bad", "--results", "results", "--domain", "chess")[0] == 2
    assert call("compare", "good", "bad", "--results", "nowhere")[0] == 2


def test_agents_of_one_name_are_told_apart(results, make_run, call):
    for weights in ("a1", "b2"):
        make_run(results, "taught", GOOD, settings={"revision": weights})
    _, _, err = call("compare", "taught", "bad", "--results", "results")
    assert "'taught' is the name of 2 agents; name one: taught (" in " ".join(err.split())
    (name,) = {row.fields["agent"] for row in read_leaderboard(results).rows if "a1" in row.fields["agent"]}
    assert call("compare", name, "bad", "--results", "results")[0] == 0


def test_a_run_is_named_by_its_folder_too(results):
    board = read_leaderboard(results)
    folders = {row.fields["agent"]: row.folder for row in board.rows}
    (pair,) = pairs_of(board, folders["good"], folders["bad"], results)
    assert (pair.first.fields["agent"], pair.second.fields["agent"]) == ("good", "bad")


def test_a_hostile_run_is_named_when_it_is_asked_for(results, call):
    (folder,) = (results / "toys" / "good").iterdir()
    (folder / "rows.parquet").write_bytes(b"PAR1")
    status, _, err = call("compare", str(folder), "bad", "--results", "results")
    assert status == 2
    assert "cannot be read" in err


@pytest.mark.parametrize("form", ["table", "md", "csv", "json"])
def test_every_form_holds_the_difference(results, call, tmp_path, form):
    status, out, err = call("compare", "good", "bad", "--results", "results", "--format", form)
    assert (status, err) == (0, "")
    value = 100 * bb.compare("good", "bad", results).query("metric == 'accuracy'").value.iloc[-1]
    if form in ("table", "md"):
        assert f"{value:+.1f}" in out
        assert "good is more accurate after the last round. 40 users show a difference of" in " ".join(out.split())
    elif form == "csv":
        lines = [line for line in csv.DictReader(io.StringIO(out)) if line["metric"] == "accuracy"]
        assert 100 * float(lines[-1]["value"]) == pytest.approx(value)
    else:
        (pair,) = json.loads(out)["pairs"]
        assert (pair["first"], pair["second"], pair["users"]) == ("good", "bad", 40)
    status, _, err = call("compare", "good", "bad", "--results", "results", "--format", form, "--out", "pairs.txt")
    assert (status, (tmp_path / "pairs.txt").read_text() != "") == (0, True)


def test_few_users_have_no_interval(make_run, tmp_path, call):
    for agent, hits in (("one", GOOD[:5]), ("two", BAD[:5])):
        make_run(tmp_path / "results", agent, hits)
    _, out, _ = call("compare", "one", "two", "--results", "results")
    assert "5 users: too few, or too few who differ, to compare the accuracies." in " ".join(out.split())
    assert bb.compare("one", "two", tmp_path / "results").low.isna().all()


def test_the_matrix_is_antisymmetric_and_counts_each_pair_once(results):
    (group, *_) = [group for group in read_leaderboard(results).groups() if len(group) == 3]
    cells = matrix_of(group)
    for place in range(3):
        assert cells[place][place] is None
        for at in range(place):
            one, other = cells[place][at], cells[at][place]
            assert one.difference.value == -other.difference.value
            assert one.sure == other.sure
    names = [row.fields["agent"] for row in group]
    assert cells[names.index("good")][names.index("bad")].sure
    assert not cells[names.index("chooses")][names.index("bad")].sure
