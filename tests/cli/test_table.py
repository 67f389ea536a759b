"""The table that a run ends with: when it is shown, and what is worked out for it only on demand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import beliefbench as bb
from beliefbench.cli.batch import Plan
from beliefbench.protocol.stopping import SampleOf
from beliefbench.skill.model import Draws

SMALL = ("--domain", "flights-2", "--users", "3", "--rounds", "2", "--heldout", "4")


def test_the_run_ends_with_one_table_and_all_metrics_are_shown_on_demand(call):
    arguments = ("run", *SMALL, "--agent", "bayesian", "--agent", "first")
    _, out, _ = call(*arguments)
    assert len(out.splitlines()) <= 25
    assert "Brier" not in out
    assert "Brier" in call(*arguments, "--full")[1]
    assert call("leaderboard")[1] == out
    assert "Brier" in call("leaderboard", "--full")[1]


def test_the_table_of_other_agents_is_shown_before_a_language_model_is_asked(call, tmp_path):
    """The model is asked last, whatever the order of the names; a second run asks nobody and shows one table."""
    plugin = tmp_path / "plugins" / "chat.py"
    plugin.parent.mkdir()
    plugin.write_text(CHAT)
    arguments = ("run", *SMALL, "--agent", "talks", "--agent", "first", "--plugins", str(plugin.parent))
    status, out, err = call(*arguments)
    assert status == 0, err
    first, _, rest = err.partition("Language models are asked next.")
    assert rest
    assert "first" in first
    assert "talks" not in first.replace("flights-2  talks", "")
    assert "talks" in out
    _, again, err = call(*arguments)
    assert again == out
    assert "Language models are asked next." not in err


CHAT = """
import beliefbench as bb

def talks(domain):
    return bb.chat_agent(lambda messages: "The best option is Flight 1.", name="talks")

AGENTS = {"talks": talks}
"""


def test_the_skill_model_is_fitted_only_on_demand_and_used_once_it_is_stored(call, monkeypatch):
    fitted = []
    monkeypatch.setattr("beliefbench.skill.model.fit", lambda groups, seed=0: fitted.append(groups) or a_fit(groups))
    call("run", "--domain", "flights-2", "--users", "24", "--rounds", "1", "--heldout", "4", "--agent", "first")
    plain = json.loads(call("leaderboard", "--format", "json")[1])["rows"]
    assert [row["rhat"] for row in plain] == [None]
    assert bb.leaderboard("results/local")["best"].isna().all()
    for form in ("table", "md", "csv", "latex"):
        call("leaderboard", "--format", form)
    call("leaderboard", "--format", "html", "--no-skill")
    assert not fitted
    asked = call("leaderboard", "--format", "json", "--skill")[1]
    assert len(fitted) == 1
    assert call("leaderboard", "--format", "json")[1] == asked
    assert bb.leaderboard("results/local")["best"].notna().all()
    assert bb.leaderboard("results/local", skill=True)["best"].notna().all()
    call("leaderboard", "--format", "html")
    assert len(fitted) == 1
    call("publish", "results/local", "--out", "published")
    call("leaderboard", "--results", "published")
    assert len(fitted) == 1
    call("leaderboard", "--results", "published", "--format", "md")  # files of published runs have all columns
    assert len(fitted) == 2


def a_fit(groups):
    """Draws of the shape that `skill.model.fit` returns, for one group of one run with one round."""
    rng = np.random.default_rng(0)
    shapes = {"exact": (1, 2), "closed": (1, 2), "between_agents": (), "over_domains": ()}
    sites = {name: rng.uniform(size=(4, 50, *shape)) for name, shape in shapes.items()}
    return Draws(rng.uniform(size=(4, 50, 1, 2)), sites, np.zeros((4, 50), bool))


def test_presets_grow_and_the_quick_one_asks_slow_agents_about_fewer_users(flights):
    settings = {"domains": None, "agents": None, "rounds": None, "heldout": None, "seed": 0, "results": Path("r")}
    agent = bb.load_agent("first", flights)
    agent.quick_users = 3

    def job(preset, users=None, **more):
        return Plan(preset, users=users, **settings, **more).job(("flights", "first"), flights, agent)

    sizes = [(job(name).protocol.users, job(name).protocol.heldout) for name in ("quick", "standard", "paper")]
    assert sizes == [(8, 8), (100, 30), (624, 100)]
    assert job("quick").stopping == SampleOf(3)
    assert job("quick", users=8).stopping is job("standard").stopping is None
    assert job("quick", sample=5).stopping == job("paper", sample=5).stopping == SampleOf(5)
