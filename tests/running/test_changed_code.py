"""Runs of a plugin whose code changes while its version stays: they are reused with a warning, and checked anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.publishing import several
from beliefbench.publishing.report import Report
from beliefbench.running.store import RunStore

PLUGIN = """
import importlib.util
from dataclasses import replace
from pathlib import Path
import beliefbench as bb
from beliefbench.agents.first import First

def helper():  # as a file may load what lies beside it; `import _helper` names it for all who read the file
    spec = importlib.util.spec_from_file_location("_helper", Path(__file__).with_name("_helper.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

class Regular(First):
    name = "regular"
    version = "{version}"

    def __init__(self, domain):
        if domain is None:
            import _helper
        self.favourite = helper().FAVOURITE

    def predict(self, state, options):
        answer = super().predict(state, options)
        return replace(answer, choice=answer.choice + self.favourite)

DOMAINS = {{"trains": replace(bb.load_domain("flights-2"), name="trains")}}
AGENTS = {{"regular": Regular}}
"""
SIZE = ("--users", "2", "--rounds", "1", "--heldout", "2")


class Plugin:
    def __init__(self, folder: Path, call) -> None:
        self.folder, self.call = folder, call
        self.write()

    def write(self, version: str = "1", favourite: int = 0) -> None:
        from beliefbench.plugins.sources import forget_plugin_folders

        (self.folder / "trains.py").write_text(PLUGIN.format(version=version))
        (self.folder / "_helper.py").write_text(f"FAVOURITE = {favourite}")
        forget_plugin_folders()  # as another process would

    def run(self) -> tuple[set[int], str]:
        """Run the agent; return what it chooses in all runs, and what was said."""
        status, _, said = self.call(
            *("run", "--domain", "trains", "--agent", "regular", "--plugins", str(self.folder)), *SIZE
        )
        assert status == 0
        runs = [RunStore(file.parent) for file in Path("results").rglob("run.json")]
        return {choice for run in runs for choice in run.rows()["choice"].to_pylist()}, " ".join(said.split())


@pytest.fixture
def plugin(plugin_folder, call) -> Plugin:
    return Plugin(plugin_folder, call)


def test_changed_code_without_a_new_version_is_reused_with_a_warning(plugin):
    chosen, said = plugin.run()
    assert (chosen, "warning" in said) == ({0}, False)
    (record,) = Path("results").rglob("run.json")
    first = json.loads(record.read_text())
    assert set(first["code"]) == {"domain", "agent"}
    assert all(len(digest) == 64 for digest in first["code"].values())
    assert "warning" not in plugin.run()[1]
    plugin.write(favourite=2)
    chosen, said = plugin.run()
    assert chosen == {0}  # of the old code
    assert (
        f"warning: {record.parent} was asked with other code of domain 'trains' and agent 'regular': if the change "
        "matters, raise the version in the plugin, or remove this folder to ask again." in said
    )
    assert json.loads(record.read_text()) == first
    plugin.write(version="2", favourite=2)
    chosen, said = plugin.run()
    assert (chosen, "warning" in said) == ({0, 2}, False)  # another run
    assert {one.parent.name for one in Path("results").rglob("run.json")} > {record.parent.name}


def test_a_stopped_run_that_goes_on_with_other_code_says_so(plugin):
    plugin.run()
    (file,) = Path("results").rglob("run.json")
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {"finished": None}))
    plugin.write(favourite=1)
    for _ in range(2):
        assert f"warning: {file.parent} was asked with other code of domain 'trains'" in plugin.run()[1]
    (session,) = json.loads(file.read_text())["resumed"]
    assert session["code"] != record["code"]
    file.write_text(json.dumps({name: value for name, value in record.items() if name != "code"}))
    assert "warning" not in plugin.run()[1]  # made by a version that kept none


def test_in_python_too(coins, tmp_path, make_pupil, recwarn):
    size = {"users": 2, "rounds": 1, "heldout": 2, "results": tmp_path}
    folder = bb.run(coins, make_pupil(), **size).folder
    assert bb.run(coins, make_pupil(), **size).reused
    assert not recwarn.list
    record = json.loads((folder / "run.json").read_text())
    record["code"]["agent"] = "0" * 64
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.warns(UserWarning, match=r"was asked with other code of agent 'pupil': if the change matters, raise"):
        assert bb.run(coins, make_pupil(), **size).reused


def test_another_version_of_this_package_is_no_change(tmp_path, recwarn):
    folder = bb.run("flights-2", "random", users=2, rounds=1, heldout=2, results=tmp_path).folder
    file = folder / "run.json"
    record = json.loads(file.read_text())
    assert record["code"] == dict.fromkeys(("domain", "agent"), f"beliefbench {bb.__version__}")
    file.write_text(json.dumps(record | {"code": dict.fromkeys(("domain", "agent"), "beliefbench 0.0.1")}))
    assert bb.run("flights-2", "random", users=2, rounds=1, heldout=2, results=tmp_path).changed is None
    assert not recwarn.list


def test_a_report_that_passed_is_kept_until_the_code_of_the_domain_changes(plugin, monkeypatch):
    plugin.run()
    asked = []

    def checked(folder: Path, *more: object) -> Report:
        asked.append(folder)
        return whole(folder, *more)

    whole = several.check_run
    monkeypatch.setattr(several, "check_run", checked)

    def check() -> int:
        status, out, _ = plugin.call("verify", "results", "--plugins", str(plugin.folder))
        assert status == 0
        assert "exact answers" in out
        return len(asked)

    assert [check(), check()] == [1, 1]
    plugin.write(favourite=1)
    assert [check(), check()] == [2, 2]
