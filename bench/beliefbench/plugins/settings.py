"""SPECs: a name, a model and settings in one string; and domains with other settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from beliefbench.domain import Domain
from beliefbench.errors import BeliefBenchError, UsageError, first_line, in_short, let_pass
from beliefbench.plugins.sources import Kind

QUOTED = re.compile(r'"((?:[^"]|"")*+)"')


def parse_spec(spec: str, kind: Kind = "agent") -> tuple[str, str | None, dict[str, str]]:
    """Split a SPEC into name, model and options.

    A name, a model or a value that begins with a double quote ends with the next one; two double quotes inside mean
    one. All else is read as it is written: a backslash is a backslash, and a quote inside other text is a quote.

    >>> parse_spec("prompted:smollm2,dtype=float32")
    ('prompted', 'smollm2', {'dtype': 'float32'})
    >>> parse_spec('prompted:"/models/a, b",adapter="/lora/x=1,y=2"')
    ('prompted', '/models/a, b', {'adapter': '/lora/x=1,y=2'})
    >>> parse_spec("random")
    ('random', None, {})
    """
    text = spec.strip()
    name, at = _field(text, 0, ":,", kind)
    model = None
    if text.startswith(":", at):
        model, at = _field(text, at + 1, ",", kind)
    options: dict[str, str] = {}
    while at < len(text):
        option, equals, _ = text[at + 1 :].partition("=")
        if not (option.isidentifier() and equals):
            setting = text[at + 1 :].partition(",")[0]
            raise UsageError(
                f"{kind} '{spec}': expected key=value after the comma, got '{setting}'; put double quotes around a "
                'MODEL or a value that contains a comma, such as NAME:"a,b", and single quotes around the whole SPEC.'
            )
        if option in options or option == "model":
            once = f"'{option}' is given twice; write it once"
            if option == "model":
                once = (
                    f"write {name}:MODEL, not model=" if kind == "agent" else f"a {kind} has no MODEL; leave model= out"
                )
            raise UsageError(f"{kind} '{spec}': {once}.")
        options[option], at = _field(text, at + len(option) + 2, ",", kind)
    return name, model or None, options


def format_spec(name: str, model: str | None = None, options: Mapping[str, str] | None = None) -> str:
    """Return the SPEC of a name, a model and options, with double quotes where `parse_spec` needs them.

    >>> format_spec("prompted", "/models/a, b", {"dtype": "float32"})
    'prompted:"/models/a, b",dtype=float32'
    """
    fields = [("", name, ":,"), *([] if model is None else [(":", model, ",")])]
    fields += [(f",{option}=", value, ",") for option, value in (options or {}).items()]
    spec = ""
    for number, (before, text, ends) in enumerate(fields, 1):
        # Spaces at both ends of a SPEC are no part of it.
        outer = (number == 1 and text[:1].isspace()) or (number == len(fields) and text[-1:].isspace())
        quoted = outer or text.startswith('"') or any(end in text for end in ends)
        spec += before + ('"' + text.replace('"', '""') + '"' if quoted else text)
    return spec


def as_spec(name: str) -> str:
    """Return an agent's own name, such as ``endpoint:MODEL``, as a SPEC: quoted if it would not be one otherwise.

    >>> as_spec("lowest:duration"), as_spec("endpoint:a,b")
    ('lowest:duration', 'endpoint:"a,b"')
    """
    try:
        parse_spec(name)
        return name
    except UsageError:
        plain, _, model = name.partition(":")
        return format_spec(plain, model or None)


def _field(text: str, at: int, ends: str, kind: Kind) -> tuple[str, int]:
    """Return the part of a SPEC that begins at a place, and where it ends: at one of ``ends``, or with the SPEC."""
    if not text.startswith('"', at):
        end = min((place for one in ends if (place := text.find(one, at)) >= 0), default=len(text))
        return text[at:end], end
    found = QUOTED.match(text, at)
    if found is None:
        raise UsageError(
            f"{kind} '{text}': the double quote before '{text[at + 1 :]}' is not closed; add one at its end, and write "
            "a double quote inside as two."
        )
    end = found.end()
    if end < len(text) and text[end] not in ends:
        raise UsageError(
            f"{kind} '{text}': '{text[end:]}' follows a closing double quote; expected the end, or one of {ends} there."
        )
    return found[1].replace('""', '"'), end


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
    except BaseException as error:  # a plugin's vary may raise anything
        let_pass(error)
        raise BeliefBenchError(f"domain '{spec}' cannot be made: {in_short(error)}.") from error
    return replace(varied, name=format_spec(domain.name, None, dict(sorted(settings.items()))))
