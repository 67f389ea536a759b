"""Domains and agents by name: built-in ones and plugins, from all `beliefbench.plugins.sources`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from importlib.metadata import entry_points
from inspect import Parameter, getdoc, signature
from typing import Any, cast

from beliefbench.agent import Agent
from beliefbench.domain import Domain
from beliefbench.errors import BeliefBenchError, UsageError, first_line, guarded, in_short, let_pass, unknown_name
from beliefbench.plugins.members import wrong_agent, wrong_domain
from beliefbench.plugins.settings import parse_spec, varied_suite
from beliefbench.plugins.sources import Kind, Source, source_of, sources

MEANT = "beliefbench.meant"
"""Entry points of functions (name, model, options) -> UsageError or None that know SPECs of other tools."""


def names(kind: Kind) -> list[str]:
    """Return the names that may be asked for, sorted; a suite is one name. Loads nothing.

    >>> "flights" in names("domain")
    True
    """
    return sorted({source.name for source in sources(kind)})


def list_domains() -> list[str]:
    """Return the names of the domains and suites that are installed, sorted. Loads none of them.

    >>> [name for name in list_domains() if name.startswith("webshop")]
    ['webshop']
    """
    return names("domain")


def list_agents() -> list[str]:
    """Return the names of the agents that are installed, sorted. Loads none of them.

    >>> "bayesian" in list_agents()
    True
    """
    return names("agent")


def load_domain(name: str) -> Domain:
    """Return a domain by its SPEC: ``NAME`` or ``NAME,key=value,...``; a suite's domains are ``SUITE-NAME``.

    Raises
    ------
    UsageError
        If there is no such domain, the name is a suite, or the domain has no such setting.
    BeliefBenchError
        If more than one plugin provides it, or the one that does cannot be loaded, or gives something else.

    >>> load_domain("flights").item
    'Flight'
    >>> load_domain("flights,user_lapse=0.2").name
    'flights,user_lapse=0.2'
    """
    found = load_suite(name)
    if len(found) > 1:
        raise UsageError(f"'{name.strip()}' is a suite of {len(found)} domains; name one: {_listed(found)}.")
    return found[0]


def load_suite(name: str) -> tuple[Domain, ...]:
    """Return the domains of a suite by its SPEC, its settings applied to each; a domain is a suite of one.

    Raises as `load_domain`.

    >>> [domain.name for domain in load_suite("flights-n")][:3]
    ['flights-2', 'flights-3', 'flights']
    """
    spec = name.strip()
    name, model, settings = parse_spec(spec, "domain")
    if model is not None:
        raise UsageError(f"domain '{spec}': a domain has no MODEL; write {name},key=value for a setting.")
    domains = _members(name)
    return varied_suite(spec, domains) if settings else domains


def _members(name: str) -> tuple[Domain, ...]:
    """Return the domain or the domains of the suite of that name; a domain of a suite by its own name."""
    if name in names("domain"):
        source = source_of("domain", name)
        found = source.loaded()
        domains = found if isinstance(found, tuple) else (found,)
        if not domains or not all(isinstance(one, Domain) for one in domains):
            kind = ", ".join(sorted({type(one).__name__ for one in domains})) or "empty tuple"
            raise BeliefBenchError(
                f"domain '{name}' ({source.origin}) is of type {kind}; expected a beliefbench.Domain, or a tuple of "
                "them."
            )
        if wrong := _wrong_domains(domains, name):
            raise BeliefBenchError(f"domain '{name}' ({source.origin}) cannot be used: {wrong}.")
        return domains
    for suite in _suites(name):
        for domain in _members(suite):
            if domain.name == name:
                return (domain,)
    raise unknown_name("domain", name, known_domains(name))


def known_domains(name: str) -> list[str]:
    """Return the names of all domains and suites, and of the domains in suites that a name begins with.

    >>> [one for one in known_domains("webshop-backpack") if one.startswith("webshop-b")]
    ['webshop-backpacks']
    """
    known = set(names("domain"))
    for suite in _suites(name):
        with suppress(BeliefBenchError):  # a suite that is broken hides no other
            known |= {domain.name for domain in _members(suite)}
    return sorted(known)


def is_domain(spec: str) -> bool:
    """Return True if a SPEC begins with the name of a domain or a suite.

    >>> is_domain("webshop-backpacks,user_lapse=0.1"), is_domain("random")
    (True, False)
    """
    name = parse_spec(spec, "domain")[0]
    return name in known_domains(name)


def _suites(name: str) -> list[str]:
    return [one for one in names("domain") if name.startswith(f"{one}-")]


def _wrong_domains(domains: tuple[Domain, ...], name: str) -> str:
    """Return the fault that makes domains unusable, or nothing; `checking.domain_contract` checks the rest."""
    known, seen = sources("domain"), set()
    for domain in domains:
        if wrong := wrong_domain(domain):
            return wrong
        if domain.name in seen:
            return f"two of its domains have the name '{domain.name}'; give each its own name"
        seen.add(domain.name)
        others = [source for source in known if source.name == domain.name != name]
        if others and not any(source.brings(domain) for source in others):
            return _taken(others[0])
    return ""


def _wrong_agent(agent: Any, name: str) -> str:
    """Return the fault that makes an agent unusable, or nothing; `checking.agent_contract` checks the rest."""
    if wrong := wrong_agent(agent):
        return wrong
    plain = agent.name.partition(":")[0]
    others = [source for source in sources("agent") if source.name == plain != name]
    return _taken(others[0]) if others else ""


def _taken(other: Source) -> str:
    return (
        f"its name is '{other.name}', which another plugin has already ({other.origin}), so their runs could not be "
        "told apart; give it another name"
    )


def load_agent(spec: str, domain: Domain) -> Agent:
    """Return an agent for a domain by its SPEC: ``NAME``, ``NAME:MODEL`` or ``NAME:MODEL,key=value,...``.

    A MODEL or a value with a comma needs double quotes (`beliefbench.plugins.settings.parse_spec`).

    Raises
    ------
    UsageError
        If there is no such agent, or it refuses the domain, the model or an option.
    BeliefBenchError
        If more than one plugin provides it, or the one that does cannot be loaded, or gives something else.

    >>> load_agent("bayesian", load_domain("flights")).name
    'bayesian'
    """
    name, model, options = parse_spec(spec)
    source, factory, takes = _factory(agent_source(spec))
    given = options if model is None else {"model": model, **options}
    for option in given:
        if option not in takes and not any(one.kind is Parameter.VAR_KEYWORD for one in takes.values()):
            asked = f"the model '{model}'" if option == "model" else f"the option '{option}'"
            raise UsageError(f"agent '{spec}': {name} does not take {asked}; it takes {', '.join(takes) or 'nothing'}.")
    missing = [option for option in _required(takes) if option not in given]
    if missing:
        raise UsageError(f"agent '{spec}': {name} needs {', '.join(missing)}; write {name}:MODEL or {name},key=value.")
    try:
        agent = factory(domain, **given)
    except ValueError as error:
        raise UsageError(f"agent '{spec}' cannot be made: {first_line(error)}.") from error
    except BeliefBenchError:
        raise
    except BaseException as error:  # a plugin's factory may raise anything
        let_pass(error)
        raise BeliefBenchError(f"agent '{spec}' cannot be made: {in_short(error)}.") from error
    with guarded(f"agent '{spec}' ({source.origin}) cannot be used: asking what it is raised"):
        wrong = _wrong_agent(agent, name)
    if wrong:
        raise BeliefBenchError(f"agent '{spec}' ({source.origin}) cannot be used: {wrong}.")
    return cast(Agent, agent)


def agent_source(spec: str) -> Source:
    """Return the source of the agent of a SPEC.

    Raises
    ------
    UsageError
        If there is no such agent. If the SPEC names a language model as other tools do, the error has the right SPEC.
    BeliefBenchError
        If more than one plugin provides it.
    """
    name, model, options = parse_spec(spec)
    known = names("agent")
    misspelt = name in known or get_close_matches(name, known, n=1, cutoff=0.8)
    if not misspelt and (error := spec_meant(name, model, options)):
        raise error
    return source_of("agent", name)


def spec_meant(name: str, model: str | None, options: Mapping[str, str]) -> UsageError | None:
    """Return the error with the SPEC that was meant by one that names no agent, from the entry points
    ``beliefbench.meant``; None if none of them knows it.

    Parameters
    ----------
    name, model, options
        The SPEC, parsed.
    """
    for point in entry_points(group=MEANT):
        try:
            error: UsageError | None = point.load()(name, model, options)
        except BaseException as broken:  # a hint of a plugin that breaks is no hint
            let_pass(broken)
            continue
        if error is not None:
            return error
    return None


def stands_alone(name: str) -> bool:
    """Return True if an agent needs no model and no option.

    >>> stands_alone("random"), stands_alone("lowest")
    (True, False)
    """
    return not _required(_factory(source_of("agent", name))[2])


def factory_doc(name: str) -> str | None:
    """Return the docstring of an agent's factory, on one line.

    >>> factory_doc("random")
    'The same probability for all options, and one of them at random: accuracy 1/3 and log score ln 3 on average.'
    """
    return getdoc(_factory(source_of("agent", name))[1])


def _factory(source: Source) -> tuple[Source, Callable[..., Any], dict[str, Parameter]]:
    """Return an agent's source, its factory, and the factory's parameters besides the domain."""
    factory = source.loaded()
    try:
        return source, factory, dict(list(signature(factory).parameters.items())[1:])
    except (TypeError, ValueError) as error:
        raise BeliefBenchError(
            f"agent '{source.name}' ({source.origin}) is of type {type(factory).__name__}; expected a factory, "
            "factory(domain) -> agent."
        ) from error


def _listed(domains: tuple[Domain, ...]) -> str:
    return ", ".join(domain.name for domain in domains)


def _required(options: dict[str, Parameter]) -> list[str]:
    variadic = (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
    return [name for name, one in options.items() if one.default is Parameter.empty and one.kind not in variadic]
