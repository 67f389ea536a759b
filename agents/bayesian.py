"""The exact Bayesian assistant: answers with the posterior predictive of the domain's own model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from beliefbench import Brief, Domain, History, Prediction, break_ties, predictives


class Bayesian:
    """The exact P(choice | rounds so far), and the option with the largest, with ties broken at random.

    It leaves out rounds that no hypothesis explains (``on_contradiction="ignore"``).
    """

    name, version = "bayesian", "1"
    probabilistic, privileged, exact = True, False, True

    def __init__(self, domain: Domain) -> None:
        self.domain = domain

    def identity(self) -> Mapping[str, Any]:
        return {"rule": "posterior predictive", "on_contradiction": "ignore"}

    def begin(self, brief: Brief, keys: Any, truth: None = None) -> History:
        return History.begin(len(brief.features), keys)

    def predict(self, state: History, options: np.ndarray) -> Prediction:
        probs = predictives(self.domain, state.options, state.chosen, options, on_contradiction="ignore")[:, 0]
        return Prediction(break_ties(probs, state.keys, state.stage), probs)

    def observe(self, state: History, options: np.ndarray, recommended: np.ndarray, chosen: np.ndarray) -> History:
        return state.observe(options, chosen)
