"""What ``make bench`` says, from measurements made up by hand."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def report():
    spec = importlib.util.spec_from_file_location("benchmarks_report", FOLDER / "report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measured(**steady):
    def one(name, seconds):
        size = {"size": int(name.split("[")[1].removesuffix("]"))} if name.startswith("test_users[") else {}
        return {"name": name, "stats": {"median": 9.0}, "extra_info": {"steady_s": seconds, **size}}

    names = {"ours": "test_beside_peers[gold-beliefbench]", "slow": "test_beside_peers[gold-jax_jit]"}
    names |= {"fast": "test_beside_peers[gold-numpyro_grid]", "few": "test_users[10]", "many": "test_users[1000]"}
    machine = {"yardstick_s": 0.5, "cpu": {"brand_raw": "a processor", "count": 2}, "python_version": "3.11"}
    return {
        "machine_info": machine,
        "datetime": "2026-11-26T10:00:00",
        "benchmarks": [one(names[name], seconds) for name, seconds in steady.items()],
    }


def test_ratios_are_to_the_fastest_peer_and_else_to_the_yardstick(report):
    found = report.summary(measured(ours=0.3, slow=0.6, fast=0.4, few=0.01, many=1.0))
    assert found["ratios"] == {"gold: beliefbench / fastest peer": 0.75, "users[10]": 0.02, "users[1000]": 2.0}
    assert found["growth"] == {"users": 1.0}
    assert found["date"] == "2026-11-26"
    assert found["machine"]["cores"] == 2


def test_what_got_slower_is_named_and_the_file_is_made_anew(report, tmp_path, capsys):
    file, results = tmp_path / "measured.json", tmp_path / "benchmarks.json"
    for ours in (0.3, 0.45):
        file.write_text(json.dumps(measured(ours=ours, slow=0.6, fast=0.4)))
        report.main(file, results, tmp_path / "picture.svg")
        said = capsys.readouterr().out
    assert "gold: beliefbench / fastest peer: 1.5 times as slow as before" in said
    assert json.loads(results.read_text())["ratios"] == {"gold: beliefbench / fastest peer": 1.125}
    assert "<svg" in (tmp_path / "picture.svg").read_text()


@pytest.mark.slow
def test_every_peer_gives_the_exact_answer(monkeypatch):
    """On a small job, in this process: the peers are only worth beating where they are right."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import peers
    import workloads

    work = workloads.workload(3, 32, sets=20)
    truth = workloads.reference(work)
    for name, build in peers.SYSTEMS.items():
        gap = abs(build(work)()[: len(truth)] - truth).max()
        assert gap < (1e-9 if name == "beliefbench" else 1e-4), name
    for name in ("peers", "workloads"):
        sys.modules.pop(name)
