"""Some rows of a leaderboard, and another order."""

import json

import pytest

import beliefbench as bb


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for domain in ("flights-2", "flights-3"):
        for agent in ("random", "first", "bayesian"):
            bb.run(domain, agent, users=6, rounds=2, heldout=10, results=folder)
    return folder


def rows_of(call, results, *options):
    status, out, err = call("leaderboard", "--results", str(results), "--format", "json", *options)
    assert status == 0, err
    return [(row["domain"], row["agent"], row["rank"]) for row in json.loads(out)["rows"]]


def test_domains_and_agents_can_be_chosen_and_ranks_stay(call, results):
    everything = rows_of(call, results)
    assert len(everything) == 6
    chosen = rows_of(call, results, "--domain", "flights-3", "--agent", "random", "--agent", "first")
    assert chosen == [one for one in everything if one[0] == "flights-3" and one[1] != "bayesian"]


def test_rows_can_be_sorted_by_another_metric(call, results):
    frame = bb.leaderboard(results).query("round == 2")
    for metric, ascending in (("agreement", False), ("kl_exact", True)):
        found = rows_of(call, results, "--domain", "flights-2", "--sort", metric)
        expected = frame[frame.domain == "flights-2"].sort_values(metric, ascending=ascending, na_position="last")
        values = dict(zip(expected.agent, expected[metric].fillna(-9), strict=True))
        assert [values[agent] for _, agent, _ in found] == list(values.values())


def test_a_name_that_is_not_there_is_said(call, results):
    status, _, err = call("leaderboard", "--results", str(results), "--agent", "randon")
    assert status == 2
    assert "no row has the agent 'randon'; there are bayesian, first, random." in err
