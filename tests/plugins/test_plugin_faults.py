"""What is wrong with a plugin is one sentence, from a package as from a file, and harms nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from beliefbench.cli import batch
from beliefbench.cli import main as cli
from beliefbench.plugins.names import load_agent, load_domain, load_suite
from beliefbench.plugins.sources import add_plugin_folder, broken_sources, forget_plugin_folders

SMALL = ("--users", "2", "--rounds", "2", "--heldout", "4")  # as in other tests, which then share what is compiled
TRAINS = """
import dataclasses
import beliefbench as bb, jax.numpy as jnp, numpyro, numpyro.distributions as dist
flights = bb.load_domain("flights-2")
def trains(**changes):
    return dataclasses.replace(flights, **({"name": "trains"} | changes))
def broken(*given):
    raise RuntimeError("no trains today")
"""
DINER = """
import beliefbench as bb
from beliefbench.agents.first import First
class Diner(First):
    name = "diner"
"""


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """``call("list", "agents") -> (exit status, standard output, lines of standard error)``, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str) -> tuple[int, str, list[str]]:
        forget_plugin_folders()  # as in a process of its own
        monkeypatch.setattr(sys, "argv", ["beliefbench", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, [line for line in err.splitlines() if line.startswith("beliefbench: ")]

    return run


@pytest.fixture(params=["package", "file"])
def provide(request, plugin_path, plugin_folder):
    """``provide("domain", "trains", source) -> arguments``: a plugin whose ``thing`` has that name."""

    def write(kind: str, name: str, source: str) -> list[str]:
        if request.param == "file":
            (plugin_folder / "stranger.py").write_text(f'{source}\n{kind.upper()}S = {{"{name}": thing}}\n')
            return ["--plugins", str(plugin_folder)]
        (plugin_path / "stranger.py").write_text(source)
        metadata = plugin_path / "stranger-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[beliefbench.{kind}s]\n{name} = stranger:thing\n")
        return []

    return write


def only(monkeypatch, *domains):
    """Let ``run`` without ``--domain`` mean these, since all there are take long."""
    monkeypatch.setattr(batch, "names", lambda kind: list(domains) if kind == "domain" else ["first"])


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("thing = 1 / 0", "ZeroDivisionError: division by zero."),
        ("def thing(", "SyntaxError: '(' was never closed (stranger.py, line 1)."),
        ("import not_there", "ModuleNotFoundError: No module named 'not_there'."),
        ("raise ValueError('no weights.\\nLook for them.')", "ValueError: no weights."),
        ("import sys; sys.exit('a script')", "SystemExit: a script."),
    ],
)
def test_a_module_that_breaks_is_told_in_a_sentence(provide, call, monkeypatch, source, sentence):
    arguments = provide("domain", "trains", source)
    status, out, err = call("run", "--domain", "trains", *SMALL, *arguments)
    assert (status, out) == (2 if arguments else 1, "")
    # Of a file that did not run nobody knows what it would have brought.
    assert sentence in err[0]
    assert len(err) == (2 if arguments else 1)
    assert not arguments or "there is no domain 'trains'" in err[1]
    only(monkeypatch, "flights-2", *["trains"][len(arguments) // 2 :])
    status, out, err = call("run", *SMALL, "--agent", "first", *arguments)
    assert (status, len(err)) == (0, 1)
    assert "flights-2 (version 1): 2 users" in out
    assert sentence in err[0]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("thing = 'a string'", "is of type str; expected a beliefbench.Domain, or a tuple of them."),
        ("thing = ()", "is of type empty tuple; expected a beliefbench.Domain, or a tuple of them."),
        ("thing = (trains(), 3)", "is of type Domain, int; expected a beliefbench.Domain, or a tuple of them."),
        ("thing = (trains(), trains())", "two of its domains have the name 'trains'; give each its own name."),
        ("thing = trains(version=2)", "cannot be used: its version is 2; expected some text."),
        ("thing = trains(name=None)", "cannot be used: its name is None; expected some text."),
        (
            "thing = trains(features=('price',))",
            "its features are ('price',); expected a tuple of one beliefbench.Feature",
        ),
        ("thing = trains(draw=3)", "cannot be used: it has no function draw."),
        ("thing = trains(name='flights')", "its name is 'flights', which another plugin has already (beliefbench, "),
    ],
)
def test_a_domain_of_a_wrong_kind_is_told_in_a_sentence(provide, call, monkeypatch, source, sentence):
    arguments = provide("domain", "trains", TRAINS + source)
    for command in (["run", *SMALL, "--domain", "trains"], ["check", "trains"]):
        status, out, (error,) = call(*command, *arguments)
        assert (status, out) == (1, "")
        assert error.startswith("beliefbench: error: domain 'trains' (")
        assert sentence in error
    assert load_domain("flights-2").name == "flights-2"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("thing = 3", "is of type int; expected a factory, factory(domain) -> agent."),
        ("thing = lambda domain: None", "its name is None; expected some text (it is of type NoneType)."),
        ("class thing(Diner): version = 2", "its version is 2; expected some text (it is of type thing)."),
        ("class thing(Diner): privileged = 'yes'", "its privileged is 'yes'; expected True or False"),
        ("class thing(Diner): predict = None", "it has no function predict"),
        ("class thing(Diner): users_per_call = 0", "its users_per_call 0; expected"),
        (
            "class thing(Diner): name = 'bayesian'",
            "its name is 'bayesian', which another plugin has already (beliefbench, ",
        ),
        (
            "def thing(domain): raise OSError('no weights.\\nLook.')",
            "agent 'diner' cannot be made: OSError: no weights.",
        ),
    ],
)
def test_an_agent_of_a_wrong_kind_is_told_in_a_sentence(provide, call, monkeypatch, source, sentence):
    arguments = provide("agent", "diner", DINER + source)
    for command in (["run", *SMALL, "--domain", "flights-2", "--agent", "diner"], ["check", "diner"]):
        status, out, (error,) = call(*command, *arguments)
        assert (status, out) == (1, "")
        assert error.startswith("beliefbench: error: agent 'diner' ")
        assert sentence in error
    monkeypatch.setattr(batch, "names", lambda kind: ["diner", "first"])
    status, out, (left_out,) = call("run", *SMALL, "--domain", "flights-2", *arguments)
    assert status == 0
    assert "first" in out
    assert left_out.startswith("beliefbench: agent 'diner' is left out: agent 'diner' ")
    assert call("list", "agents", *arguments)[0] == 0


def test_a_built_in_name_is_refused_to_all_and_every_other_works(provide, call, monkeypatch):
    arguments = provide("domain", "flights-2", TRAINS + "thing = trains()")
    status, out, (error,) = call("run", *SMALL, "--domain", "flights-2", *arguments)
    assert (status, out) == (1, "")
    assert "2 plugins provide a domain 'flights-2' (" in error
    assert "beliefbench, beliefbench.domains.flights:flights_2" in error
    assert "stranger" in error
    assert error.endswith("; uninstall or rename all but one.")
    assert load_domain("flights-4") is load_domain("flights")
    assert load_suite("flights-n")[0].name == "flights-2"
    only(monkeypatch, "flights-2", "flights-3")
    status, out, (left_out,) = call("run", *SMALL, "--agent", "first", *arguments)
    assert status == 0
    assert "flights-3 (version 1)" in out
    assert "domain 'flights-2' is left out: 2 plugins provide" in left_out


MODEL = """
def model(options, choices=None):
    person = numpyro.sample("person", dist.Bernoulli(0.5))
    reward = options[..., 0] * (2 * person - 1)
    {}
    numpyro.sample("choice", dist.Categorical(logits=reward), obs=choices)
thing = trains(model=model, user_model=model)
"""


@pytest.mark.parametrize(
    ("source", "told_by_run", "told_by_check"),
    [
        (
            "thing = trains(draw=lambda key, sets: jnp.zeros((sets, 3, 5)))",
            "domain 'trains': draw(key, 1) gave shape [1, 3, 5]; expected [1, 3, 2], float[sets, 3, features].",
            "FAIL  draw: draw(key, 8) gave shape (8, 3, 5); expected (8, 3, 2).",
        ),
        (
            "thing = trains(draw=broken)",
            "domain 'trains': draw raised RuntimeError: no trains today",
            "FAIL  draw: raised RuntimeError: no trains today.",
        ),
        (
            MODEL.format("raise KeyError('reward')"),
            "trains: its model raised KeyError: 'reward'",
            "FAIL  latent sites: trains: its model raised KeyError: 'reward'",
        ),
        pytest.param(
            "thing = trains(describe=broken)",
            "domain 'trains': describe raised RuntimeError: no trains today",
            "FAIL  describe: raised RuntimeError: no trains today.",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["draws a wrong shape", "draw raises", "model raises", "describe raises"],
)
def test_what_breaks_when_it_is_used_is_told_by_run_and_by_check(
    provide, call, monkeypatch, source, told_by_run, told_by_check
):
    arguments = provide("domain", "trains", TRAINS + source)
    only(monkeypatch, "flights-2", "trains")
    status, out, err = call("run", *SMALL, "--agent", "first", *arguments)
    assert "flights-2 (version 1): 2 users" in out
    assert len(err) == 1
    assert told_by_run in "".join(err)
    assert status == (0 if "left out" in err[0] else 1)
    status, out, err = call("check", "trains", *arguments)
    assert (status, err) == (1, [])
    assert told_by_check in out.splitlines()


@pytest.mark.slow
def test_an_agent_is_checked_on_a_domain_that_works(plugin_folder, call):
    """``aardvarks`` comes first of all, and what is wrong with it is no fault of the agent."""
    source = TRAINS + "DOMAINS = {'aardvarks': trains(name='aardvarks', draw=broken)}"
    (plugin_folder / "aardvarks.py").write_text(source)
    status, out, err = call("check", "first", "--plugins", str(plugin_folder))
    assert (status, err) == (0, [])
    assert "FAIL" not in out


def test_an_agent_that_breaks_when_asked_fails_alone(plugin_folder, call):
    full = "    def predict(self, state, options):\n        raise RuntimeError('full')\n"
    (plugin_folder / "diner.py").write_text(f"{DINER}{full}AGENTS = {{'diner': Diner}}")
    plugins = ["--plugins", str(plugin_folder)]
    status, out, err = call("run", *SMALL, "--domain", "flights-2", "--agent", "diner", "--agent", "first", *plugins)
    assert status == 1
    assert "first" in out
    assert err == ["beliefbench: error: agent 'diner' broke on flights-2: RuntimeError: full"]
    status, out, err = call("check", "diner", *plugins)
    assert (status, err) == (1, [])
    assert "FAIL  answers: raised RuntimeError: full." in out.splitlines()


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("missing", "plugin folder 'missing' is not a folder; name one that holds plugin files (*.py)."),
        ("empty", "plugin folder 'empty' has no plugin file (*.py); name a folder that has one."),
        ("a_file.py", "plugin folder 'a_file.py' is not a folder; name one that holds plugin files (*.py)."),
    ],
)
def test_a_folder_without_plugins_is_a_wrong_call(call, folder, sentence):
    Path("empty").mkdir()
    Path("empty", "__init__.py").touch()
    Path("a_file.py").touch()
    assert call("list", "agents", "--plugins", folder) == (2, "", [f"beliefbench: error: {sentence}"])


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("x = 1", 'it has neither DOMAINS = {"name": domain} nor AGENTS = {"name": factory}.'),
        ("DOMAINS = ['trains']", "DOMAINS is ['trains']; expected a dict from names to objects."),
        ("AGENTS = {1: 2}", "AGENTS is {1: 2}; expected a dict from names to objects."),
    ],
)
def test_a_file_that_brings_nothing_is_named_and_the_others_are_read(plugin_folder, call, source, sentence):
    (plugin_folder / "a_first.py").write_text(source)
    (plugin_folder / "diner.py").write_text(f"{DINER}AGENTS = {{'diner': Diner}}")
    status, out, (warning,) = call("list", "agents", "--plugins", str(plugin_folder))
    assert status == 0
    assert "diner" in out
    assert warning == f"beliefbench: warning: plugin file '{plugin_folder / 'a_first.py'}' provides nothing: {sentence}"


def test_a_file_that_asks_for_a_domain_is_run_once(plugin_folder, capsys):
    (plugin_folder / "trains.py").write_text(f"{TRAINS}print('run')\nDOMAINS = {{'trains': trains()}}")
    add_plugin_folder(plugin_folder)
    assert load_domain("trains").name == "trains"
    assert broken_sources() == []
    assert capsys.readouterr().out == "run\n"


def test_a_misspelt_domain_of_a_suite_is_answered_by_check_too(call):
    status, out, (error,) = call("check", "webshop-bakpacks")
    assert (status, out) == (2, "")
    assert "there is no domain or agent 'webshop-bakpacks'; did you mean 'webshop-backpacks'?" in error


@pytest.mark.slow
def test_new_code_under_a_new_version_never_reuses_rows(plugin_folder, call):
    """Rows of the old version stay as they are, beside those of the new one."""
    plugin = (
        f"{TRAINS}{DINER}    version = 'A'\nDOMAINS = {{'trains': trains(version='D')}}\nAGENTS = {{'diner': Diner}}"
    )
    command = ("run", *SMALL, "--domain", "trains", "--agent", "diner", "--plugins", str(plugin_folder))

    def run(domain: str, agent: str) -> dict[Path, int]:
        (plugin_folder / "stranger.py").write_text(plugin.replace("'D'", f"'{domain}'").replace("'A'", f"'{agent}'"))
        assert call(*command)[0] == 0
        return {rows: rows.stat().st_mtime_ns for rows in Path("results").rglob("rows.parquet")}

    first = run("1", "1")
    assert run("1", "1") == first
    second = run("2", "1")
    third = run("2", "2")
    assert [len(found) for found in (first, second, third)] == [1, 2, 3]
    assert first.items() <= second.items() <= third.items()
    assert load_agent("diner", load_domain("trains")).version == "2"
