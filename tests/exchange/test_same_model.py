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


def ours(folder: Path, history: str, **numbers: int):
    """What `prompted` finds by the likelihood of each sentence."""
    return bb.run("flights", f"prompted:{MODEL},history={history},dtype=float32", results=folder, **numbers)


@pytest.fixture(scope="module")
def conversation(tmp_path_factory):
    """In a conversation, the paper's way."""
    return ours(tmp_path_factory.mktemp("conversation"), "interactive", **NUMBERS)


def compare(one: HeldOut, two: HeldOut) -> float:
    """Return the largest difference of probabilities, where choices and accuracies of each stage are equal."""
    assert (one.choice == two.choice).all()
    assert (one.choice == one.truth).mean(axis=(0, 2)).tolist() == (two.choice == two.truth).mean(axis=(0, 2)).tolist()
    assert one.probs is not None
    assert two.probs is not None
    difference = float(np.abs(one.probs - two.probs).max())
    assert difference < 1e-3
    return difference


def by_inspect(folder: Path, **numbers: int) -> RunStore:
    """The model through the task of Inspect."""
    inspect_ai = pytest.importorskip("inspect_ai")
    from beliefbench.exchange.inspect.importing import import_log

    (log,) = inspect_ai.eval(
        "beliefbench/flights",
        model="hf/local",
        model_args={"model_path": str(MODEL), "do_sample": False},
        task_args={**numbers, "form": "paper"},
        log_dir=str(folder / "logs"),
        display="none",
    )
    assert log.status == "success", log.error
    (run,) = import_log(Path(log.location), folder / "results")
    return RunStore(run)


def by_lm_eval(folder: Path, one: HeldOut, **numbers: int) -> HeldOut:
    """The model through the tasks of lm-evaluation-harness, in which all rounds are in one turn."""
    lm_eval = pytest.importorskip("lm_eval")
    from lm_eval.tasks import TaskManager

    from beliefbench.exchange.lm_eval.tasks import write_tasks

    domain = bb.load_domain("flights")
    (group,) = write_tasks((domain,), (bb.Protocol.of(domain, **numbers),), folder / "tasks")
    found = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(MODEL), "dtype": "float32"},
        tasks=[group],
        task_manager=TaskManager(include_path=str(folder / "tasks"), include_defaults=False),
        apply_chat_template=True,
        device="cpu",
        batch_size=8,
        log_samples=True,
        bootstrap_iters=0,
    )
    probs = np.empty_like(one.probs)
    for stage in range(numbers["rounds"] + 1):
        task = f"{group}_after_{stage}"
        samples = sorted(found["samples"][task], key=lambda sample: (sample["doc"]["user"], sample["doc"]["set"]))
        scores = np.array([[score for score, _ in sample["filtered_resps"]] for sample in samples])
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        probs[:, stage] = (weights / weights.sum(axis=1, keepdims=True)).reshape(probs[:, stage].shape)
        accuracy = (one.choice == one.truth)[:, stage].mean()
        assert found["results"][task]["acc,none"] == pytest.approx(accuracy, abs=1e-12)
    return one._replace(probs=probs, choice=probs.argmax(axis=-1))


@pytest.mark.reference
@pytest.mark.timeout(1800)
def test_run_inspect_and_lm_eval_give_the_same(tmp_path, record_property, monkeypatch):
    """Before the first round, where the three ask in the same words."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    numbers = {"users": 3, "rounds": 0, "heldout": 20}
    done = ours(tmp_path / "ours", "interactive", **numbers)
    one = answers_of(done.record, done.rows())
    stored = by_inspect(tmp_path / "inspect", **numbers)
    for name, other in {
        "Inspect": answers_of(stored.record(), stored.rows()),
        "lm-eval": by_lm_eval(tmp_path / "lm-eval", one, **numbers),
    }.items():
        record_property(name, compare(one, other))


@pytest.mark.reference
@pytest.mark.timeout(1800)
def test_an_inspect_task_gives_the_same_in_every_round(conversation, tmp_path, record_property):
    stored = by_inspect(tmp_path, **NUMBERS)
    one = answers_of(conversation.record, conversation.rows())
    record_property("largest difference of probabilities", compare(one, answers_of(stored.record(), stored.rows())))


@pytest.mark.reference
@pytest.mark.timeout(1800)
def test_an_agent_of_inspect_gives_the_same_in_every_round(conversation, tmp_path, record_property):
    pytest.importorskip("inspect_ai")
    arguments = json.dumps({"model_path": str(MODEL), "do_sample": False})
    settings = {"form": "paper", "model_args": arguments, "cache": str(tmp_path / "cache")}
    done = bb.run("flights", format_spec("inspect", "hf/local", settings), results=tmp_path / "results", **NUMBERS)
    one = answers_of(conversation.record, conversation.rows())
    record_property("largest difference of probabilities", compare(one, answers_of(done.record, done.rows())))


@pytest.mark.reference
@pytest.mark.timeout(1800)
def test_lm_eval_gives_the_same_in_every_round(tmp_path, record_property, monkeypatch):
    """With all rounds in one turn: a task of lm-eval cannot know what the model would have recommended."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    done = ours(tmp_path / "ours", "whole", **NUMBERS)
    one = answers_of(done.record, done.rows())
    record_property("largest difference of probabilities", compare(one, by_lm_eval(tmp_path, one, **NUMBERS)))
