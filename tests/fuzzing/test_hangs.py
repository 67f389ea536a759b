"""What would hang ends in time with a sentence: pipes for files, templates and configurations without end."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.cli.console import LONGEST
from beliefbench.language.local import chat_template
from beliefbench.language.local.checkpoints import locate
from beliefbench.plugins.sources import add_plugin_folder, broken_sources, forget_plugin_folders

pytestmark = pytest.mark.timeout(120)
SMALL = ("--users", "1", "--rounds", "0", "--heldout", "1", "--results", "r")


def pipe(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    return file


@pytest.mark.parametrize("name", ["users.jsonl", "heldout/sets.json", "items_shuffle.json"])
def test_import_opens_no_pipe(call, data_folder, tmp_path, name):
    pipe(tmp_path / "given" / name)
    (tmp_path / "given" / "items_ins_v2.json").write_text("{}")
    status, _, told = call("import", "given")
    assert (status, "(not a regular file)" in told) == (2, True) or "items_shuffle.json is missing" in told


@pytest.mark.parametrize(
    ("file", "domain"),
    [
        ("released/few.json", "released/few"),
        ("released/shop/heldout.jsonl", "released/shop"),
        ("products/beds.json", "products/beds"),
    ],
)
def test_imported_data_are_no_pipes(call, data_folder, file, domain):
    pipe(data_folder / file)
    pipe((data_folder / file).with_name("interaction.jsonl"))
    status, _, told = call("run", "--domain", domain, "--agent", "random", *SMALL)
    assert status == 1
    assert "cannot be" in told


def test_a_plugin_file_is_no_pipe(tmp_path):
    pipe(tmp_path / "pipe.py")
    add_plugin_folder(tmp_path)
    try:
        assert any("not a regular file" in str(error) for error in broken_sources())
    finally:
        forget_plugin_folders()


@pytest.mark.parametrize("suffix", ["", ".about.json"])
def test_teaching_data_are_no_pipes(call, make_model, tmp_path, suffix):
    folder = make_model()
    (tmp_path / "data.jsonl").write_text(json.dumps({"messages": []}))
    pipe(tmp_path / f"data.jsonl{suffix}")
    status, _, told = call("teach", "run", "--base", str(folder), "--data", "data.jsonl", "--out", "out")
    assert status == 2
    assert "data.jsonl" in told


@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors", "chat_template.jinja", "config.json"])
def test_a_file_of_a_model_is_no_pipe(make_model, name):
    folder = make_model()
    pipe(folder / name)
    with pytest.raises(bb.UsageError, match=f"{name}' is not a regular file; download or copy the model again"):
        locate(str(folder))


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({"num_hidden_layers": 10**9}, "describes 1,000,000,000 layers, and the weights beside it have 27 tensors"),
        ({"text_config": {"n_layer": 10**9}}, "describes 1,000,000,000 layers"),
        ({"vocab_size": 10**12}, "weights, and the weights beside it have 35,232 numbers"),
        ({"vocab_size": 10**9}, "weights, and the weights beside it have 35,232 numbers"),
        ({"hidden_size": 10**9}, "weights, and the weights beside it have 35,232 numbers"),
    ],
)
def test_a_model_without_end_is_not_made(call, make_model, described, said):
    """Before, each of them took all time or all memory."""
    folder = make_model(**described)
    begun = time.process_time()
    status, _, told = call("run", "--domain", "flights-2", "--agent", f"prompted:{folder}", *SMALL)
    assert status == 1
    assert said in told
    assert time.process_time() - begun < 30


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(10**9) %}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    ],
)
def test_a_chat_template_without_end_is_refused(call, make_model, monkeypatch, template):
    monkeypatch.setattr(chat_template, "LONGEST", 0.5)
    folder = make_model(template)
    status, _, told = call("run", "--domain", "flights-2", "--agent", f"prompted:{folder}", *SMALL)
    assert status == 1
    assert "has not ended after 0.5 s; use another" in told or "Range too big" in told


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "{}"),
        ("run", "--domain", "flights-2", "--agent", "prompted:{}", *SMALL),
        ("run", "--domain", "{}", *SMALL),
        ("run", "--domain", "flights-2", "--agent", "random", "--plugins", "{}", *SMALL),
        ("leaderboard", "--results", "{}"),
        ("verify", "{}"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_names_of_any_length_are_refused_in_one_sentence(call, arguments):
    status, _, told = call(*(one.replace("{}", "x" * 100_000) for one in arguments))
    assert status in (1, 2)
    assert len(told) < LONGEST + 100
    assert "Traceback" not in told
