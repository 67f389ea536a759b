"""beliefbench: how well does an assistant learn a person's hidden preferences, against the exact Bayesian answer?

The names below are the public API. They are loaded on first use: ``import beliefbench`` itself loads nothing heavy.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from beliefbench.folders import keep_compiled_programs

if TYPE_CHECKING:
    from beliefbench.agent import Agent, Brief, History, Prediction, break_ties
    from beliefbench.choice_models.catalogue import read_catalogue
    from beliefbench.choice_models.linear import linear_choice
    from beliefbench.choice_models.rules import ChoiceRule
    from beliefbench.choice_models.shopping import shopping
    from beliefbench.domain import Domain, Feature, Questionnaire, Recorded, Scale, describe_features
    from beliefbench.errors import BeliefBenchError, ContradictionError, TooLargeError, UsageError
    from beliefbench.exact.inference import expected_information, expected_rewards, posterior, predictive, predictives
    from beliefbench.exact.latents import latents_of
    from beliefbench.language.chat_function import chat_agent
    from beliefbench.leaderboard.comparing import compare
    from beliefbench.leaderboard.datatree import datatree
    from beliefbench.leaderboard.ranking import leaderboard, metrics
    from beliefbench.plugins.names import list_agents, list_domains, load_agent, load_domain, load_suite
    from beliefbench.protocol.episodes import Episodes, choice_probs
    from beliefbench.protocol.information import information_gain, informative
    from beliefbench.protocol.protocol import Protocol
    from beliefbench.running.harness import Run, run

    __version__: str

_HOME = {
    "Agent": "agent",
    "BeliefBenchError": "errors",
    "Brief": "agent",
    "ChoiceRule": "choice_models.rules",
    "ContradictionError": "errors",
    "Domain": "domain",
    "Episodes": "protocol.episodes",
    "Feature": "domain",
    "History": "agent",
    "Prediction": "agent",
    "Protocol": "protocol.protocol",
    "Questionnaire": "domain",
    "Recorded": "domain",
    "Run": "running.harness",
    "Scale": "domain",
    "TooLargeError": "errors",
    "UsageError": "errors",
    "break_ties": "agent",
    "chat_agent": "language.chat_function",
    "choice_probs": "protocol.episodes",
    "compare": "leaderboard.comparing",
    "datatree": "leaderboard.datatree",
    "describe_features": "domain",
    "expected_information": "exact.inference",
    "expected_rewards": "exact.inference",
    "information_gain": "protocol.information",
    "informative": "protocol.information",
    "latents_of": "exact.latents",
    "leaderboard": "leaderboard.ranking",
    "linear_choice": "choice_models.linear",
    "list_agents": "plugins.names",
    "list_domains": "plugins.names",
    "load_agent": "plugins.names",
    "load_domain": "plugins.names",
    "load_suite": "plugins.names",
    "metrics": "leaderboard.ranking",
    "posterior": "exact.inference",
    "predictive": "exact.inference",
    "predictives": "exact.inference",
    "read_catalogue": "choice_models.catalogue",
    "run": "running.harness",
    "shopping": "choice_models.shopping",
}

__all__ = [
    "Agent",
    "BeliefBenchError",
    "Brief",
    "ChoiceRule",
    "ContradictionError",
    "Domain",
    "Episodes",
    "Feature",
    "History",
    "Prediction",
    "Protocol",
    "Questionnaire",
    "Recorded",
    "Run",
    "Scale",
    "TooLargeError",
    "UsageError",
    "__version__",
    "break_ties",
    "chat_agent",
    "choice_probs",
    "compare",
    "datatree",
    "describe_features",
    "expected_information",
    "expected_rewards",
    "information_gain",
    "informative",
    "latents_of",
    "leaderboard",
    "linear_choice",
    "list_agents",
    "list_domains",
    "load_agent",
    "load_domain",
    "load_suite",
    "metrics",
    "posterior",
    "predictive",
    "predictives",
    "read_catalogue",
    "run",
    "shopping",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("beliefbench")
    elif name in _HOME:
        if "jax" not in sys.modules:
            keep_compiled_programs()
        value = getattr(import_module(f"beliefbench.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module 'beliefbench' has no attribute '{name}'")
    return globals().setdefault(name, value)  # `leaderboard` is a package too, which importing has put there


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
