"""A baseline that does not learn: the first option."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from beliefbench import Brief, Domain, Prediction


class First:
    """Always the first option: pure position bias. Options are exchangeable, so its expected accuracy is chance."""

    name, version = "first", "1"
    probabilistic, privileged = False, False

    def __init__(self, domain: Domain) -> None:
        pass

    def identity(self) -> Mapping[str, Any]:
        return {}

    def begin(self, brief: Brief, keys: Any, truth: None = None) -> None:
        return None

    def predict(self, state: None, options: np.ndarray) -> Prediction:
        return Prediction(np.zeros(options.shape[:2], dtype=np.int64))

    def observe(self, state: None, options: np.ndarray, recommended: np.ndarray, chosen: np.ndarray) -> None:
        return None
