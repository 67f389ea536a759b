"""Agents of one name, several runs of one agent, and several groups of one domain: never two by one name."""

from __future__ import annotations

import io
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

import beliefbench as bb
from beliefbench.leaderboard.datatree import tree_of
from beliefbench.leaderboard.forms.formats import writer
from beliefbench.leaderboard.naming import differences, group_names, shortened, slugs_of
from beliefbench.leaderboard.overview import overview_of
from beliefbench.leaderboard.page.pictures import draw_all
from beliefbench.leaderboard.ranking import Leaderboard, read_leaderboard

TOYS = {"name": "toys", "version": "1", "parameters": {}}
GAMES = {**TOYS, "name": "games"}
A, B = "3fa9" + "0" * 60, "3fc1" + "0" * 60


def agents(results: Path) -> dict[str, str]:
    """The names on the leaderboard, by the folders of the runs."""
    return {row.folder.name: row.fields["agent"] for row in read_leaderboard(results).rows}


def named(tmp_path, make_run, *variants, **more) -> list[str]:
    """What agents with these settings are called; each may have a SPEC."""
    folders = [make_run(tmp_path, "p:m", [[3, 8], [5, 6]], settings=one, **more) for one in variants]
    return [agents(tmp_path)[folder.name] for folder in folders]


def test_the_same_variant_has_one_name_on_all_domains_whatever_its_rank(tmp_path):
    class Twin:
        name, version = "twin", "1"

        def __init__(self, inner, variant):
            self.inner, self.variant = inner, variant

        def identity(self):
            return {"variant": self.variant}

        def __getattr__(self, member):
            return getattr(self.inner, member)

    for name, specs in (("flights-2", ("bayesian", "first")), ("flights-3", ("first", "bayesian"))):
        domain = bb.load_domain(name)
        for variant, spec in zip("AB", specs, strict=True):
            bb.run(domain, Twin(bb.load_agent(spec, domain), variant), users=4, rounds=2, heldout=4, results=tmp_path)
    board = read_leaderboard(tmp_path)
    ranked = [
        [(row.fields["agent"], row.record.identity.agent["variant"]) for row in group] for group in board.groups()
    ]
    assert [sorted(group) for group in ranked] == [[("twin (variant A)", "A"), ("twin (variant B)", "B")]] * 2
    assert ranked[0] != ranked[1]  # the ranks differ
    groups, _ = board._comparable(tmp_path)
    assert [list(one.agents) for one in groups] == [[name for name, _ in group] for group in ranked]
    assert sorted(one.agent for one in overview_of(board.groups())) == ["twin (variant A)", "twin (variant B)"]


def test_they_are_told_apart_by_what_differs(tmp_path, make_run):
    deep = [{"model": {"weights": A, "dtype": dtype}, "asks": "scores"} for dtype in ("float32", "bfloat16")]
    assert named(tmp_path / "a", make_run, *deep) == ["p:m (dtype float32)", "p:m (dtype bfloat16)"]
    assert named(tmp_path / "b", make_run, {}, {"revision": "abc"}) == ["p:m", "p:m (revision abc)"]
    both = [{"model": {"weights": weights}, "think": think} for weights in (A, B) for think in ("no", "yes")]
    assert named(tmp_path / "c", make_run, *both) == [
        f"p:m (weights {weights}…, think {think})" for weights in ("3fa9", "3fc1") for think in ("no", "yes")
    ]
    near = [{"weights": "3fa9" + end * 60} for end in "01"]
    assert named(tmp_path / "d", make_run, *near) == ["p:m (weights 3fa90…)", "p:m (weights 3fa91…)"]
    long = [{"prompt": "please " * 20 + end} for end in ("now", "then")]
    assert named(tmp_path / "e", make_run, *long) == [f"p:m (prompt {one['prompt']})" for one in long]
    odd = [{"x": None}, {}, {"x": ""}]
    names = named(tmp_path / "f", make_run, *odd)
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"p:m \(identity [0-9a-f]{4}…\)", name) for name in names)
    assert named(tmp_path / "g", make_run, {"n": 1}, {"n": 8}, {"n": 8, "t": [1.0]}) == [
        *("p:m (n 1)", "p:m (n 8)", "p:m (n 8, t [1.0])"),
    ]


def test_weights_are_told_apart_by_their_folders_where_these_do(tmp_path, make_run):
    def twice(results, one, other):
        made = [
            make_run(results, "p:final", [[3, 8], [5, 6]], settings={"weights": weights}, spec=spec)
            for weights, spec in ((A, one), (B, other))
        ]
        return [agents(results)[folder.name] for folder in made]

    assert twice(tmp_path / "a", "p:/x/run-1/final", "p:/x/run-2/final,q=1") == [
        *("p:final (run-1/final)", "p:final (run-2/final)"),
    ]
    assert twice(tmp_path / "b", r"p:C:\one\final", 'p:"D:/a,b/final"') == [
        "p:final (one/final)",
        "p:final (a,b/final)",
    ]
    digests = ["p:final (weights 3fa9…)", "p:final (weights 3fc1…)"]
    assert twice(tmp_path / "c", "p:/x/final", "p:/x/final") == digests  # replaced in place
    assert twice(tmp_path / "d", None, "p:/x/final") == digests
    assert twice(tmp_path / "e", "p:final", "p:other") == digests  # no folders


def test_a_variant_is_never_called_as_another_agent(tmp_path, make_run):
    for setting in ("a", "b"):
        make_run(tmp_path, "twin", [[3, 8], [5, 6]], settings={"v": setting})
    make_run(tmp_path, "twin (v a)", [[3, 8], [5, 6]])
    names = set(agents(tmp_path).values())
    assert len(names) == 3
    assert "twin (v b)" in names


def test_names_that_look_alike_are_told_apart(tmp_path, make_run):
    """A letter in two forms of Unicode; one space and two."""
    for name in ("p:\u00e9", "p:e\u0301", "p:a b", "p:a  b", "p:other"):
        make_run(tmp_path, name, [[3, 8], [5, 6]])
    found = [" ".join(unicodedata.normalize("NFC", name).split()) for name in agents(tmp_path).values()]
    assert len(set(found)) == 5
    assert sum("(identity " in name for name in found) == 4


def test_the_skill_model_and_means_take_an_agent_and_not_a_name(tmp_path, make_run):
    for domain, order in ((TOYS, "AB"), (GAMES, "BA")):
        for hits, variant in zip((9, 4), order, strict=True):
            make_run(tmp_path, "twin", [[3, hits]] * 3, settings={"variant": variant}, domain=domain)
    found = {one.agent: one for one in overview_of(read_leaderboard(tmp_path).groups())}
    assert [found[f"twin (variant {one})"].mean(lambda row: row.final["accuracy"]) for one in "AB"] == [0.65, 0.65]
    text = writer("table")(read_leaderboard(tmp_path))
    assert text.count("65.0") >= 2
    assert "90.0" not in text  # the best configuration of each domain is nobody's


def test_two_runs_of_one_agent_are_one_agent_and_two_labels(tmp_path):
    for rule in ({}, {"sample": 2}):
        bb.run("flights-2", "first", users=4, rounds=2, heldout=4, results=tmp_path, **rule)
    board = read_leaderboard(tmp_path)
    (group,) = board.groups()
    assert sorted(row.label for row in group) == ["first", "first (2 of 4 users)"]
    assert {row.fields["agent"] for row in group} == {"first"}
    (one,) = overview_of([group])
    assert [row.fields["users"] for row in one.rows] == [4]
    ((comparable,), _) = board._comparable(tmp_path)
    assert list(comparable.agents) == ["first", "first"]
    for form in ("md", "latex", "html"):
        assert "first (2 of 4 users)" in writer(form)(board)


def test_a_copy_of_a_run_is_one_run(tmp_path, make_run):
    for place in ("here", "there"):
        make_run(tmp_path / place, "one", [[3, 8], [5, 6]])
    assert len(read_leaderboard(tmp_path).rows) == 1


@pytest.fixture
def alike(tmp_path, make_run) -> Leaderboard:
    """Groups whose names are easily taken for each other."""
    for name in ("flights", "flights-2", "flights seed 1", "flights, seed 1", "FLIGHTS"):
        make_run(tmp_path, "a", [[3, 8], [5, 6]], domain={**TOYS, "name": name})
    make_run(tmp_path, "a", [[3, 8], [5, 6]], domain={**TOYS, "name": "flights"}, seed=1)
    make_run(tmp_path, "a", [[3, 8]], domain={**TOYS, "name": "flights"}, seed=1)
    make_run(tmp_path, "a", [[3, 8], [5, 6]], domain={**TOYS, "name": "flights", "parameters": {"noise": 1}})
    return read_leaderboard(tmp_path)


def test_groups_of_a_domain_have_names_labels_and_nodes_of_their_own(alike, tmp_path):
    groups = alike.groups()
    names = group_names(groups)
    assert len(set(names)) == len(groups) == 8
    assert [name for name in names if "seed 0" in name and "parameters" in name]
    labels = re.findall(r"\\label\{(.*?)\}", writer("latex", reference=True)(alike))
    assert len(set(labels)) == len(labels) >= 8
    tree = tree_of(Leaderboard(alike.rows, []), tmp_path)
    assert len(tree.children) == 8


@pytest.mark.reference
def test_groups_of_a_domain_have_pictures_and_links_of_their_own(alike, tmp_path):
    files = draw_all(alike, tmp_path / "pictures")
    assert len(set(files)) == len(files) == len(list((tmp_path / "pictures").iterdir()))
    page = writer("html")(alike)
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(set(ids)) == len(ids)


def test_a_domain_with_one_group_is_called_by_its_name(tmp_path, make_run):
    make_run(tmp_path, "a", [[3, 8], [5, 6]])
    make_run(tmp_path, "a", [[3, 8], [5, 6]], domain=GAMES, seed=3)
    board = read_leaderboard(tmp_path)
    assert group_names(board.groups()) == ["games", "toys"]
    assert {file.name.split(".")[0] for file in draw_all(board, tmp_path / "p")} == {"games", "toys"}


def test_a_slug_does_not_depend_on_the_order_of_names():
    names = ["a b", "a-b", "a_b", "c", "日本", "🙂"]
    there = dict(zip(names, slugs_of(names), strict=True))
    back = dict(zip(names[::-1], slugs_of(names[::-1]), strict=True))
    assert there == back
    assert len(set(there.values())) == len(names)
    assert there["c"] == "c"


def test_differences_are_few_and_tell_all_apart():
    many = [{"a": f"a{n % 2}", "b": "same", "c": f"c{n % 2}", "d": f"d{n // 2}"} for n in range(6)]
    told = differences(many)
    assert told[:3] == ["a0, d0", "a1, d0", "a0, d1"]
    assert len(set(told)) == 6


@pytest.mark.parametrize("width", [12, 26])
def test_cut_names_are_told_apart(width):
    labels = [f"prompted:organisation-{n:02}/a-model-with-a-long-name" for n in range(20)]
    labels += [f"prompted:a-model-with-a-long-name (dtype {one})" for one in ("float32", "bfloat16")]
    labels += ["模" * 30 + end for end in "ab"] + ["short"]
    cut = shortened(labels, width)
    assert len(set(cut.values())) == len(labels)
    assert max(map(cell_len, cut.values())) <= width
    assert cut["short"] == "short"


def test_published_names_are_the_agents_own(tmp_path, make_run):
    make_run(tmp_path, "a", [[3, 8], [5, 6]], settings={"weights": A})
    make_run(tmp_path, "a", [[3, 8], [5, 6]], settings={"weights": A}, domain=GAMES)
    frame = bb.leaderboard(tmp_path)
    assert set(frame.agent) == {"a"}
    assert np.isfinite(frame.accuracy).all()
    assert io.StringIO(writer("csv")(read_leaderboard(tmp_path))).readline().startswith("domain,")
