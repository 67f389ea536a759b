"""SPECs: what they mean, that any name can be written, and what is said of those that are wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import beliefbench as bb
from beliefbench.plugins.names import load_agent
from beliefbench.plugins.settings import as_spec, format_spec, parse_spec
from beliefbench.plugins.sources import add_plugin_folder

TEXT = st.text(st.sampled_from("\",=:| \\/'é模\n\t~$#") | st.characters(), max_size=12)
KEYS = st.sampled_from(["dtype", "adapter", "revision", "q"])


@settings(max_examples=500, deadline=None)
@given(TEXT.filter(bool), st.none() | TEXT.filter(bool), st.dictionaries(KEYS, TEXT, max_size=3))
def test_any_name_model_and_value_can_be_written_and_read_back(name, model, options):
    assert parse_spec(format_spec(name, model, options)) == (name, model, options)


@settings(max_examples=500, deadline=None)
@given(TEXT)
def test_a_spec_without_quotes_means_what_it_meant_before_there_were_quotes(text):
    model = text.replace(",", "").strip().lstrip('"')
    assert parse_spec(f"agent:{model},key={model}") == ("agent", model or None, {"key": model})


@pytest.mark.parametrize(
    ("spec", "parsed"),
    [
        ('prompted:"a,b"', ("prompted", "a,b", {})),
        ('prompted:"a,b",dtype=float32', ("prompted", "a,b", {"dtype": "float32"})),
        ('prompted:m,adapter="/lora/r=8,alpha=16"', ("prompted", "m", {"adapter": "/lora/r=8,alpha=16"})),
        ('prompted:"say ""hi"", twice"', ("prompted", 'say "hi", twice', {})),
        ('prompted:""""', ("prompted", '"', {})),
        ('prompted:a"b', ("prompted", 'a"b', {})),
        (r'prompted:"C:\models\my model, v2"', ("prompted", r"C:\models\my model, v2", {})),
        (r"prompted:C:\models\x=1", ("prompted", r"C:\models\x=1", {})),
        ("prompted:/models/a b|c=d'é模🙂", ("prompted", "/models/a b|c=d'é模🙂", {})),
        ('prompted:" spaced "', ("prompted", " spaced ", {})),
        ("prompted: m ,dtype=x", ("prompted", " m ", {"dtype": "x"})),
        ('"a,b":m', ("a,b", "m", {})),
        ('prompted:""', ("prompted", None, {})),
    ],
)
def test_quotes(spec, parsed):
    assert parse_spec(spec) == parsed


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ('prompted:"a,b', "the double quote before 'a,b' is not closed"),
        ('prompted:m,adapter="a,b', "the double quote before 'a,b' is not closed"),
        ('prompted:"a""', "the double quote before 'a\"\"' is not closed"),
        ('prompted:"a"b', "'b' follows a closing double quote"),
        ('prompted:m,adapter="a" ,dtype=x', "' ,dtype=x' follows a closing double quote"),
        ("prompted:/models/a,b", "put double quotes around a MODEL or a value that contains a comma"),
    ],
)
def test_wrong_quotes_are_one_sentence(spec, said):
    with pytest.raises(bb.UsageError) as error:
        parse_spec(spec)
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert f"agent '{spec}'" in str(error.value)


@pytest.mark.parametrize("name", ["random", "lowest:duration", "endpoint:a,b", 'endpoint:"a', "endpoint:o/m:7b,q=4"])
def test_an_agents_own_name_is_a_spec(name):
    plain, model, options = parse_spec(as_spec(name))
    if as_spec(name) != name:
        assert (plain, model, options) == (*name.split(":", 1), {})


DOMAIN = """
import dataclasses, beliefbench as bb
def vary(**settings):
    return bb.load_domain("flights-2")
DOMAINS = {"trains": dataclasses.replace(bb.load_domain("flights-2"), name="trains", vary=vary)}
"""


def test_a_domain_with_quoted_settings_is_found_again_by_its_name(plugin_folder):
    (plugin_folder / "trains.py").write_text(DOMAIN)
    add_plugin_folder(plugin_folder)
    domain = bb.load_domain('trains,b=1,a="x, ""y"""')
    assert domain.name == 'trains,a="x, ""y""",b=1'
    assert bb.load_domain(domain.name).name == domain.name


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("openai:gpt-4o", ["endpoint:gpt-4o"]),
        ("openai/gpt-4o", ["endpoint:gpt-4o"]),
        ("OpenAI:o3-mini,n=4", ["endpoint:o3-mini,n=4"]),
        ("ollama:llama3", ["endpoint:llama3"]),
        ("ollama/llama3:8b", ["endpoint:llama3:8b"]),
        ("vllm:Qwen/Qwen3-8B", ["endpoint:Qwen/Qwen3-8B"]),
        ("gpt-4o", ["endpoint:gpt-4o"]),
        ("claude-opus-4", ["endpoint:claude-opus-4"]),
        ("hf:gpt2", ["prompted:gpt2"]),
        ('hf:"a,b",dtype=float32', ['prompted:"a,b",dtype=float32']),
        ("hf/gpt2", ["prompted:gpt2"]),
        ("/models/llama", ["prompted:/models/llama"]),
        ("./model.gguf", ["prompted:./model.gguf"]),
        (r"C:\models\llama", [r"prompted:C:\models\llama"]),
        ("meta-llama/Llama-3-8B", ["prompted:meta-llama/Llama-3-8B", "endpoint:meta-llama/Llama-3-8B"]),
        ("openai/gpt-oss-20b", ["prompted:openai/gpt-oss-20b", "endpoint:openai/gpt-oss-20b"]),
        ("gpt2", ["prompted:gpt2", "endpoint:gpt2"]),
        ("llama3:8b", ["prompted:llama3:8b", "endpoint:llama3:8b"]),
    ],
)
def test_specs_of_other_tools_answer_with_the_one_that_was_meant(flights, spec, meant):
    with pytest.raises(bb.UsageError) as error:
        load_agent(spec, flights)
    assert [f"'{one}'" in str(error.value) for one in meant] == [True] * len(meant)
    assert str(error.value).count("write '") == 1
    assert len(str(error.value).splitlines()) == 1
    assert parse_spec(meant[0])[0] in bb.list_agents()


def test_the_commands_say_so_too(call):
    for command in (("run", "--agent", "openai:gpt-4o"), ("check", "openai:gpt-4o")):
        status, _, said = call(*command)
        assert (status, "write 'endpoint:gpt-4o'" in said) == (2, True), said


def test_a_misspelt_agent_is_no_model(flights):
    with pytest.raises(bb.UsageError, match="did you mean 'prompted'"):
        load_agent("promptd:gpt2", flights)


@pytest.mark.parametrize("path", [r"C:\models\llama", r"models\llama", r"\\server\models\llama", "/models/not, there"])
def test_a_path_that_is_not_there_is_not_looked_for_on_hugging_face(flights, path):
    with pytest.raises(bb.UsageError, match="there is no model folder or GGUF file"):
        load_agent(format_spec("prompted", path), flights)


def test_two_checkpoints_of_one_name_are_told_apart_while_they_run(plugin_folder, call):
    (plugin_folder / "echo.py").write_text(ECHO)
    agents = [argument for spec in ("echo:a/m", 'echo:"b,c/m"') for argument in ("--agent", spec)]
    size = ("--domain", "flights-2", "--users", "3", "--rounds", "2", "--heldout", "4")
    status, out, said = call("run", *size, *agents, "--plugins", str(plugin_folder))
    assert status == 0, said
    assert "flights-2  echo:a/m" in said
    assert "echo:m (a/m)" in out
    assert "echo:m (b,c/m)" in out


ECHO = """
import hashlib
from beliefbench.agents.first import First

class Echo(First):
    name = "echo:m"
    def __init__(self, domain, model):
        self.model = model
    def identity(self):
        return {"weights": hashlib.sha256(self.model.encode()).hexdigest()}

AGENTS = {"echo": Echo}
"""
