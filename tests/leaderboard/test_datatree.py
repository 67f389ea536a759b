"""LaTeX, published figures and the DataTree: made from real runs, and read by what they are made for."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from xarray import Dataset, DataTree, open_datatree

import beliefbench as bb
from beliefbench.leaderboard.datatree import tree_of
from beliefbench.leaderboard.forms.formats import writer
from beliefbench.leaderboard.ranking import Leaderboard, read_leaderboard
from beliefbench.leaderboard.reference.published import published
from beliefbench.skill import model


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for agent in ("bayesian", "random", "first"):
        bb.run("flights", agent, users=24, rounds=2, heldout=4, results=folder)
    bb.run("flights-2", "random", users=4, rounds=2, heldout=4, results=folder)
    bb.run("flights-2", "first", users=24, heldout=4, rounds=2, results=folder, until_width=0.9)
    return folder


def test_latex_is_booktabs_and_escapes_names(results):
    text = writer("latex")(read_leaderboard(results))
    assert text.count("\\toprule") == text.count("\\end{table}") == 3
    assert "{lrrrrrrrr}" in text
    assert "95\\%" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_compiles(results, tmp_path):
    (tmp_path / "tables.tex").write_text(writer("latex", reference=True)(read_leaderboard(results)))
    page = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\\input{tables}\\end{document}"
    (tmp_path / "page.tex").write_text(page)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


def test_published_figures_stand_apart_and_only_where_asked_for(results, call):
    board = read_leaderboard(results)
    for form in ("table", "md", "latex", "html"):
        assert "Gemma 2 9B" not in writer(form)(board)
        text = writer(form, reference=True)(board)
        assert "Gemma 2 9B" in text
        assert "no intervals" in text
    status, _, said = call("leaderboard", "--results", str(results), "--format", "csv", "--reference")
    assert (status, said.count("\n")) == (2, 1)
    assert "runs alone" in said


def test_published_figures_are_those_of_the_paper():
    bayesian = {one.model: (one.first, one.last) for one in published("flights") if one.taught == "Bayesian"}
    assert bayesian == {"Gemma 2 9B": (57, 76), "Llama 3 8B": (57, 75), "Qwen 2.5 7B": (55, 68)}
    assert len(published("flights")) == 16


def drawn_at_random(groups):
    """A posterior of the right shape: that there is one is tested here, and not what it says."""
    rng = np.random.default_rng(0)
    stages = groups[0].runs[0].right.shape[1]
    sizes = {"exact": (len(groups), stages), "closed": (len(model.agents_of(groups)), stages)}
    sites = {
        name: rng.random((1, 50, *size)) for name, size in {**sizes, "between_agents": (), "over_domains": ()}.items()
    }
    return model.Draws(
        rng.random((1, 50, sum(len(one.runs) for one in groups), stages)), sites, np.zeros((1, 50), bool)
    )


def test_a_datatree_holds_what_the_runs_do(results, tmp_path, call, monkeypatch):
    monkeypatch.setattr(model, "fit", drawn_at_random)
    out = tmp_path / "runs.nc"
    status, _, said = call("export", "--results", str(results), "--out", str(out))
    assert status == 0, said
    tree = open_datatree(out, engine="h5netcdf").load()
    predictions = tree["flights/predictions"]
    assert dict(predictions.sizes) == {"agent": 3, "user": 24, "round": 3, "item": 4, "option": 3}
    rows = {row.fields["agent"]: row.answers() for row in read_leaderboard(results).groups()[0]}
    for agent, answers in rows.items():
        told = predictions.sel(agent=agent)
        np.testing.assert_array_equal(told["choice"], answers.choice)
        np.testing.assert_array_equal(tree["flights/observed_data"]["truth"], answers.truth[:, 0])
        np.testing.assert_array_equal(tree["flights/constant_data"]["exact"], answers.exact)
        if answers.probs is None:
            assert np.isnan(told["probability"]).all()
        else:
            np.testing.assert_allclose(told["probability"], answers.probs, rtol=1e-6)
    assert {"flights-2_4_users", "flights-2_24_users"} <= set(tree.children)
    assert tree["posterior"]["accuracy"].sizes["run"] == 4  # all but those of 4 users


def test_runs_of_other_rounds_have_a_posterior_of_their_own(results, monkeypatch):
    fitted = {
        rounds: DataTree.from_dict({"posterior": Dataset({"accuracy": ("round", np.zeros(rounds + 1))})})
        for rounds in (5, 2)
    }
    monkeypatch.setattr(Leaderboard, "posteriors", lambda board, folder: fitted)
    tree = tree_of(read_leaderboard(results), results)
    assert tree["posterior"]["accuracy"].size == 6
    assert tree["rounds_2/posterior"]["accuracy"].size == 3


def test_an_export_of_nothing_is_a_sentence(tmp_path, call):
    status, _, said = call("export", "--results", str(tmp_path), "--out", str(tmp_path / "runs.nc"))
    assert (status, said.count("\n")) == (2, 1)
    assert "no finished runs" in said
    assert list(Path(tmp_path).iterdir()) == []


@pytest.mark.parametrize("out", ["missing/runs.nc", "."])
def test_an_export_that_cannot_be_written_is_a_sentence(results, call, out):
    status, _, said = call("export", "--results", str(results), "--out", out)
    assert (status, said.count("\n")) == (2, 1)
    assert f"'{out}' cannot be written" in said
