"""beliefbench: how well does an assistant learn a person's hidden preferences, against the exact Bayesian answer?

The names below are the public API. They are loaded on first use: ``import bench`` itself loads nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.agent import Agent, Brief, History, Prediction, break_ties
    from bench.catalogue import read_catalogue
    from bench.domain import Domain, Feature, Recorded
    from bench.episodes import Episodes, choice_probs
    from bench.errors import BeliefBenchError, ContradictionError, TooLargeError, UsageError
    from bench.exchange import datatree
    from bench.harness import Run, run
    from bench.inference import expected_information, expected_rewards, posterior, predictive, predictives
    from bench.information import information_gain, informative
    from bench.linear import linear_choice
    from bench.plugins import load_agent, load_domain, load_suite
    from bench.protocol import Protocol
    from bench.shop import shopping
    from bench.standings import leaderboard

_HOME = {
    "Agent": "agent",
    "BeliefBenchError": "errors",
    "Brief": "agent",
    "ContradictionError": "errors",
    "Domain": "domain",
    "Episodes": "episodes",
    "Protocol": "protocol",
    "Feature": "domain",
    "History": "agent",
    "Prediction": "agent",
    "Recorded": "domain",
    "Run": "harness",
    "TooLargeError": "errors",
    "UsageError": "errors",
    "break_ties": "agent",
    "choice_probs": "episodes",
    "datatree": "exchange",
    "expected_information": "inference",
    "expected_rewards": "inference",
    "information_gain": "information",
    "informative": "information",
    "leaderboard": "standings",
    "linear_choice": "linear",
    "load_agent": "plugins",
    "load_domain": "plugins",
    "load_suite": "plugins",
    "posterior": "inference",
    "predictive": "inference",
    "predictives": "inference",
    "read_catalogue": "catalogue",
    "run": "harness",
    "shopping": "shop",
}

__all__ = [
    "Agent",
    "BeliefBenchError",
    "Brief",
    "ContradictionError",
    "Domain",
    "Episodes",
    "Feature",
    "History",
    "Prediction",
    "Protocol",
    "Recorded",
    "Run",
    "TooLargeError",
    "UsageError",
    "break_ties",
    "choice_probs",
    "datatree",
    "expected_information",
    "expected_rewards",
    "information_gain",
    "informative",
    "leaderboard",
    "linear_choice",
    "load_agent",
    "load_domain",
    "load_suite",
    "posterior",
    "predictive",
    "predictives",
    "read_catalogue",
    "run",
    "shopping",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    value = getattr(import_module(f"bench.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
