"""What the tests of exact inference share: built-in domains, and Holm's rule."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

import pytest

import beliefbench as bb

OF_EACH_KIND = ("flights-2", "flights", "webshop-backpacks")


@pytest.fixture(
    scope="session",
    params=["of each kind", pytest.param("all", marks=[pytest.mark.reference, pytest.mark.timeout(1200)])],
)
def builtin_domains(request: pytest.FixtureRequest) -> tuple[bb.Domain, ...]:
    """Built-in domains of each kind; with ``-m reference`` all of them, those of suites too, each once."""
    if request.param == "of each kind":
        return tuple(bb.load_domain(name) for name in OF_EACH_KIND)
    points = [
        point for point in entry_points(group="beliefbench.domains") if point.value.startswith("beliefbench.domains.")
    ]
    found = [domain for point in points for domain in bb.load_suite(point.name)]
    return tuple({domain.name: domain for domain in found}.values())


@pytest.fixture(scope="session")
def rejected() -> Callable[..., dict]:
    """``rejected(p_values, rate=0.01)``: the tests that fail by Holm's rule, which keeps the chance of any false alarm
    at ``rate``, whether the tests depend on each other or not.
    """

    def holm(found: dict, rate: float = 0.01) -> dict:
        ranked = sorted(found.items(), key=lambda item: item[1])
        held = (place for place, (_, p) in enumerate(ranked) if p * (len(ranked) - place) > rate)
        return dict(ranked[: next(held, len(ranked))])

    return holm
