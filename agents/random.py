"""Chance: all options have the same probability, and one of them is chosen at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from beliefbench import Brief, Domain, History, Prediction, break_ties


class Random:
    """The same probability for all options, and one of them at random: accuracy 1/3 and log score ln 3 on average."""

    name, version = "random", "1"
    probabilistic, privileged = True, False

    def __init__(self, domain: Domain) -> None:
        pass

    def identity(self) -> Mapping[str, Any]:
        return {}

    def begin(self, brief: Brief, keys: Any, truth: None = None) -> History:
        return History.begin(len(brief.features), keys)

    def predict(self, state: History, options: np.ndarray) -> Prediction:
        probs = np.full(options.shape[:3], 1 / 3)
        return Prediction(break_ties(probs, state.keys, state.stage), probs)

    def observe(self, state: History, options: np.ndarray, recommended: np.ndarray, chosen: np.ndarray) -> History:
        return state.observe(options, chosen)
