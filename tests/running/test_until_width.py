"""Runs that stop early: who is asked, when enough were, and that a stopped process changes neither."""

from __future__ import annotations

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.intervals import clustered_interval
from beliefbench.leaderboard.ranking import read_leaderboard
from beliefbench.protocol.protocol import Protocol
from beliefbench.protocol.stopping import UntilWidth, order_of_users
from beliefbench.running.answering import Job, run_identity

DOMAIN = "flights-3"
PROTOCOL = {"users": 124, "rounds": 1, "heldout": 20}
LOOKS = (48, 72, 108, 124)


@pytest.fixture(scope="module")
def domain() -> bb.Domain:
    return bb.load_domain(DOMAIN)


def final_accuracy(rows) -> np.ndarray:
    """Each user's accuracy after the last round, in the order in which they are asked."""
    last = rows[(rows["stage"] == PROTOCOL["rounds"]) & (rows["question"] >= 0)]
    return (last["choice"] == last["truth"]).groupby(last["user"]).mean()[asked_first()].to_numpy()


def asked_first() -> list[int]:
    """The users in the order in which they are asked."""
    episodes = bb.Episodes(bb.load_domain(DOMAIN), Protocol(**PROTOCOL))
    return episodes.users[order_of_users(0, DOMAIN, PROTOCOL["users"])].tolist()


@pytest.fixture(scope="module")
def whole(domain, tmp_path_factory):
    return bb.run(domain, "random", **PROTOCOL, results=tmp_path_factory.mktemp("whole")).rows().to_pandas()


@pytest.mark.parametrize("width", [0.2, 0.045, 0.02])
def test_it_ends_at_the_first_look_that_is_narrow_enough(domain, whole, tmp_path, width):
    """Worked out anew from a run of all users, whose answers those of the stopped run are."""
    accuracy = final_accuracy(whole)
    widths = [np.subtract(*clustered_interval(accuracy[:look])[::-1]) for look in LOOKS]
    enough = next((look for look, one in zip(LOOKS, widths, strict=True) if one < width), LOOKS[-1])
    done = bb.run(domain, "random", **PROTOCOL, results=tmp_path, until_width=width)
    rows = done.rows().to_pandas()
    assert done.record.asked == enough
    assert set(rows["user"]) == set(asked_first()[:enough])
    assert rows.equals(whole[whole["user"].isin(rows["user"])].reset_index(drop=True))
    assert bb.run(domain, "random", **PROTOCOL, results=tmp_path, until_width=width).reused


def test_the_widths_above_stop_at_different_looks(whole):
    """So that the test above is one: at the first look, at a later one, and never."""
    accuracy = final_accuracy(whole)
    widths = {look: np.subtract(*clustered_interval(accuracy[:look])[::-1]) for look in LOOKS}
    assert widths[48] < 0.2
    assert widths[72] >= 0.045 > widths[108]
    assert widths[124] >= 0.02


def test_a_stopped_process_goes_on_and_asks_the_same(domain, tmp_path, monkeypatch):
    """It is stopped in its second look."""
    agent = bb.load_agent("random", domain)
    agent.users_per_call = 20
    settings = {**PROTOCOL, "until_width": 0.045}
    whole = bb.run(domain, agent, **settings, results=tmp_path / "whole").rows()
    calls = 0

    def stop(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if total > 2 * LOOKS[0] and done > 2 * LOOKS[0] + 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bb.run(domain, agent, **settings, results=tmp_path / "halves", progress=stop)
    done = bb.run(domain, agent, **settings, results=tmp_path / "halves")
    assert len(done.record.resumed) == 1
    assert done.rows().equals(whole)


def test_the_rule_is_part_of_the_identity(domain):
    agent, protocol = bb.load_agent("first", domain), Protocol(**PROTOCOL)
    plain, stopping, other = (
        run_identity(Job(domain, agent, protocol, stopping=rule)).json_values()
        for rule in (None, UntilWidth(0.05), UntilWidth(0.04))
    )
    assert plain["stopping"] is None
    assert stopping["stopping"] == {"rule": "Wilson interval width", "width": 0.05, "first": 48, "growth": 1.5}
    assert stopping != other
    assert {**stopping, "stopping": None} == plain


def test_it_stands_beside_runs_of_all_users_and_says_how_many_it_asked(domain, tmp_path):
    bb.run(domain, "first", **PROTOCOL, results=tmp_path)
    bb.run(domain, "random", **PROTOCOL, results=tmp_path, until_width=0.2)
    (group,) = read_leaderboard(tmp_path).groups()
    notes = {row.fields["agent"]: (row.fields["users"], row.note) for row in group}
    assert notes == {"first": (124, None), "random": (48, "48 of 124 users")}
    assert all(row.population == 124 for row in group)


@pytest.mark.parametrize("width", [0.0, 1.0, -0.1, float("nan")])
def test_a_width_that_cannot_be_is_refused(domain, tmp_path, width):
    with pytest.raises(bb.UsageError, match="a width is a share above 0 and below 1"):
        bb.run(domain, "first", **PROTOCOL, results=tmp_path, until_width=width)
    assert not list(tmp_path.iterdir())


def test_a_sample_is_so_many_users_in_the_same_order(domain, whole, tmp_path):
    done = bb.run(domain, "random", **PROTOCOL, results=tmp_path, sample=5)
    rows = done.rows().to_pandas()
    assert done.record.asked == 5
    assert set(rows["user"]) == set(asked_first()[:5])
    assert rows.equals(whole[whole["user"].isin(rows["user"])].reset_index(drop=True))
    assert done.record.identity.stopping == {"rule": "sample", "users": 5}
    (group,) = read_leaderboard(tmp_path).groups()
    assert [(row.note, row.population) for row in group] == [("5 of 124 users", 124)]


def test_a_sample_and_a_width_exclude_each_other(domain, tmp_path):
    with pytest.raises(bb.UsageError, match="exclude each other"):
        bb.run(domain, "first", **PROTOCOL, results=tmp_path, sample=3, until_width=0.1)
    with pytest.raises(bb.UsageError, match="a sample has 1 user or more; got 0"):
        bb.run(domain, "first", **PROTOCOL, results=tmp_path, sample=0)
