"""Plugins, built in or anybody's: found by entry point, loaded alone, and named when they are wrong."""

from importlib.metadata import entry_points
from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.cli import batch
from beliefbench.plugins.names import load_agent, load_domain, load_suite, names
from beliefbench.plugins.settings import parse_spec
from beliefbench.plugins.sources import add_plugin_folder


def install(site: Path, package: str, entry_points: str, **modules: str) -> None:
    """Put a package where Python finds it: its modules, and its metadata as pip would write it."""
    metadata = site / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    for name, source in modules.items():
        (site / f"{name}.py").write_text(source)


A_DOMAIN = """
import dataclasses, beliefbench as bb
domain = dataclasses.replace(bb.load_domain("flights"), name="trains")
"""

AN_AGENT = """
from beliefbench.agents.first import First

class Echo(First):
    name = "echo"
    def __init__(self, domain, model=None, volume="1"):
        if volume == "11":
            raise ValueError("volume goes to 10")
        if volume == "broken":
            raise KeyError("volume")
        self.domain, self.model, self.volume = domain, model, volume
"""


def test_the_built_in_names_are_registered():
    assert "flights" in names("domain")
    assert {"bayesian", "bayesian-mean", "cheapest", "oracle", "prompted", "random"} <= set(names("agent"))


def test_built_ins_come_through_the_same_groups_as_anybodys():
    values = {point.value for kind in ("domains", "agents") for point in entry_points(group=f"beliefbench.{kind}")}
    assert "beliefbench.domains.flights:flights" in values
    assert "beliefbench.agents.random:Random" in values


def test_a_strangers_domain_and_agent_are_found(plugin_path, flights):
    install(
        plugin_path,
        "strangers",
        "[beliefbench.domains]\ntrains = stranger_domain:domain\n[beliefbench.agents]\necho = stranger_agent:Echo\n",
        stranger_domain=A_DOMAIN,
        stranger_agent=AN_AGENT,
    )
    assert {"trains", "flights"} <= set(names("domain"))
    domain = load_domain("trains")
    assert (domain.name, domain.item) == ("trains", "Flight")
    agent = load_agent("echo:louder,volume=3", domain)
    assert (agent.domain, agent.model, agent.volume) == (domain, "louder", "3")
    assert load_agent("echo", domain).model is None
    assert load_agent("echo,volume=2", domain).volume == "2"


def test_a_domain_is_loaded_once(flights):
    assert load_domain("flights") is load_domain(" flights ") is flights


@pytest.mark.parametrize(
    ("wrong", "near"), [("flihgts", "flights"), ("flight", "flights"), ("Flights", "flights"), ("fligths", "flights")]
)
def test_an_unknown_domain_answers_with_the_nearest(wrong, near):
    with pytest.raises(bb.UsageError, match=f"there is no domain '{wrong}'; did you mean '{near}'"):
        load_domain(wrong)


@pytest.mark.parametrize(
    ("wrong", "near"), [("bayes", "bayesian"), ("bayesian-men", "bayesian-mean"), ("promted:smollm2", "prompted")]
)
def test_an_unknown_agent_answers_with_the_nearest(flights, wrong, near):
    with pytest.raises(bb.UsageError, match=f"there is no agent '{wrong.partition(':')[0]}'; did you mean '{near}'"):
        load_agent(wrong, flights)


def test_a_name_like_no_other_answers_with_all_there_are():
    with pytest.raises(bb.UsageError, match=r"there is no domain 'qqq'; known are .*flights"):
        load_domain("qqq")


@pytest.mark.parametrize("source", ["import not_there", "1 / 0", "def broken(", "raise SystemError('no')"])
def test_a_broken_plugin_fails_alone_and_with_its_own_error(plugin_path, source):
    broken = "[beliefbench.domains]\nbroken = broken_module:domain\n"
    install(plugin_path, "broken-package", broken, broken_module=source)
    assert "broken" in names("domain")
    assert load_domain("flights").name == "flights"
    with pytest.raises(
        bb.BeliefBenchError, match=r"domain 'broken' \(broken-package, broken_module:domain\) cannot"
    ) as error:
        load_domain("broken")
    assert not isinstance(error.value, bb.UsageError)
    assert type(error.value.__cause__).__name__ in str(error.value)


def test_a_plugin_that_names_nothing_says_so(plugin_path):
    install(plugin_path, "hollow", "[beliefbench.domains]\nhollow = hollow_module:domain\n", hollow_module="")
    with pytest.raises(bb.BeliefBenchError, match=r"domain 'hollow' .* cannot be loaded: AttributeError"):
        load_domain("hollow")


def test_two_plugins_of_one_name_are_an_error_that_names_both(plugin_path, flights):
    install(plugin_path, "first-package", "[beliefbench.agents]\necho = echo_a:Echo\n", echo_a=AN_AGENT)
    install(plugin_path, "second-package", "[beliefbench.agents]\necho = echo_b:Echo\n", echo_b=AN_AGENT)
    with pytest.raises(bb.BeliefBenchError, match=r"2 plugins provide an agent 'echo'") as error:
        load_agent("echo", flights)
    assert "first-package" in str(error.value)
    assert "second-package" in str(error.value)


def test_a_plugin_cannot_take_a_built_in_name(plugin_path):
    install(plugin_path, "usurper", "[beliefbench.domains]\nflights = usurping:domain\n", usurping=A_DOMAIN)
    with pytest.raises(bb.BeliefBenchError, match=r"2 plugins provide a domain 'flights' .*usurper.*uninstall"):
        load_domain("flights")


def test_a_domain_that_is_something_else_is_named_by_type(plugin_path):
    install(plugin_path, "odd", "[beliefbench.domains]\nodd = odd_module:domain\n", odd_module="domain = 'a string'")
    with pytest.raises(
        bb.BeliefBenchError, match=r"domain 'odd' \(.*\) is of type str; expected a beliefbench\.Domain"
    ):
        load_domain("odd")


def test_what_an_agent_refuses_is_a_wrong_call_and_what_breaks_it_is_not(plugin_path, flights):
    install(plugin_path, "strangers", "[beliefbench.agents]\necho = echo_agent:Echo\n", echo_agent=AN_AGENT)
    with pytest.raises(bb.UsageError, match="volume goes to 10"):
        load_agent("echo,volume=11", flights)
    with pytest.raises(bb.UsageError, match="pitch"):
        load_agent("echo,pitch=3", flights)
    with pytest.raises(bb.BeliefBenchError, match="KeyError") as error:
        load_agent("echo,volume=broken", flights)
    assert not isinstance(error.value, bb.UsageError)


@pytest.mark.parametrize("spec", ["bayesian:large", "random,seed=3", "lowest", "lowest:colour", "cheapest:price,x=1"])
def test_a_built_in_agent_refuses_what_it_does_not_take(flights, spec):
    with pytest.raises(bb.UsageError, match=f"agent '{spec}'"):
        load_agent(spec, flights)


TRAINS = """
import dataclasses, beliefbench as bb
def trains(name, vary):
    return dataclasses.replace(bb.load_domain("flights-2"), name=name, vary=vary)
def broken(**settings):
    raise KeyError("fast")
def refuse(**settings):
    raise ValueError("no setting fast.")
DOMAINS = {
    "trains": trains("trains", broken),
    "trams": trains("trams", lambda **settings: 3),
    "buses": trains("buses", refuse),
}
"""


def test_a_wrong_setting_is_told_in_a_sentence(plugin_folder):
    (plugin_folder / "trains.py").write_text(TRAINS)
    add_plugin_folder(plugin_folder)
    with pytest.raises(bb.BeliefBenchError, match=r"domain 'trains,fast=1' cannot be made: KeyError: 'fast'\.$"):
        load_domain("trains,fast=1")
    with pytest.raises(
        bb.BeliefBenchError, match=r"cannot be made: TypeError: vary gave int; expected a beliefbench\.Dom"
    ):
        load_domain("trams,fast=1")
    with pytest.raises(bb.UsageError, match=r"domain 'buses,fast=1' cannot be made: no setting fast\.$"):
        load_domain("buses,fast=1")


def test_a_suite_is_asked_for_by_its_name_or_by_its_domains():
    with pytest.raises(bb.UsageError, match=r"'webshop' is a suite of \d+ domains; name one: webshop-backpacks, "):
        load_domain("webshop")
    backpacks = load_suite("webshop")[0]
    assert load_domain("webshop-backpacks") is backpacks
    with pytest.raises(bb.UsageError, match="no domain 'webshop-bakpacks'; did you mean 'webshop-backpacks'"):
        load_domain("webshop-bakpacks")
    noisy = load_suite("webshop,user_lapse=0.1")
    assert [domain.name for domain in noisy] == [f"{domain.name},user_lapse=0.1" for domain in load_suite("webshop")]
    assert load_suite("webshop,user_lapse=0.1")[0] is noisy[0]  # what was compiled for it is used again
    assert noisy[0].identity() != backpacks.identity()
    with pytest.raises(bb.UsageError, match="no setting 'noise'"):
        load_suite("webshop,noise=0.1")


@pytest.mark.parametrize(
    ("spec", "parsed"),
    [
        ("random", ("random", None, {})),
        ("  random ", ("random", None, {})),
        ("prompted:smollm2", ("prompted", "smollm2", {})),
        ("prompted:org/model-7B", ("prompted", "org/model-7B", {})),
        ("prompted:http://localhost:8000/v1", ("prompted", "http://localhost:8000/v1", {})),
        ("prompted:smollm2,dtype=float32,words=", ("prompted", "smollm2", {"dtype": "float32", "words": ""})),
        ("prompted:m,url=http://a/?q=1", ("prompted", "m", {"url": "http://a/?q=1"})),
        ("echo,volume=2", ("echo", None, {"volume": "2"})),
        ("echo:", ("echo", None, {})),
    ],
)
def test_specs(spec, parsed):
    assert parse_spec(spec) == parsed


@pytest.mark.parametrize("spec", ["prompted:m,float32", "prompted:m,", "prompted:m,=x", "prompted:m,a b=1"])
def test_a_setting_that_is_no_key_and_value_is_a_wrong_call(spec):
    with pytest.raises(bb.UsageError, match="expected key=value after the comma"):
        parse_spec(spec)


@pytest.mark.parametrize("spec", ["flights,model=x", "hotels,temperature=1,model=x"])
def test_a_domain_with_a_model_is_told(spec):
    with pytest.raises(bb.UsageError, match="a domain has no MODEL; leave model= out"):
        bb.load_domain(spec)


def test_a_misspelt_agent_is_told_before_any_domain_is_loaded(call, monkeypatch):
    monkeypatch.setattr(batch, "load_suite", lambda name: pytest.fail(f"{name} was loaded"))
    status, out, error = call("run", "--agent", "randm")
    assert (status, out) == (2, "")
    assert "there is no agent 'randm'; did you mean 'random'?" in error
