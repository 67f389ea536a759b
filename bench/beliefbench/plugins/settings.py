"""SPECs: a name, a model and settings in one string; and domains with other settings."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from beliefbench.domain import Domain
from beliefbench.errors import BeliefBenchError, UsageError, first_line, in_short
from beliefbench.plugins.sources import Kind


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


@cache  # one domain a SPEC, since what is compiled is kept by the domain
def varied_suite(spec: str, domains: tuple[Domain, ...]) -> tuple[Domain, ...]:
    """Return domains with the settings of a SPEC applied to each; raise `UsageError` if one has no such setting."""
    return tuple(_varied(spec, domain, parse_spec(spec, "domain")[2]) for domain in domains)


def _varied(spec: str, domain: Domain, settings: dict[str, str]) -> Domain:
    own = {key: value for key, value in settings.items() if key != "information"}
    if own and domain.vary is None:
        raise UsageError(f"domain '{spec}': {domain.name} has no setting '{next(iter(own))}'.")
    try:
        varied = domain.vary(**own) if own and domain.vary else domain
        if "information" in settings:
            from beliefbench.protocol.information import informative

            varied = informative(varied, float(settings["information"]))
        if not isinstance(varied, Domain):
            raise TypeError(f"vary gave {type(varied).__name__}; expected a beliefbench.Domain")
    except ValueError as error:
        raise UsageError(f"domain '{spec}' cannot be made: {first_line(error)}.") from error
    except BeliefBenchError:
        raise
    except Exception as error:  # a plugin's vary may raise anything
        raise BeliefBenchError(f"domain '{spec}' cannot be made: {in_short(error)}.") from error
    name = ",".join([domain.name, *(f"{setting}={value}" for setting, value in sorted(settings.items()))])
    return replace(varied, name=name)
