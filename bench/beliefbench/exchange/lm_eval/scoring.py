"""How lm-eval scores a question: from the log-likelihoods of the answers to the metrics of `beliefbench.scoring`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from beliefbench.scoring import metrics


def process_results(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """Return the metrics of one question: ``acc``, and `beliefbench.scoring.metrics` by the names that those have.

    Parameters
    ----------
    doc
        A line of the task's JSONL file.
    results
        For each answer its log-likelihood, in nats, and whether it is the greedy one.

    >>> doc = {"gold": 1, "exact": [0.2, 0.5, 0.3]}
    >>> found = process_results(doc, [(-1.0, False), (-0.5, True), (-3.0, False)])
    >>> found["acc"], found["agreement"], round(found["log_score"], 3)
    (1.0, 1.0, 0.524)
    """
    scores = np.array([score for score, _ in results])
    weights = np.exp(scores - scores.max())
    probs = (weights / weights.sum())[None, None, None]
    choice, truth = (np.array([[[one]]]) for one in (int(scores.argmax()), int(doc["gold"])))
    exact = np.array(doc["exact"])[None, None, None]
    found = {"acc": float((choice == truth).all())}
    for name in ("agreement", "log_score", "brier", "kl_exact"):
        value = metrics.METRICS[name](probs, choice, truth, exact)
        assert value is not None
        found[name] = float(value.ravel()[0])
    return found
