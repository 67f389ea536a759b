"""The metrics of one run, from its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from beliefbench.intervals import clustered_interval
from beliefbench.scoring.beliefs import score_beliefs
from beliefbench.scoring.heldout import HeldOut, sorted_heldout
from beliefbench.scoring.metrics import METRICS

ROUND_FIELDS = (
    "round",
    "accuracy",
    "accuracy_lo",
    "accuracy_hi",
    "agreement",
    "log_score",
    "brier",
    "ece",
    "kl_exact",
    "coverage",
)


def score(answers: HeldOut) -> list[dict[str, Any]]:
    """Return the metrics after each round: `ROUND_FIELDS`, None if the agent has none, or the accuracy no interval."""
    values = {name: metric(*answers[1:]) for name, metric in METRICS.items()}
    rounds = []
    for stage in range(answers.choice.shape[1]):
        one: dict[str, Any] = {"round": stage}
        for name, value in values.items():
            one[name] = None if value is None else float(value[stage] if value.ndim == 1 else value[:, stage].mean())
        assert values["accuracy"] is not None
        one["accuracy_lo"], one["accuracy_hi"] = clustered_interval(values["accuracy"][:, stage]) or (None, None)
        rounds.append({name: one[name] for name in ROUND_FIELDS})
    return rounds


def score_beliefs_of_run(rows: pa.Table, shape: tuple[int, int, int]) -> list[Mapping[str, Any]] | None:
    """Return the metrics of stated beliefs after each round (`beliefbench.scoring.beliefs`), None if the agent
    states none.

    ``shape`` is (users, stages, held-out sets) of the run.
    """
    if rows["by_beliefs"].null_count == rows.num_rows:
        return None
    heldout = sorted_heldout(rows, shape)

    def column(name: str) -> np.ndarray:
        return heldout[name].to_numpy().reshape(shape)

    stated, exact = (
        np.array([[np.stack(levels) for levels in stages] for stages in column(name)[:, :, 0]])
        for name in ("beliefs", "exact_beliefs")
    )
    return score_beliefs(stated, exact, column("by_beliefs"), column("choice"), column("truth"))
