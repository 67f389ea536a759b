"""Finding domains and agents, the built-in ones and anybody's, through entry points."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import Parameter, getdoc, signature
from typing import Any, Literal, cast

from bench.agent import Agent
from bench.domain import Domain
from bench.errors import BeliefBenchError, UsageError, unknown_name

Kind = Literal["domain", "agent"]


def names(kind: Kind) -> list[str]:
    """Return the registered names, sorted, without loading any.

    >>> "flights" in names("domain")
    True
    """
    return sorted({point.name for point in entry_points(group=f"beliefbench.{kind}s")})


def load_domain(name: str) -> Domain:
    """Return a domain by its SPEC: ``NAME`` or ``NAME,key=value,...``.

    Raises
    ------
    UsageError
        Where no domain, or more than one, has that name, or it does not have a setting.
    BeliefBenchError
        Where the plugin that provides it cannot be loaded.

    >>> load_domain("flights").item
    'Flight'
    >>> load_domain("flights,user_lapse=0.2").name
    'flights,user_lapse=0.2'
    """
    return _load_domain(name.strip())


@cache
def _load_domain(spec: str) -> Domain:
    name, model, settings = parse_spec(spec, "domain")
    if model is not None:
        raise UsageError(f"domain '{spec}': a domain has no MODEL; write {name},key=value for a setting.")
    domain = _load("domain", name)
    if not isinstance(domain, Domain):
        raise BeliefBenchError(
            f"the entry point of domain '{name}' is of type {type(domain).__name__}; expected a bench.Domain."
        )
    if not settings:
        return domain
    if domain.vary is None:
        raise UsageError(f"domain '{spec}': {name} has no settings.")
    try:
        return domain.vary(**settings)
    except ValueError as error:
        raise UsageError(f"domain '{spec}' cannot be made: {error}.") from error


def load_agent(spec: str, domain: Domain) -> Agent:
    """Return an agent for a domain by its SPEC: ``NAME``, ``NAME:MODEL`` or ``NAME:MODEL,key=value,...``.

    Raises
    ------
    UsageError
        Where no agent, or more than one, has that name, or it refuses the model or an option.
    BeliefBenchError
        Where the plugin that provides it cannot be loaded.

    >>> load_agent("bayesian", load_domain("flights")).name
    'bayesian'
    """
    name, model, options = parse_spec(spec)
    factory = _load("agent", name)
    given = options if model is None else {"model": model, **options}
    takes = _options_of(factory)
    for option in given:
        if option not in takes and not any(one.kind is Parameter.VAR_KEYWORD for one in takes.values()):
            asked = f"the model '{model}'" if option == "model" else f"the option '{option}'"
            raise UsageError(f"agent '{spec}': {name} does not take {asked}; it takes {', '.join(takes) or 'nothing'}.")
    missing = [option for option in _required(takes) if option not in given]
    if missing:
        raise UsageError(f"agent '{spec}': {name} needs {', '.join(missing)}; write {name}:MODEL or {name},key=value.")
    try:
        return cast(Agent, factory(domain, **given))
    except ValueError as error:
        raise UsageError(f"agent '{spec}' cannot be made: {error}.") from error
    except BeliefBenchError:
        raise
    except Exception as error:
        raise BeliefBenchError(f"agent '{spec}' cannot be made: {type(error).__name__}: {error}") from error


def stands_alone(name: str) -> bool:
    """Tell whether an agent can be made by its name alone, with no model and no option.

    >>> stands_alone("random"), stands_alone("lowest")
    (True, False)
    """
    return not _required(_options_of(_load("agent", name)))


def factory_doc(name: str) -> str | None:
    """Return what an agent's factory says of itself.

    >>> factory_doc("random")
    'Accuracy 1/3 and log score ln 3 in expectation: the floor under every other row.'
    """
    return getdoc(_load("agent", name))


def parse_spec(spec: str, kind: Kind = "agent") -> tuple[str, str | None, dict[str, str]]:
    """Split a SPEC into name, model and options.

    >>> parse_spec("prompted:smollm2,dtype=float32")
    ('prompted', 'smollm2', {'dtype': 'float32'})
    >>> parse_spec("random")
    ('random', None, {})
    """
    head, *settings = spec.strip().split(",")
    name, _, model = head.partition(":")
    options = {}
    for setting in settings:
        option, equals, value = setting.partition("=")
        if not (option.isidentifier() and equals):
            raise UsageError(f"{kind} '{spec}': expected key=value after the comma, got '{setting}'.")
        if option in options or option == "model":
            raise UsageError(f"{kind} '{spec}': '{option}' is given twice, or is the MODEL that goes before the comma.")
        options[option] = value
    return name, model or None, options


def _load(kind: Kind, name: str) -> Any:
    found = list(entry_points(group=f"beliefbench.{kind}s", name=name))
    if not found:
        raise unknown_name(kind, name, names(kind))
    if len({point.value for point in found}) > 1:
        raise UsageError(
            f"{len(found)} packages provide {'an' if kind == 'agent' else 'a'} {kind} '{name}' "
            f"({', '.join(_origin(point) for point in found)}); uninstall all but one."
        )
    try:
        return found[0].load()
    except Exception as error:
        raise BeliefBenchError(
            f"{kind} '{name}' ({_origin(found[0])}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def _options_of(factory: Callable[..., Any]) -> dict[str, Parameter]:
    """Return what a factory takes beside the domain."""
    return dict(list(signature(factory).parameters.items())[1:])


def _required(options: dict[str, Parameter]) -> list[str]:
    variadic = (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
    return [name for name, one in options.items() if one.default is Parameter.empty and one.kind not in variadic]


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name if point.dist else 'unknown package'}, {point.value}"
