"""beliefbench: how well does an assistant learn a person's hidden preferences, against the exact Bayesian answer?

The names below are the public API. They are loaded on first use: ``import bench`` itself loads nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.agent import Agent, Brief, History, Prediction, break_ties
    from bench.domain import Domain, Feature
    from bench.errors import BeliefBenchError, ContradictionError, TooLargeError, UsageError
    from bench.harness import Run, run
    from bench.inference import expected_rewards, posterior, predictive, predictives
    from bench.linear import linear_choice
    from bench.plugins import load_agent, load_domain
    from bench.protocol import choice_probs
    from bench.standings import leaderboard

_HOME = {
    "Agent": "agent",
    "BeliefBenchError": "errors",
    "Brief": "agent",
    "ContradictionError": "errors",
    "Domain": "domain",
    "Feature": "domain",
    "History": "agent",
    "Prediction": "agent",
    "Run": "harness",
    "TooLargeError": "errors",
    "UsageError": "errors",
    "break_ties": "agent",
    "choice_probs": "protocol",
    "expected_rewards": "inference",
    "leaderboard": "standings",
    "linear_choice": "linear",
    "load_agent": "plugins",
    "load_domain": "plugins",
    "posterior": "inference",
    "predictive": "inference",
    "predictives": "inference",
    "run": "harness",
}

__all__ = [
    "Agent",
    "BeliefBenchError",
    "Brief",
    "ContradictionError",
    "Domain",
    "Feature",
    "History",
    "Prediction",
    "Run",
    "TooLargeError",
    "UsageError",
    "break_ties",
    "choice_probs",
    "expected_rewards",
    "leaderboard",
    "linear_choice",
    "load_agent",
    "load_domain",
    "posterior",
    "predictive",
    "predictives",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    value = getattr(import_module(f"bench.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
