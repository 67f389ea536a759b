"""What every domain and every agent must have before it can be used at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from beliefbench.domain import Domain, Feature
from beliefbench.errors import BeliefBenchError, cut, guarded
from beliefbench.folders import well_formed

LONGEST = 4096
"""Characters of the longest name or version."""


def wrong_domain(domain: Domain) -> str:
    """Return why a domain cannot be used at all, or nothing.

    >>> from dataclasses import replace
    >>> import beliefbench as bb
    >>> wrong_domain(replace(bb.load_domain("flights"), version=1))
    'its version is 1; expected some text'
    """
    if wrong := _wrong_members(domain, texts=("name", "version", "item"), functions=("model", "draw", "describe")):
        return wrong
    for member in ("name", "version"):
        if well_formed(getattr(domain, member)) != getattr(domain, member):
            return f"its {member} is {cut(repr(getattr(domain, member)))}; expected text without lone surrogates"
    features = domain.features
    if not (isinstance(features, tuple) and features and all(isinstance(one, Feature) for one in features)):
        return f"its features are {cut(repr(features))}; expected a tuple of one beliefbench.Feature or more"
    try:
        with guarded("reading its parameters raised"):
            domain.identity()
    except BeliefBenchError as error:
        return str(error).rstrip(".")
    return ""


def wrong_agent(agent: Any) -> str:
    """Return why an agent cannot be used at all, or nothing."""
    functions, flags = ("identity", "begin", "predict", "observe"), ("probabilistic", "privileged")
    if wrong := _wrong_members(agent, texts=("name", "version"), flags=flags, functions=functions):
        return f"{wrong} (it is of type {type(agent).__name__})"
    note, users = getattr(agent, "note", None), getattr(agent, "users_per_call", 1)
    if not (note is None or isinstance(note, str)) or not (isinstance(users, int) and users >= 1):
        said = f"{cut(repr(note))} and its users_per_call {cut(repr(users))}"
        return f"its note is {said}; expected some text or None, and 1 or more"
    quick = getattr(agent, "quick_users", None)
    if not (quick is None or (isinstance(quick, int) and quick >= 1)):
        return f"its quick_users is {cut(repr(quick))}; expected None, or a whole number of 1 or more"
    return ""


def _wrong_members(
    thing: Any, *, texts: Sequence[str], flags: Sequence[str] = (), functions: Sequence[str] = ()
) -> str:
    for member in texts:
        value = getattr(thing, member, None)
        if not (isinstance(value, str) and value.strip()):
            return f"its {member} is {cut(repr(value))}; expected some text"
        if len(value) > LONGEST:
            return f"its {member} has {len(value):,} characters; expected {LONGEST:,} at most"
    for member in flags:
        value = getattr(thing, member, None)
        if not isinstance(value, bool):
            return f"its {member} is {cut(repr(value))}; expected True or False"
    for member in functions:
        if not callable(getattr(thing, member, None)):
            return f"it has no function {member}"
    return ""
