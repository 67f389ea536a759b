"""One language model on this machine, asked in every way there is: the same answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.plugins.settings import format_spec
from beliefbench.running.store import RunStore
from beliefbench.scoring.heldout import HeldOut, answers_of

ROOT = Path(__file__).parent.parent.parent
MODEL = ROOT / "agents" / "taught" / "posterior-taught"
NUMBERS = {"users": 3, "rounds": 2, "heldout": 8}
WAYS = ["interactive", "whole"]


@pytest.fixture(scope="module", params=WAYS)
def ours(request, tmp_path_factory):
    """What `prompted` finds by the likelihood of each sentence, in a conversation, and in one turn."""
    spec = f"prompted:{MODEL},history={request.param},dtype=float32"
    return bb.run("flights", spec, results=tmp_path_factory.mktemp("ours"), **NUMBERS)


def history(ours) -> str:
    return str(ours.record.identity.agent.get("history", "interactive"))


def compare(ours, other) -> dict[str, float]:
    """Return the largest difference of probabilities, where accuracies of each stage are equal."""
    return compare_answers(answers_of(ours.record, ours.rows()), answers_of(other.record(), other.rows()))


def compare_answers(one: HeldOut, two: HeldOut) -> dict[str, float]:
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
        task_args={**NUMBERS, "form": "paper", "history": history(ours)},
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
    settings = {"form": "paper", "history": history(ours), "model_args": arguments, "cache": str(tmp_path / "cache")}
    done = bb.run("flights", format_spec("inspect", "hf/local", settings), results=tmp_path / "results", **NUMBERS)
    for name, value in compare(ours, RunStore(done.folder)).items():
        record_property(name, value)


@pytest.mark.reference
@pytest.mark.parametrize("ours", ["whole"], indirect=True)
def test_lm_eval_gives_the_same(ours, tmp_path, record_property, monkeypatch):
    """Its tasks have all rounds in one turn."""
    lm_eval = pytest.importorskip("lm_eval")
    from lm_eval.tasks import TaskManager

    from beliefbench.exchange.lm_eval.tasks import write_tasks

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    domain = bb.load_domain("flights")
    (group,) = write_tasks((domain,), (bb.Protocol.of(domain, **NUMBERS),), tmp_path / "tasks")
    found = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(MODEL), "dtype": "float32"},
        tasks=[group],
        task_manager=TaskManager(include_path=str(tmp_path / "tasks"), include_defaults=False),
        apply_chat_template=True,
        device="cpu",
        batch_size=8,
        log_samples=True,
        bootstrap_iters=0,
    )
    one = answers_of(ours.record, ours.rows())
    probs = np.empty_like(one.probs)
    for stage in range(NUMBERS["rounds"] + 1):
        samples = sorted(found["samples"][f"{group}_after_{stage}"], key=lambda sample: sample["doc_id"])
        scores = np.array([[score for score, _ in sample["filtered_resps"]] for sample in samples])
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        probs[:, stage] = (weights / weights.sum(axis=1, keepdims=True)).reshape(probs[:, stage].shape)
        accuracy = (one.choice == one.truth)[:, stage].mean()
        assert found["results"][f"{group}_after_{stage}"]["acc,none"] == pytest.approx(accuracy, abs=1e-12)
    for name, value in compare_answers(one, one._replace(probs=probs, choice=probs.argmax(axis=-1))).items():
        record_property(name, value)
