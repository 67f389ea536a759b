"""Runs in the formats of others: answers as tables, Every Eval Ever, and model cards."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

import beliefbench as bb
from beliefbench.exchange.every_eval_ever import _names
from beliefbench.running.store import ROWS, find_runs

NUMBERS = {"users": 3, "rounds": 1, "heldout": 4}


@pytest.fixture
def results(tmp_path):
    for agent in ("random", "first", "oracle"):
        bb.run("flights-2", agent, results=tmp_path / "results", **NUMBERS)
    return tmp_path / "results"


def export(call, form: str, out: str, *more: str) -> str:
    status, printed, err = call("export", "--format", form, "--out", out, "--results", "results", *more)
    assert (status, printed) == (0, ""), err
    return err


@pytest.mark.parametrize(
    ("agent", "names"),
    [
        ("bayesian", ("beliefbench", "bayesian")),
        ("prompted:my-model", ("unknown", "my-model")),
        ("prompted:org/my-model", ("org", "my-model")),
        ("endpoint:gpt-5", ("unknown", "gpt-5")),
        ("inspect:hf/local", ("unknown", "local")),
        ("inspect:vllm/org/model", ("org", "model")),
        ("inspect:anthropic/claude", ("anthropic", "claude")),
        ("prompted:", ("unknown", "prompted")),
    ],
)
def test_a_model_is_of_the_developer_in_its_name(agent, names):
    assert _names(SimpleNamespace(fields={"agent": agent})) == names


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_every_answer_is_there(results, call, tmp_path, form):
    assert export(call, form, f"answers.{form}") == f"beliefbench: answers.{form}: the answers of 3 runs.\n"
    file = tmp_path / f"answers.{form}"
    found = pd.read_csv(file) if form == "csv" else pd.read_parquet(file)
    assert not list(tmp_path.glob(".export-*"))
    for store in find_runs(results):
        record = store.record()
        rows = store.rows().to_pandas()
        mine = found[found.run == record.key].reset_index(drop=True)
        assert set(mine.agent) == {record.agent.name}
        assert mine.question.isna().tolist() == (rows.question < 0).tolist()
        for name in ("user", "stage", "truth", "choice", "prob_0", "exact_2"):
            pd.testing.assert_series_equal(mine[name], rows[name], check_dtype=False)
    assert set(ROWS.names) - set(found) == {"bounded", "by_beliefs", "beliefs", "exact_beliefs"}


def test_text_is_no_formula(call, tmp_path):
    agent = bb.chat_agent(lambda messages: '=HYPERLINK("http://x")\nThe best option is Flight 1.', name="=1+1")
    bb.run("flights-2", agent, results=tmp_path / "results", **NUMBERS)
    export(call, "csv", "answers.csv")
    with (tmp_path / "answers.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["agent"] for line in lines} == {"'=1+1"}
    assert all(line["text"].startswith("'=HYPERLINK") for line in lines)


def test_runs_are_chosen_by_domain_and_agent(results, call, tmp_path):
    export(call, "parquet", "one.parquet", "--agent", "first", "--domain", "flights-2")
    assert set(pd.read_parquet(tmp_path / "one.parquet").agent) == {"first"}
    status, _, err = call("export", "--format", "csv", "--out", "x.csv", "--results", "results", "--agent", "nobody")
    assert (status, "no row has the agent 'nobody'" in err) == (2, True)


def test_a_place_that_cannot_be_written_is_told(results, call):
    for form in ("netcdf", "csv", "parquet", "every-eval-ever", "card"):
        more = ("--agent", "first") if form == "card" else ()
        status, _, err = call("export", "--format", form, "--out", "/proc/x/y", "--results", "results", *more)
        assert (form, status) == (form, 2)
        assert "cannot be written" in err


def test_a_card_is_of_one_agent_and_hugging_face_reads_it(results, call, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    status, _, err = call("export", "--format", "card", "--out", "card", "--results", "results")
    assert (status, "a model card is of one agent; add --agent with one of: first, oracle, random" in err) == (2, True)
    export(call, "card", "card", "--agent", "random")
    entries = hub.parse_eval_result_entries(
        yaml.safe_load((tmp_path / "card/.eval_results/beliefbench.yaml").read_text())
    )
    frame = bb.leaderboard(results).query("agent == 'random'")
    final = frame[frame["round"] == 1].iloc[0]
    assert {one.task_id: one.value for one in entries}["flights-2-kl_exact"] == pytest.approx(final.kl_exact)
    front = (tmp_path / "card/model-index.yaml").read_text()
    card = hub.ModelCard(f"---\n{front}---\n\n# A model\n")
    values = {one.metric_type: one.metric_value for one in card.data.eval_results}
    assert values["accuracy"] == pytest.approx(final.accuracy)
    assert "posterior" not in values


def test_every_eval_ever_has_metrics_and_answers(results, call, tmp_path):
    export(call, "every-eval-ever", "out", "--agent", "random")
    (file,) = (tmp_path / "out/data/beliefbench/beliefbench/random").glob("*[0-9a-f].json")
    record = json.loads(file.read_text())
    final = bb.leaderboard(results).query("agent == 'random'").iloc[-1]
    scores = {one["evaluation_result_id"]: one["score_details"]["score"] for one in record["evaluation_results"]}
    assert scores["flights-2/accuracy/1"] == pytest.approx(final.accuracy)
    assert scores["flights-2/log_score/1"] == pytest.approx(final.log_score)
    samples = tmp_path / "out" / record["detailed_evaluation_results"]["file_path"]
    assert hashlib.sha256(samples.read_bytes()).hexdigest() == record["detailed_evaluation_results"]["checksum"]
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert len(lines) == NUMBERS["users"] * NUMBERS["heldout"]
    assert sum(line["evaluation"]["is_correct"] for line in lines) / len(lines) == pytest.approx(final.accuracy)
    before = {one.name: one.read_bytes() for one in file.parent.iterdir() if "_samples" in one.name}
    export(call, "every-eval-ever", "out", "--agent", "random")
    assert {one.name: one.read_bytes() for one in file.parent.iterdir() if "_samples" in one.name} == before


def test_an_agent_that_only_chooses_has_no_scores_of_probabilities(results, call, tmp_path):
    export(call, "every-eval-ever", "out", "--agent", "first")
    (file,) = (tmp_path / "out/data/beliefbench/beliefbench/first").glob("*[0-9a-f].json")
    metrics = {one["metric_config"]["metric_name"] for one in json.loads(file.read_text())["evaluation_results"]}
    assert metrics == {"accuracy", "agreement"}


def test_answers_of_a_domain_that_is_not_here_are_left_out(call, tmp_path, plugin_folder):
    from beliefbench.plugins.sources import add_plugin_folder, forget_plugin_folders

    source = "import dataclasses\nimport beliefbench as bb\n"
    source += 'DOMAINS = {"trains": dataclasses.replace(bb.load_domain("flights-2"), name="trains")}\n'
    (plugin_folder / "trains.py").write_text(source)
    add_plugin_folder(plugin_folder)
    bb.run("trains", "first", results=tmp_path / "results", **NUMBERS)
    forget_plugin_folders()
    said = export(call, "every-eval-ever", "out")
    assert "are left out: no domain 'trains'" in " ".join(said.split()) or "are left out" in said
    (file,) = (tmp_path / "out").rglob("*.json")
    assert "detailed_evaluation_results" not in json.loads(file.read_text())


@pytest.mark.reference
def test_it_is_valid_by_the_schema_itself(results, call, tmp_path):
    """The schema comes in a package for a newer Python than ours, so it is unpacked and not installed."""
    jsonschema = pytest.importorskip("jsonschema")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--python-version", "3.12"]
    command += ["--only-binary=:all:", "--dest", str(tmp_path / "wheel"), "every-eval-ever==0.3.0"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no network: PyPI's package every-eval-ever, which holds the schema, cannot be downloaded")
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        schemas = [
            json.loads(packed.read(f"every_eval_ever/schemas/{name}.schema.json"))
            for name in ("eval", "instance_level_eval")
        ]
    export(call, "every-eval-ever", "out")
    files = sorted((tmp_path / "out").rglob("*.json*"))
    assert len(files) == 6
    for file in files:
        lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
        for line in lines:
            jsonschema.validate(json.loads(line), schemas[file.suffix == ".jsonl"])


def test_paths_stay_below_the_folder(call, tmp_path):
    agent = bb.chat_agent(lambda messages: "The best option is Flight 1.", name="x:../../../etc/passwd")
    bb.run("flights-2", agent, results=tmp_path / "results", **NUMBERS)
    export(call, "every-eval-ever", "out")
    written = {Path(file).resolve() for file in (tmp_path / "out").rglob("*.json*")}
    assert len(written) == 2
    assert all((tmp_path / "out").resolve() in file.parents for file in written)
