"""The oracle: sees each user's true latents. It does not know how a user breaks ties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from beliefbench import Brief, Domain, History, Prediction, break_ties, choice_probs


@dataclass(frozen=True)
class Knowledge:
    """The rounds so far, and the true latents: {latent site: value[users]}."""

    history: History
    truth: Mapping[str, np.ndarray]


class Oracle:
    """P(choice | the user's true weights), which it sees: the upper bound for all other agents."""

    name, version = "oracle", "1"
    probabilistic, privileged = True, True

    def __init__(self, domain: Domain) -> None:
        self.domain = domain

    def identity(self) -> Mapping[str, Any]:
        return {}

    def begin(self, brief: Brief, keys: Any, truth: Mapping[str, np.ndarray] | None = None) -> Knowledge:
        if truth is None:
            raise ValueError("the oracle needs the true latents of its users")
        return Knowledge(History.begin(len(brief.features), keys), truth)

    def predict(self, state: Knowledge, options: np.ndarray) -> Prediction:
        probs = choice_probs(self.domain, dict(state.truth), options)
        return Prediction(break_ties(probs, state.history.keys, state.history.stage), probs)

    def observe(self, state: Knowledge, options: np.ndarray, recommended: np.ndarray, chosen: np.ndarray) -> Knowledge:
        return Knowledge(state.history.observe(options, chosen), state.truth)
