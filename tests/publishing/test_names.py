"""Runs of agents whose SPECs and names hold anything: stored, published, and asked again by the command kept."""

from __future__ import annotations

import os
import shlex

import pytest

import beliefbench as bb
from beliefbench.agents.first import First
from beliefbench.leaderboard.ranking import read_leaderboard
from beliefbench.plugins.reach import Reach
from beliefbench.plugins.settings import format_spec, parse_spec
from beliefbench.plugins.sources import add_plugin_folder
from beliefbench.publishing.evidence import command_of
from beliefbench.publishing.publish import publish
from beliefbench.publishing.verify import verify_run

SIZE = {"users": 3, "rounds": 2, "heldout": 4}
ECHO = """
from beliefbench.agents.first import First

class Echo(First):
    def __init__(self, domain, model, q=""):
        self.name, self.model, self.q = f"echo:{model}", model, q
    def identity(self):
        return {"model": self.model, "q": self.q}

AGENTS = {"echo": Echo}
"""
MODELS = ["/models/a, b|c=d", r"C:\new folder\x, " "y" "", "模型 'é' \x1b[31m", "..."]


@pytest.mark.parametrize("model", MODELS)
def test_a_published_run_is_asked_again_by_the_command_that_its_evidence_has(plugin_folder, tmp_path, model):
    (plugin_folder / "echo.py").write_text(ECHO)
    add_plugin_folder(plugin_folder)
    spec = format_spec("echo", model, {"q": "1, 2"})
    done = bb.run("flights-2", spec, results=tmp_path / "local", **SIZE)
    command = shlex.split(command_of(done.record))
    assert parse_spec(command[command.index("--agent") + 1]) == ("echo", model, {"q": "1, 2"})
    published = publish(done.folder, tmp_path / "published").folder
    report = verify_run(published, rerun=2, allow=[Reach.settings])
    assert report.passed, report.lines()
    assert report.left_out == []


def test_an_object_with_a_comma_in_its_name_has_a_command_that_can_be_read(tmp_path):
    domain = bb.load_domain("flights-2")
    agent = First(domain)
    agent.name = "first:a, b"
    done = bb.run(domain, agent, results=tmp_path, **SIZE)
    command = shlex.split(command_of(done.record))
    assert parse_spec(command[command.index("--agent") + 1]) == ("first", "a, b", {})


def test_a_name_that_is_not_utf_8_is_stored_and_shown_as_escapes(tmp_path):
    domain = bb.load_domain("flights-2")
    agent = First(domain)
    agent.name = os.fsdecode(b"first-\xff")
    agent.identity = lambda: {"path": os.fsdecode(b"/models/\xfe")}
    done = bb.run(domain, agent, results=tmp_path, **SIZE)
    assert done.record.agent.name == r"first-\udcff"
    assert bb.run(domain, agent, results=tmp_path, **SIZE).reused
    assert verify_run(done.folder).passed
    assert [row.fields["agent"] for row in read_leaderboard(tmp_path).rows] == [r"first-\udcff"]
