"""What the SPEC of an agent makes a machine do besides computing, so that a stranger's SPEC can be refused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import TypeVar

from beliefbench.plugins.settings import parse_spec
from beliefbench.plugins.sources import Source, source_of

Factory = TypeVar("Factory", bound=Callable)


class Reach(StrEnum):
    """What a SPEC can reach for."""

    remote_code = "remote-code"
    """Code that comes with a model."""
    path = "path"
    """A file or a folder of this machine, to read or to write."""
    hub = "hub"
    """A download."""
    budget = "budget"
    """Memory or time beyond the defaults."""
    settings = "settings"
    """Unknown: a plugin that declares nothing gets a MODEL or settings."""
    server = "server"
    """A server, which may cost money."""


DOES = {
    Reach.remote_code: "runs code that comes with the model",
    Reach.path: "names a path on this machine",
    Reach.hub: "downloads a model from Hugging Face",
    Reach.budget: "sets how much memory or time it may take",
    Reach.settings: "gives a MODEL or settings to a plugin that does not declare what they reach for",
    Reach.server: "asks a server",
}

Declared = Callable[[str | None, Mapping[str, str]], Collection[Reach]]


def reaches(declared: Declared) -> Callable[[Factory], Factory]:
    """Declare what the SPECs of an agent's factory reach for, as a function of their MODEL and settings.

    >>> @reaches(lambda model, settings: {Reach.path} if model else set())
    ... def from_file(domain, model=None):
    ...     "An agent of a file."
    >>> from_file.reaches("weights.bin", {})
    {<Reach.path: 'path'>}
    """

    def mark(factory: Factory) -> Factory:
        setattr(factory, "reaches", declared)  # noqa: B010 - a type checker knows no attributes of functions
        return factory

    return mark


def reach_of_agent(spec: str) -> list[Reach]:
    """Return what the SPEC of an agent reaches for, in the order of `Reach`; nothing is made of the SPEC.

    Raises
    ------
    UsageError
        If there is no such agent, or the SPEC cannot be read.
    BeliefBenchError
        If the plugin that provides it cannot be loaded.

    >>> reach_of_agent("random"), reach_of_agent("prompted:smollm2")
    ([], [])
    >>> [one.value for one in reach_of_agent("prompted:a/b,trust_remote_code=yes")]
    ['remote-code', 'hub']
    """
    name, model, settings = parse_spec(spec)
    if model is None and not settings:
        return _declared(source_of("agent", name), None, {}, otherwise=set())
    return _declared(source_of("agent", name), model, settings, otherwise={Reach.settings})


def reach_of_domain(spec: str) -> list[Reach]:
    """Return what the SPEC of a domain reaches for: a path, if a setting has the form of one.

    >>> reach_of_domain("flights,user_lapse=0.2"), reach_of_domain("flights,table=/etc/passwd")
    ([], [<Reach.path: 'path'>])
    """
    values = parse_spec(spec, "domain")[2].values()
    return [Reach.path] if any(value.startswith((".", "~")) or set(value) & set("/\\") for value in values) else []


def _declared(
    source: Source, model: str | None, settings: Mapping[str, str], otherwise: Collection[Reach]
) -> list[Reach]:
    declared: Declared | None = getattr(source.loaded(), "reaches", None)
    found = otherwise if declared is None else declared(model, settings)
    return [one for one in Reach if one in found]
