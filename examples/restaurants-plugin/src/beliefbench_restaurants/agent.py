"""A baseline that learns a little: it recommends the cuisine that was chosen most often so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from beliefbench import Brief, Domain, History, Prediction, break_ties


class Regular:
    """Probabilities proportional to how often an option's cuisine was chosen so far, plus one.

    ``regular:FEATURE`` counts another feature's values.
    """

    version = "1"  # bump it with every change to the answers: no run of another version is ever reused
    probabilistic, privileged = True, False

    def __init__(self, domain: Domain, model: str = "cuisine") -> None:
        known = [feature.name for feature in domain.features]
        if model not in known:  # a ValueError is told to the person who asked, as a wrong call
            raise ValueError(f"it counts the {model} of what was chosen, and {domain.name} has only {', '.join(known)}")
        self.name = "regular" if model == "cuisine" else f"regular:{model}"
        self.feature, self.column = model, known.index(model)

    def identity(self) -> Mapping[str, Any]:
        """Return everything that the answers depend on besides name and version; it is part of a run's key."""
        return {"feature": self.feature, "smoothing": 1}

    def begin(self, brief: Brief, keys: Any, truth: None = None) -> History:
        """Return the state of users before the first round; there is one key per user."""
        return History.begin(len(brief.features), keys)

    def predict(self, state: History, options: np.ndarray) -> Prediction:
        """Answer float[users, sets, 3, features]; the state is the chosen values so far, float[users, rounds]."""
        taken = np.take_along_axis(state.options[..., self.column], state.chosen[..., None], axis=-1)[..., 0]
        same = np.isclose(options[..., self.column, None], taken[:, None, None, :])  # bool[users, sets, 3, rounds]
        counts = 1.0 + same.sum(axis=-1)
        probs = counts / counts.sum(axis=-1, keepdims=True)
        return Prediction(break_ties(probs, state.keys, state.stage), probs)

    def observe(self, state: History, options: np.ndarray, recommended: np.ndarray, chosen: np.ndarray) -> History:
        """Return the state after a round: options float[users, 3, features], chosen int[users]."""
        return state.observe(options, chosen)


AGENTS = {"regular": Regular}  # read by `--plugins DIR` alone; an installed package has its entry points
