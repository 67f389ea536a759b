"""Logs that are not what they say: each is refused in a sentence, and nothing is written."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from inspect_ai.log import EvalError, EvalSampleLimit, read_eval_log, write_eval_log

from beliefbench.errors import BeliefBenchError
from beliefbench.exchange.inspect.importing import import_log


def events(log):
    return [event for event in log.samples[0].events if event.event == "model"]


def first_score(log):
    return log.samples[0].scores["beliefbench"]


def metric(log, name):
    return log.results.scores[0].metrics[name]


def described(log):
    return log.eval.metadata["beliefbench"]["flights-2"]


def set_(target, **values):
    for name, value in values.items():
        setattr(target, name, value)


def other_reply(log):
    for event in events(log):
        event.output.choices[0].message.content = "The best option is Flight 1."
        event.output.completion = "The best option is Flight 1."


CHANGES = {
    "another task": lambda log: set_(log.eval, task="gsm8k"),
    "a task of ours that is not there": lambda log: set_(log.eval, task="beliefbench/trains"),
    "another domain": lambda log: set_(log.eval, task="beliefbench/flights"),
    "no metadata": lambda log: set_(log.eval, metadata=None),
    "metadata of another kind": lambda log: set_(log.eval, metadata={"beliefbench": 3}),
    "another version of the task": lambda log: set_(log.eval, task_version=99),
    "another version of the domain": lambda log: log.eval.metadata["beliefbench"]["flights-2"]["domain"].update(
        version="0"
    ),
    "not finished": lambda log: set_(log, status="started"),
    "cancelled": lambda log: set_(log, status="cancelled"),
    "failed": lambda log: set_(log, status="error"),
    "no results": lambda log: set_(log, results=None),
    "two epochs": lambda log: set_(log.eval.config, epochs=2),
    "more users said": lambda log: log.eval.task_args.update(users=4),
    "fewer users said": lambda log: log.eval.task_args.update(users=2),
    "another seed said": lambda log: log.eval.task_args.update(seed=1),
    "more rounds said": lambda log: log.eval.task_args.update(rounds=3),
    "rounds without end": lambda log: log.eval.task_args.update(rounds=10**12),
    "users as text": lambda log: log.eval.task_args.update(users="many"),
    "an argument that the task has not": lambda log: log.eval.task_args.update(plugins="/tmp/x"),
    "another way said": lambda log: log.eval.task_args.update(probabilities="none"),
    "a user lost": lambda log: log.samples.pop(),
    "a user of another name": lambda log: set_(log.samples[0], id="flights-2/99999"),
    "a user whose name is no number": lambda log: set_(log.samples[0], id="flights-2/../../x"),
    "a user who failed": lambda log: set_(log.samples[0], error=EvalError(message="", traceback="", traceback_ansi="")),
    "a user who met a limit": lambda log: set_(log.samples[0], limit=EvalSampleLimit(type="token", limit=3)),
    "users exchanged": lambda log: (set_(log.samples[0], id=log.samples[1].id), set_(log.samples[1], id="flights-2/0")),
    "no calls": lambda log: set_(log.samples[0], events=[]),
    "a call lost": lambda log: log.samples[0].events.remove(events(log)[3]),
    "a call twice": lambda log: log.samples[0].events.append(events(log)[3]),
    "other replies": other_reply,
    "log-probabilities lost": lambda log: set_(events(log)[0].output.choices[0], logprobs=None),
    "log-probabilities changed": lambda log: set_(
        events(log)[0].output.choices[0].logprobs.content[6].top_logprobs[0], logprob=-0.001
    ),
    "another question": lambda log: set_(events(log)[2].input[-1], content="Which flight is the best?"),
    "another model answered": lambda log: set_(events(log)[2], model="openai/gpt-5"),
    "another temperature": lambda log: set_(events(log)[2].config, temperature=1.0),
    "a system message": lambda log: set_(events(log)[2].config, system_message="Choose Flight 2."),
    "a better accuracy": lambda log: set_(metric(log, "accuracy_2"), value=0.99),
    "a metric lost": lambda log: log.results.scores[0].metrics.pop("ece_1"),
    "a metric of NaN": lambda log: set_(metric(log, "ece_1"), value=float("nan")),
    "other choices": lambda log: first_score(log).metadata["answers"].update(choice=[[0] * 4] * 3),
    "choices of another shape": lambda log: first_score(log).metadata["answers"].update(choice=[[0]]),
    "choices of text": lambda log: first_score(log).metadata["answers"].update(choice="right"),
    "another truth": lambda log: first_score(log).metadata["answers"].update(truth=[[0] * 4] * 3),
    "no scores": lambda log: set_(log.samples[0], scores=None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_log_is_refused_and_nothing_is_written(log_file, tmp_path, change):
    changed = read_eval_log(str(log_file), resolve_attachments="full")
    change(changed)
    file = tmp_path / "changed.eval"
    write_eval_log(changed, str(file))
    refused(file, tmp_path / "results")


def refused(file: Path, results: Path) -> str:
    with pytest.raises(BeliefBenchError) as caught:
        import_log(file, results)
    assert not list(results.rglob("*.json"))
    assert not list(results.rglob(".import-*"))
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 700
    return said


def test_files_that_are_no_logs(log_file, tmp_path):
    results, file = tmp_path / "results", tmp_path / "other.eval"
    assert "is not there" in refused(file, results)
    file.write_bytes(b"")
    assert "cannot be read as a log" in refused(file, results)
    file.write_bytes(log_file.read_bytes()[:-200])
    assert "cannot be read as a log" in refused(file, results)
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("header.json", "{}")
    assert "cannot be read as a log" in refused(file, results)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(40):
            packed.writestr(f"samples/{number}.json", b"\0" * 10_000_000)
    assert "unpacks to" in refused(file, results)
    file.unlink()
    file.mkdir()
    refused(file, results)
    file.rmdir()
    os.mkfifo(file)
    refused(file, results)
    file.unlink()
    file.symlink_to(log_file)
    refused(file, results)


def test_another_run_is_not_overwritten(log_file, tmp_path):
    (folder,) = import_log(log_file, tmp_path / "results")
    rows = (folder / "rows.parquet").read_bytes()
    changed = rows[:-10]
    (folder / "rows.parquet").write_bytes(changed)
    with pytest.raises(BeliefBenchError):
        import_log(log_file, tmp_path / "results")
    assert (folder / "rows.parquet").read_bytes() == changed
