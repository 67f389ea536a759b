"""The recipe in docs/publishing.md, played by three people in three folders; and the workflow of a leaderboard."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from beliefbench.leaderboard.ranking import read_leaderboard
from beliefbench.leaderboard.row import Standing
from beliefbench.plugins import sources

from .openssh import needs_ssh_keygen
from .tampering import flip_answer

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "docs" / "publishing.md").read_text().partition("## A recipe")[2].partition("### A public")[0]
WORKFLOW = ROOT / "examples" / "check-runs.yml"

pytestmark = needs_ssh_keygen


def part(number: int) -> str:
    return RECIPE.partition(f"### {number}.")[2].partition(f"### {number + 1}.")[0]


@pytest.fixture
def play(call, tmp_path, monkeypatch):
    """``play(name, number)``: a person follows a part of the recipe in a folder and a home of their own."""

    def person(name: str, number: int) -> str:
        home, said = tmp_path / "homes" / name, []
        monkeypatch.setenv("HOME", str(home))
        if not home.exists():
            (home / ".ssh").mkdir(parents=True)
            key = home / ".ssh" / "id_ed25519"
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)
        sources.forget_plugin_folders()
        for line in re.findall(r"^    (beliefbench .+)$", part(number), re.MULTILINE):
            arguments = [os.path.expanduser(word) for word in shlex.split(line)[1:]]
            status, out, err = call(*arguments)
            assert status == 0, (line, out, err)
            said.append(out + err)
        return " ".join("\n".join(said).split())

    yield person
    sources.forget_plugin_folders()


def test_ada_publishes_bob_reproduces_and_anybody_reads(play, tmp_path):
    (plugin,) = re.findall(r"^```python\n(.*?)^```", part(1), re.MULTILINE | re.DOTALL)
    (tmp_path / "ada" / "plugins").mkdir(parents=True)
    (tmp_path / "ada" / "plugins" / "middle.py").write_text(plugin)
    said = play("ada", 1)
    assert "1 run intact; 1 run reproduced here." in said

    for folder in ("runs", "plugins"):  # as a pull request would bring them
        shutil.copytree(tmp_path / "ada" / folder, tmp_path / "bob" / folder)
    said = play("bob", 2)
    assert "recorded in runs/flights/middle/" in said

    shutil.copytree(tmp_path / "bob" / "runs", tmp_path / "reader" / "runs")  # without the plugin
    public = (tmp_path / "homes" / "bob" / ".ssh" / "id_ed25519.pub").read_text()
    (tmp_path / "reader" / "people").write_text(f"bob@example.org {public}")
    said = play("reader", 3)
    assert "reproduced: by Bob <bob@example.org>, 20" in said
    assert re.search(r"5 users asked again: 0.00% of \d+ choices differ", said)
    assert "signed with the trusted key SHA256:" in said
    assert "middle ●" in said
    (row,) = read_leaderboard(tmp_path / "reader" / "runs").rows
    assert row.standing == Standing.claimed  # for who trusts nobody


def steps() -> dict[str, str]:
    (job,) = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    return {step["name"]: step["run"] for step in job["steps"] if "run" in step}


@pytest.mark.parametrize("forged", [False, True])
def test_the_workflow_fails_for_a_forged_run_alone(call, published, folder_of, tmp_path, monkeypatch, forged):
    """Its steps, in a clone of a repository, but for the one that installs the package."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    shutil.copytree(published, origin / "runs")
    (origin / "plugins").mkdir()
    shutil.copy(ROOT / "tests" / "publishing" / "one_agent.py", origin / "plugins")
    (origin / "people").write_text("")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(origin)]
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "runs"]):
        subprocess.run([*git, *command], check=True)
    subprocess.run(["git", "clone", "-q", origin, clone], check=True)
    if forged:
        flip_answer(folder_of(clone / "runs", "random"))
        (clone / "people").write_text("what a pull request says of keys")
    monkeypatch.chdir(clone)
    monkeypatch.setenv("RUNNER_TEMP", str(tmp_path / "temp"))
    subprocess.run(["bash", "-ec", steps()["Take plugins and keys of the main branch"]], check=True)
    assert (tmp_path / "temp" / "trusted" / "people").read_text() == ""
    arguments = shlex.split(os.path.expandvars(steps()["Verify"]))[1:]
    status, out, _ = call(*arguments)
    assert status == (1 if forged else 0), out
    arguments = shlex.split(os.path.expandvars(steps()["Make the page"]))[1:]
    assert call(*arguments)[0] == 0
    assert ('badge plain">intact' in Path("leaderboard.html").read_text()) or forged


def test_the_workflow_can_write_nothing_and_keeps_no_credentials():
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    checkout = workflow["jobs"]["verify"]["steps"][0]
    assert checkout["with"]["persist-credentials"] is False
    assert "secrets" not in json.dumps(workflow)
