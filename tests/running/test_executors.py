"""What an executor refuses before it has asked anybody: wrong names, objects, settings and addresses."""

from __future__ import annotations

import sys
import time

import pytest

import beliefbench as bb
from beliefbench.running.executors.registry import open_executor

from .clerk import PROTOCOL
from .processes import ours

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")


@pytest.fixture
def no_cluster():
    """No Ray, in whatever order tests are run."""
    ray.shutdown()


def test_an_unknown_executor_is_a_wrong_call(tmp_path):
    with pytest.raises(bb.UsageError, match="there is no executor 'spark'; expected local or ray"):
        bb.run("flights", "first", results=tmp_path, executor="spark", **PROTOCOL)
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.parametrize("as_object", ["domain", "agent"])
def test_objects_cannot_be_sent(no_cluster, tmp_path, flights, as_object):
    domain = flights if as_object == "domain" else "flights"
    agent = bb.load_agent("first", flights) if as_object == "agent" else "first"
    with pytest.raises(bb.UsageError, match="needs the names of the domain and the agent"):
        bb.run(domain, agent, results=tmp_path, executor="ray", **PROTOCOL)
    assert not ray.is_initialized()
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.parametrize(
    ("variable", "given"),
    [("CPUS", "0"), ("CPUS", "-1"), ("CPUS", "nan"), ("GPUS", "many"), ("GPUS", "1.5"), ("GPUS", "-0.5")],
)
def test_a_worker_is_given_a_sensible_share_of_the_machine(monkeypatch, variable, given):
    monkeypatch.setenv(f"BELIEFBENCH_RAY_{variable}", given)
    with pytest.raises(bb.UsageError, match=f"BELIEFBENCH_RAY_{variable} = '{given}'; expected a number"):
        open_executor("ray").__enter__()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:1", r"at '127\.0\.0\.1:1' \(RAY_ADDRESS\) cannot be reached \(.*refused\)"),
        ("nonsense", r"at 'nonsense' \(RAY_ADDRESS\) cannot be reached"),
        ("auto", r"at 'auto' \(RAY_ADDRESS\) cannot be reached"),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_named_at_once(no_cluster, monkeypatch, tmp_path, address, says):
    if address == "auto" and ours("gcs_server"):
        pytest.skip("there is a cluster to be found on this machine")
    monkeypatch.setenv("RAY_ADDRESS", address)
    started = time.monotonic()
    with pytest.raises(bb.BeliefBenchError, match=says) as error:
        bb.run("flights", "first", results=tmp_path, executor="ray", **PROTOCOL)
    assert error.value.exit_status == 1
    assert time.monotonic() - started < 20


def test_ray_client_is_refused(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:10001")
    with pytest.raises(bb.UsageError, match="is for Ray Client"):
        open_executor("ray").__enter__()


def test_without_ray_it_says_how_to_get_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "beliefbench.running.executors.ray", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(bb.BeliefBenchError, match="pip install ray") as error:
        open_executor("ray").__enter__()
    assert error.value.exit_status == 1
