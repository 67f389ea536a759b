"""Tasks of `inspect eval`, their logs as runs, and models of Inspect as agents: the same answers three times."""

from __future__ import annotations

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.exchange.inspect import asking
from beliefbench.exchange.inspect.importing import import_log
from beliefbench.publishing.several import verify_all
from beliefbench.running.harness import Run
from beliefbench.running.store import RunStore

from .conftest import NUMBERS

ANSWERS = ["user", "stage", "question", "truth", "choice", "prob_0", "prob_1", "prob_2", "exact_0", "text", "tokens"]


@pytest.fixture
def imported(log_file, tmp_path):
    (folder,) = import_log(log_file, tmp_path / "results")
    return RunStore(folder)


def test_a_log_and_an_agent_have_the_same_rows(imported, scripted_model, tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "model_of", lambda name, arguments: scripted_model())
    agent = f"inspect:mockllm/model,cache={tmp_path / 'cache'}"
    done = bb.run("flights-2", agent, results=tmp_path / "other", **NUMBERS)
    assert done.rows().select(ANSWERS) == imported.rows().select(ANSWERS)
    assert done.record.key == imported.record().key
    assert len(set(done.rows()["prob_0"].to_pylist())) > 10


def test_no_question_is_asked_twice_by_the_agent(scripted_model, tmp_path, monkeypatch):
    asked = []
    model = scripted_model()
    monkeypatch.setattr(asking, "model_of", lambda name, arguments: asked.append(name) or model)
    agent = f"inspect:mockllm/model,cache={tmp_path / 'cache'}"
    for results in ("one", "other"):
        bb.run("flights-2", agent, results=tmp_path / results, **NUMBERS)
    # Before the first round all users are asked the same four; each has 2 own sets and 2 x 4 held-out sets later.
    assert len(asked) == 4 + 3 * (2 + 2 * 4)
    with pytest.raises(bb.BeliefBenchError, match="max_requests=0"):
        bb.run("flights-2", f"{agent[:-1]}x,max_requests=0", results=tmp_path / "third", **NUMBERS)


def test_the_metrics_in_a_log_are_those_of_the_run(log, imported):
    (score,) = log.results.scores
    found = {name: one.value for name, one in score.metrics.items()}
    for one in bb.metrics(Run(imported.folder, imported.record(), reused=True)).to_dict("records"):
        number = one["round"]
        for name in ("accuracy", "agreement", "log_score", "brier", "ece", "kl_exact", "coverage"):
            assert found[f"{name}_{number}"] == pytest.approx(one[name], abs=1e-12)
    per_user = [sample.scores["beliefbench"].value for sample in log.samples]
    assert np.mean(per_user) == pytest.approx(found["accuracy_2"])


def test_an_imported_run_passes_verify_and_says_where_it_is_from(imported):
    (report,) = verify_all(imported.folder.parent.parent.parent)
    assert report.passed
    record = imported.record()
    assert record.agent.note.endswith("from a log of Inspect")
    assert record.machine["executor"].startswith("Inspect ")
    assert record.spec == "inspect:mockllm/model"


def test_the_conversation_in_a_log_is_the_one_that_was_played(log):
    for sample in log.samples:
        roles = [message.role for message in sample.messages]
        assert roles == ["user", "assistant"] * NUMBERS["rounds"]
        assert sample.input.startswith(sample.messages[0].text)
        assert "Flight" in sample.messages[2].text.splitlines()[0]  # what the user said of the recommendation


def test_it_is_imported_once(log_file, tmp_path, call):
    status, out, err = call("import", str(log_file), "--results", "results")
    assert (status, out) == (0, "")
    assert "a run. `beliefbench leaderboard --results results` shows it." in err
    before = {file: file.read_bytes() for file in (tmp_path / "results").rglob("rows.parquet")}
    assert call("import", str(log_file), "--results", "results")[0] == 0
    assert {file: file.read_bytes() for file in (tmp_path / "results").rglob("rows.parquet")} == before
    assert [one.name for one in (tmp_path / "results").iterdir()] == ["flights-2"]
    status, out, _ = call("leaderboard", "--results", "results", "--no-skill")
    assert status == 0
    assert "inspect:mockllm/model" in out


@pytest.mark.slow
def test_a_suite_has_a_run_for_each_domain(evaluate, plugin_folder, tmp_path, monkeypatch):
    suite = tuple(bb.load_domain(name) for name in ("flights-2", "hotels"))
    from beliefbench.exchange.inspect import importing, logs, playing, tasks

    for module in (tasks, playing, logs):
        monkeypatch.setattr(module, "load_suite", lambda name: suite)
    found = evaluate(
        "beliefbench/flights-n", {"users": 2, "rounds": 1, "heldout": 2, "probabilities": "none", "unusable": "count"}
    )
    assert found.status == "success", found.error
    assert {one.id.split("/")[0] for one in found.samples} == {"flights-2", "hotels"}
    assert "hotels: accuracy_1" in found.results.scores[0].metrics
    folders = importing.import_log(tmp_path / found.location, tmp_path / "results")
    assert [folder.parent.parent.name for folder in folders] == ["flights-2", "hotels"]


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ({"users": 0}, {}, "users = 0"),
        ({"user": 3}, {}, "there is no argument 'user'; did you mean 'users'?"),
        ({"xyz": 3}, {}, "there is no argument 'xyz'; there are users, rounds, heldout, seed, preset,"),
        ({"probabilities": "decision"}, {}, "probabilities=decision is not known; use logprobs, samples, stated, none"),
        ({"n": 3}, {}, "it needs probabilities=samples"),
        ({"think": "perhaps"}, {}, "think=perhaps"),
        ({}, {"epochs": 2}, "a user is asked once: leave out --epochs."),
        ({}, {"temperature": 0.7}, "answers depend on temperature"),
        ({}, {"system_message": "Be brief."}, "answers depend on system_message"),
        ({}, {"seed": 1}, "answers depend on seed"),
    ],
)
def test_what_would_be_another_benchmark_is_refused(evaluate, arguments, options, said):
    try:
        found = evaluate("beliefbench/flights-2", {**NUMBERS, **arguments}, **options)
    except Exception as error:
        assert said in str(error)  # noqa: PT017
    else:
        assert found.status == "error"
        assert said in found.error.message


def test_options_that_change_no_answer_are_taken(evaluate):
    options = {"max_retries": 3, "max_connections": 4, "timeout": 60, "max_samples": 1}
    assert evaluate("beliefbench/flights-2", {**NUMBERS, "users": 1}, **options).status == "success"


def test_a_model_that_gives_no_log_probabilities_is_refused(evaluate, scripted_model):
    from inspect_ai.model import GenerateConfig

    from .conftest import scripted

    model = scripted_model(lambda input, tools, choice, config: scripted(input, tools, choice, GenerateConfig()))
    found = evaluate("beliefbench/flights-2", {**NUMBERS, "users": 1}, model=model)
    assert found.status == "error"
    assert "gives no log-probabilities" in found.error.message
    assert "probabilities=samples" in found.error.message


def test_a_name_without_a_provider_is_refused(tmp_path):
    with pytest.raises(bb.UsageError, match="expected inspect:PROVIDER/MODEL"):
        bb.load_agent("inspect:gpt-5", bb.load_domain("flights-2"))
    agent = bb.load_agent(f"inspect:nobody/gpt-5,cache={tmp_path}", bb.load_domain("flights-2"))
    with pytest.raises(bb.BeliefBenchError, match="Inspect cannot make the model 'nobody/gpt-5'"):
        bb.run("flights-2", agent, results=tmp_path / "results", **NUMBERS)


@pytest.mark.parametrize(("way", "most"), [("samples", 1.0), ("stated", 1.0)])
def test_samples_and_stated_probabilities(evaluate, scripted_model, tmp_path, way, most):
    from .conftest import scripted

    def answer(input, tools, choice, config):
        output = scripted(input, tools, choice, config)
        if way == "stated":
            output.choices[0].message.content = '{"Flight 1": 0.2, "Flight 2": 0.5, "Flight 3": 0.3}'
            output.completion = output.choices[0].message.text
        return output

    found = evaluate("beliefbench/flights-2", {**NUMBERS, "probabilities": way}, model=scripted_model(answer))
    assert found.status == "success", found.error
    (folder,) = import_log(tmp_path / found.location, tmp_path / "results")
    rows = RunStore(folder).rows()
    largest = np.max([rows[f"prob_{option}"].to_numpy() for option in range(3)], axis=0)
    # Eight equal samples, with 1/2 added to each count: 8.5 / 9.5.
    assert largest == pytest.approx(8.5 / 9.5 if way == "samples" else 0.5)


@pytest.mark.slow
def test_a_narrow_interval_stops_the_task_as_it_stops_a_run(evaluate, tmp_path, scripted_model, monkeypatch):
    numbers = {"users": 100, "rounds": 0, "heldout": 4}
    found = evaluate("beliefbench/flights-3", {**numbers, "until_width": 0.3}, max_samples=10)
    assert found.status == "success", found.error
    (folder,) = import_log(tmp_path / found.location, tmp_path / "imported")
    monkeypatch.setattr(asking, "model_of", lambda name, arguments: scripted_model())
    agent = f"inspect:mockllm/model,cache={tmp_path / 'cache'}"
    done = bb.run("flights-3", agent, results=tmp_path / "asked", until_width=0.3, **numbers)
    assert done.record.asked == RunStore(folder).record().asked < 100
    assert done.rows().select(ANSWERS) == RunStore(folder).rows().select(ANSWERS)
