"""Baselines that do not learn: one rule for all users, such as the cheapest option."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from beliefbench import Brief, Domain, History, Prediction, break_ties
from beliefbench.plugins.reach import reaches


@reaches(lambda model, settings: set())
class Lowest:
    """``lowest:FEATURE``: the option with the lowest value of one feature, with ties broken at random.

    ``cheapest`` is ``lowest:price``; ``lowest:duration`` takes the fastest flight.
    """

    version = "1"
    probabilistic, privileged = False, False

    def __init__(self, domain: Domain, model: str) -> None:
        known = [feature.name for feature in domain.features]
        if model not in known:
            raise ValueError(f"no feature '{model}'; {domain.name} has {', '.join(known)}")
        self.name = f"lowest:{model}"
        self.column = known.index(model)

    def identity(self) -> Mapping[str, Any]:
        return {"feature": self.name.partition(":")[2]}

    def begin(self, brief: Brief, keys: Any, truth: None = None) -> History:
        return History.begin(len(brief.features), keys)

    def predict(self, state: History, options: np.ndarray) -> Prediction:
        return Prediction(break_ties(-options[..., self.column], state.keys, state.stage))

    def observe(self, state: History, options: np.ndarray, recommended: np.ndarray, chosen: np.ndarray) -> History:
        return state.observe(options, chosen)


def cheapest(domain: Domain) -> Lowest:
    """The option with the lowest price: the same as ``lowest:price``."""
    agent = Lowest(domain, "price")
    agent.name = "cheapest"
    return agent
