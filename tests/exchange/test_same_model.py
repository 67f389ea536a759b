"""One language model on this machine, asked in every way there is: the same answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.plugins.settings import format_spec
from beliefbench.running.store import RunStore
from beliefbench.scoring.heldout import answers_of

ROOT = Path(__file__).parent.parent.parent
MODEL = ROOT / "agents" / "taught" / "posterior-taught"
NUMBERS = {"users": 4, "rounds": 3, "heldout": 10}


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """What `prompted` finds by the likelihood of each sentence."""
    return bb.run("flights", f"prompted:{MODEL}", results=tmp_path_factory.mktemp("ours"), **NUMBERS)


def compare(ours, other) -> dict[str, float]:
    """Return the largest difference of probabilities, where accuracies of each stage are equal."""
    one, two = answers_of(ours.record, ours.rows()), answers_of(other.record(), other.rows())
    assert (one.choice == two.choice).all()
    assert (one.choice == one.truth).mean(axis=(0, 2)).tolist() == (two.choice == two.truth).mean(axis=(0, 2)).tolist()
    difference = float(np.abs(one.probs - two.probs).max())
    assert difference < 1e-3
    return {"largest difference of probabilities": difference}


@pytest.mark.reference
def test_an_inspect_task_gives_the_same(ours, tmp_path, record_property):
    inspect_ai = pytest.importorskip("inspect_ai")
    from beliefbench.exchange.inspect.importing import import_log

    (log,) = inspect_ai.eval(
        "beliefbench/flights",
        model="hf/local",
        model_args={"model_path": str(MODEL), "do_sample": False},
        task_args={**NUMBERS, "form": "paper"},
        log_dir=str(tmp_path / "logs"),
        display="none",
    )
    assert log.status == "success", log.error
    (folder,) = import_log(Path(log.location), tmp_path / "results")
    for name, value in compare(ours, RunStore(folder)).items():
        record_property(name, value)


@pytest.mark.reference
def test_an_agent_of_inspect_gives_the_same(ours, tmp_path, record_property):
    pytest.importorskip("inspect_ai")
    arguments = json.dumps({"model_path": str(MODEL), "do_sample": False})
    settings = {"form": "paper", "model_args": arguments, "cache": str(tmp_path / "cache")}
    done = bb.run("flights", format_spec("inspect", "hf/local", settings), results=tmp_path / "results", **NUMBERS)
    for name, value in compare(ours, RunStore(done.folder)).items():
        record_property(name, value)
