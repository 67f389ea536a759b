"""The progress bar of a run: what it says while an agent loads, and how long the rest takes."""

from __future__ import annotations

import io

from rich.console import Console

import beliefbench as bb
from beliefbench.cli import batch
from beliefbench.protocol.protocol import Protocol
from beliefbench.protocol.stopping import UntilWidth
from beliefbench.running.answering import Job


def states(monkeypatch, job: Job, steps: list[tuple[float, int]], total: int = 18) -> list[tuple[str, str]]:
    """Return the texts of a bar after each step: (seconds since the start, done)."""
    bars = batch._bars(Console(file=io.StringIO()))
    bar, texts = batch._Bar(bars, job, job.agent.name), []
    for seconds, done in steps:
        monkeypatch.setattr(batch.time, "monotonic", lambda seconds=seconds: seconds)
        bar(done, total)
        texts.append((bars.tasks[0].fields["shown"], bars.tasks[0].fields["state"]))
    return texts


def test_the_time_left_leaves_out_the_first_step_in_which_an_agent_loads(flights, monkeypatch):
    job = Job(flights, bb.load_agent("first", flights), Protocol(3, 5, 8))
    steps = [(0, 0), (50, 1), (52, 2), (60, 6), (84, 18)]
    assert states(monkeypatch, job, steps) == [
        ("0/18 users x stages", ""),
        ("1/18 users x stages", ""),
        ("2/18 users x stages", "32 s left"),
        ("6/18 users x stages", "24 s left"),
        ("18/18 users x stages", ""),
    ]


def test_a_model_on_this_machine_is_said_to_load(flights, make_model, monkeypatch):
    job = Job(flights, bb.load_agent(f"prompted:{make_model()}", flights), Protocol(3, 5, 8))
    told = [("0/18", "loads the model, then answers"), ("1/18 users x stages", "")]
    assert states(monkeypatch, job, [(0, 0), (50, 1)]) == told


def test_no_time_is_given_if_a_rule_may_add_users(flights, monkeypatch):
    job = Job(flights, bb.load_agent("first", flights), Protocol(100, 5, 8), stopping=UntilWidth(0.1))
    assert {state for _, state in states(monkeypatch, job, [(0, 0), (5, 1), (6, 2)])} == {""}
