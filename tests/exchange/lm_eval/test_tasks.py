"""Tasks for lm-evaluation-harness: the files, and the same model there and here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

import beliefbench as bb
from beliefbench.exchange.lm_eval.scoring import process_results
from beliefbench.exchange.lm_eval.tasks import METRICS, write_tasks
from beliefbench.scoring.heldout import answers_of
from beliefbench.scoring.metrics import METRICS as OURS

NUMBERS = {"users": 2, "rounds": 2, "heldout": 3}


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_stage_has_all_questions_with_truth_and_exact_answer(tmp_path):
    domain = bb.load_domain("flights-2")
    protocol = bb.Protocol.of(domain, **NUMBERS)
    assert write_tasks((domain,), (protocol,), tmp_path) == ["beliefbench_flights_2"]
    episodes = bb.Episodes(domain, protocol)
    for stage in range(3):
        found = lines(tmp_path / f"beliefbench_flights_2_after_{stage}.jsonl")
        assert [one["gold"] for one in found] == episodes.truth.ravel().tolist()
        assert np.array([one["exact"] for one in found]) == pytest.approx(episodes.exact[:, stage].reshape(-1, 3))
        assert all(one["prompt"].count("Round ") == stage for one in found)
        assert all(one["choices"][2] == "The best option is Flight 3." for one in found)
    last = lines(tmp_path / "beliefbench_flights_2_after_2.jsonl")
    for place in range(2):
        told = [f"I preferred Flight {one + 1}." for one in episodes.chosen[place]]
        text = last[place * 3]["prompt"]
        assert [text.index(one) for one in told] == sorted(text.index(one) for one in told)


def test_the_group_has_a_task_for_each_stage(tmp_path, call):
    domains = ("--domain", "flights-2", "--domain", "flights-3")
    numbers = ("--users", "1", "--rounds", "1", "--heldout", "1")
    status, _, err = call("export", "--format", "lm-eval", *domains, "--out", "tasks", *numbers)
    assert status == 0
    groups = [file for file in (tmp_path / "tasks").glob("*.yaml") if "_after_" not in file.name]
    assert len(groups) == 2
    for file in groups:
        group = yaml.safe_load(file.read_text())
        assert group["task"] == [f"{group['group']}_after_{stage}" for stage in (0, 1)]
        assert f"--tasks {group['group']} " in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "lm-eval"], "--format lm-eval needs a domain: add --domain NAME."),
        (["--format", "lm-eval", "--domain", "flight"], "'flight'"),
        (["--format", "lm-eval", "--domain", "flights-2", "--users", "99"], "users = 99, but flights-2 has 24"),
        (["--format", "lm-eval", "--domain", "flights-2", "--agent", "first"], "leave out --agent"),
        (["--format", "lm-eval", "--domain", "flights-2", "--results", "y"], "reads no runs; leave out --results."),
        (["--format", "csv", "--users", "3"], "--users is for --format lm-eval"),
        (["--format", "csv"], "'results/local' does not exist"),
    ],
)
def test_what_cannot_be_written_is_told(call, arguments, said):
    status, out, err = call("export", "--out", "x", *arguments)
    assert (status, out) == (2, "")
    assert said in " ".join(err.split())


def test_two_domains_never_share_tasks(tmp_path):
    domain = bb.load_domain("flights-2")
    one, two = (replace(domain, name=name) for name in ("my.trips", "my-trips"))
    protocol = bb.Protocol(1, 1, 1)
    with pytest.raises(bb.UsageError, match=r"'my\.trips' and 'my-trips' would both be called beliefbench_my_trips"):
        write_tasks((one, two), (protocol, protocol), tmp_path / "tasks")
    assert not (tmp_path / "tasks").exists()


def test_a_question_is_scored_as_the_metrics_define():
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores, exact, gold = rng.normal(size=3) * 2, rng.dirichlet(np.full(3, 5.0)), int(rng.integers(3))
        found = process_results({"gold": gold, "exact": exact.tolist()}, [(one, False) for one in scores])
        probs = np.exp(scores) / np.exp(scores).sum()
        assert found["acc"] == float(scores.argmax() == gold)
        assert found["log_score"] == pytest.approx(-np.log(probs[gold]), rel=1e-3)
        assert found["kl_exact"] == pytest.approx((exact * np.log(exact / probs)).sum(), abs=1e-3)
        assert found["brier"] == pytest.approx(((probs - np.eye(3)[gold]) ** 2).sum())
        assert set(found) == set(METRICS)


@pytest.mark.reference
@pytest.mark.timeout(900)
@pytest.mark.parametrize("chat", [True, False], ids=["chat template", "base model"])
def test_the_same_model_has_the_same_answers_there(make_model, tmp_path, chat, record_property, monkeypatch):
    lm_eval = pytest.importorskip("lm_eval")
    from lm_eval.tasks import TaskManager

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    model = make_model() if chat else make_model(template=None)
    domain = bb.load_domain("flights-2")
    (group,) = write_tasks((domain,), (bb.Protocol.of(domain, **NUMBERS),), tmp_path / "written")
    (tmp_path / "written").rename(tmp_path / "tasks")  # the folder may be moved
    found = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(model), "dtype": "float32", "add_bos_token": not chat},
        tasks=[group],
        task_manager=TaskManager(include_path=str(tmp_path / "tasks"), include_defaults=False),
        apply_chat_template=chat,
        device="cpu",
        batch_size=1,
        log_samples=True,
        bootstrap_iters=0,
    )
    done = bb.run("flights-2", f"prompted:{model},history=whole,dtype=float32", results=tmp_path / "results", **NUMBERS)
    ours = answers_of(done.record, done.rows())
    largest = 0.0
    for stage in range(3):
        task = f"{group}_after_{stage}"
        samples = sorted(found["samples"][task], key=lambda one: (one["doc"]["user"], one["doc"]["set"]))
        scores = np.array([[one[0] for one in sample["filtered_resps"]] for sample in samples])
        probs = np.exp(scores - scores.max(axis=1, keepdims=True))
        probs = (probs / probs.sum(axis=1, keepdims=True)).reshape(ours.probs[:, stage].shape)
        largest = max(largest, float(np.abs(probs - ours.probs[:, stage]).max()))
        assert (probs.argmax(axis=-1) == ours.choice[:, stage]).all()
        results = found["results"][task]
        assert results["acc,none"] == pytest.approx((ours.choice == ours.truth)[:, stage].mean(), abs=1e-12)
        for name in ("agreement", "log_score", "brier", "kl_exact"):
            expected = OURS[name](*ours[1:])[:, stage].mean()
            assert results[f"{name},none"] == pytest.approx(expected, abs=1e-3)
    record_property("largest difference of probabilities", largest)
    assert largest < 1e-3
