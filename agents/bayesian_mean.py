"""The paper's Bayesian Assistant: recommends the option with the largest posterior-mean reward (paper, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from beliefbench import Brief, Domain, History, Prediction, break_ties, expected_rewards


class BayesianMean:
    """The option with the largest posterior-mean reward, with ties broken at random; no probabilities.

    It needs a domain whose model records its ``reward``. It leaves out rounds that no hypothesis explains.
    """

    name, version = "bayesian-mean", "1"
    probabilistic, privileged = False, False

    def __init__(self, domain: Domain) -> None:
        self.domain = domain

    def identity(self) -> Mapping[str, Any]:
        return {"rule": "posterior-mean reward", "on_contradiction": "ignore"}

    def begin(self, brief: Brief, keys: Any, truth: None = None) -> History:
        return History.begin(len(brief.features), keys)

    def predict(self, state: History, options: np.ndarray) -> Prediction:
        rewards = expected_rewards(self.domain, state.options, state.chosen, options, on_contradiction="ignore")
        return Prediction(break_ties(rewards, state.keys, state.stage))

    def observe(self, state: History, options: np.ndarray, recommended: np.ndarray, chosen: np.ndarray) -> History:
        return state.observe(options, chosen)
