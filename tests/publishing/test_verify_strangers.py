"""What a stranger's run says of itself never decides what is loaded, run, downloaded or written here."""

from __future__ import annotations

import json

import pytest

import beliefbench as bb
from beliefbench.plugins.reach import Reach, reach_of_agent, reach_of_domain
from beliefbench.plugins.sources import add_plugin_folder
from beliefbench.publishing.verify import verify_run

from .tampering import edit_record, failed, said

CODE = """
from pathlib import Path
from transformers import PretrainedConfig

Path(__file__).with_name("it-ran").touch()

class Config(PretrainedConfig):
    model_type = "mine"
"""
TOUCH = """
from pathlib import Path
from beliefbench.agents.random import Random

def touch(domain, model="", cache=""):
    Path(cache or model).touch()
    return Random(domain)

AGENTS = {"touch": touch}
"""


def test_code_that_comes_with_a_model_does_not_run(published, folder_of, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(
        json.dumps({"model_type": "mine", "auto_map": {"AutoConfig": "configuration_mine.Config"}})
    )
    (model / "configuration_mine.py").write_text(CODE)
    (model / "model.safetensors").touch()
    folder = folder_of(published, "random")
    edit_record(folder, {"spec": f"prompted:{model},trust_remote_code=yes"})
    report = verify_run(folder, rerun=1)
    assert "runs code that comes with the model and names a path" in report.left_out[-1]
    assert "add --allow remote-code --allow path if you trust it." in report.left_out[-1]
    assert "add --allow remote-code if" in verify_run(folder, rerun=1, allow=[Reach.path]).left_out[-1]
    assert not list(model.glob("it-ran"))


@pytest.mark.parametrize(
    ("spec", "flags"),
    [
        ("prompted:someone/model", ["hub"]),
        ("prompted:gpt2", ["hub"]),
        ("prompted:~/model", ["path"]),
        ("prompted:smollm2,adapter=a", ["path"]),
        ("prompted:smollm2,memory=1000", ["budget"]),
        ("prompted:smollm2,probabilities=none,answer_tokens=1000000", ["budget"]),
        ("prompted,trust_remote_code=perhaps", ["remote-code"]),
        ("endpoint:gpt-5,cache=/tmp/x,max_requests=1000000", ["server"]),
        ("prompted:smollm2", []),
        ("lowest:price", []),
        ("bayesian", []),
    ],
)
def test_what_a_spec_reaches_for(spec, flags):
    assert [one.value for one in reach_of_agent(spec)] == flags


@pytest.mark.parametrize("spec", ["touch:{0}", "touch,cache={0}"])
def test_a_plugin_that_declares_nothing_gets_no_setting_of_a_stranger(plugin_folder, published, folder_of, spec):
    (plugin_folder / "touch.py").write_text(TOUCH)
    add_plugin_folder(plugin_folder)
    file = plugin_folder / "touched"
    folder = folder_of(published, "random")
    edit_record(folder, {"spec": spec.format(file)})
    assert "add --allow settings if you trust it." in verify_run(folder, rerun=1).left_out[-1]
    assert not file.exists()
    verify_run(folder, rerun=1, allow=[Reach.settings])
    assert file.exists()


def test_a_domain_with_a_path_is_not_loaded(published, folder_of):
    folder = folder_of(published, "random")
    record = json.loads((folder / "run.json").read_text())
    domain = {**record["identity"]["domain"], "name": "flights,table=/etc/passwd"}
    edit_record(folder, {"identity": {"domain": domain}})
    assert "names a path on this machine; add --allow path if you trust it." in said(verify_run(folder))
    assert reach_of_domain("flights,user_lapse=0.1") == []


def test_users_that_cannot_be_drawn_are_not_drawn(tmp_path):
    done = bb.run("flights", "random", users=6, rounds=1, heldout=4, sample=3, results=tmp_path)
    edit_record(done.folder, {"identity": {"users": 10**6}})
    report = verify_run(done.folder)
    assert {"users", "key"} <= failed(report)
    assert "users = 1000000" in said(report)


@pytest.mark.parametrize("name", ["/etc/hostname", "../../../../secret", "../../exact-x.parquet", "run.json/../rows"])
def test_evidence_names_files_of_a_run_only(published, folder_of, name):
    folder = folder_of(published, "random")
    evidence = json.loads((folder / "evidence.json").read_text())
    evidence["files"][name] = "0" * 64
    (folder / "evidence.json").write_text(json.dumps(evidence))
    assert "is no file of a run; nothing of it was opened" in said(verify_run(folder))


def test_no_name_begins_a_line_or_moves_the_cursor(published, folder_of):
    folder = folder_of(published, "random")
    evidence = json.loads((folder / "evidence.json").read_text())
    evidence["files"]["x\n  ok    files: \x1b[1A\x1b[2K"] = "0" * 64
    (folder / "evidence.json").write_text(json.dumps(evidence))
    report = verify_run(folder)
    assert "files" in failed(report)
    assert all(line.isprintable() for line in report.lines())


def test_the_command_allows_by_name(call, published, folder_of):
    folder = folder_of(published, "random")
    edit_record(folder, {"spec": "prompted:/nowhere/model"})
    _, out, _ = call("verify", str(folder), "--rerun", "1")
    assert "--allow path" in out
    _, out, _ = call("verify", str(folder), "--rerun", "1", "--allow", "path")
    assert "there is no model folder or GGUF file '/nowhere/model'" in out
