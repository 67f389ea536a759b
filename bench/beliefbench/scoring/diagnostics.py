"""Metrics that ``leaderboard --format json`` does not have: how an agent updates, and how well it is calibrated."""

from __future__ import annotations

from typing import Any

from beliefbench.intervals import two_way_interval
from beliefbench.scoring.heldout import HeldOut
from beliefbench.scoring.reliability import confidence_of, corp, ece_nulls
from beliefbench.scoring.updating import UPDATING

CALIBRATION_FIELDS = ("miscalibration", "discrimination", "uncertainty", "ece_null")
NEW_SETS_FIELDS = ("new_sets_lo", "new_sets_hi")
DIAGNOSTIC_FIELDS = (
    *[f"{name}{end}" for name in UPDATING for end in ("", "_lo", "_hi")],
    *CALIBRATION_FIELDS,
    *NEW_SETS_FIELDS,
)


def diagnostic_metrics(answers: HeldOut) -> list[dict[str, Any]]:
    """Return `DIAGNOSTIC_FIELDS` after each round, None if there is nothing to measure.

    Each metric of `beliefbench.scoring.updating` comes with its 95% interval, ``_lo`` and ``_hi``. The other metrics
    are from `beliefbench.scoring.reliability`.
    """
    right = answers.choice == answers.truth
    rounds: list[dict[str, Any]] = [dict.fromkeys(DIAGNOSTIC_FIELDS) for _ in range(answers.choice.shape[1])]
    for name, metric in UPDATING.items():
        for one, estimate in zip(rounds, metric(*answers[1:]), strict=True):
            if estimate is not None:
                one.update(zip((name, f"{name}_lo", f"{name}_hi"), estimate, strict=True))
    for stage, one in enumerate(rounds):
        one.update(zip(NEW_SETS_FIELDS, two_way_interval(right[:, stage]) or (None, None), strict=True))
    found = confidence_of(answers.probs, answers.choice, answers.truth)
    if found is not None:
        for stage, (one, null) in enumerate(zip(rounds, ece_nulls(*found), strict=True)):
            parts = corp(*(values[:, stage] for values in found))
            one.update(zip(CALIBRATION_FIELDS, (*parts, null), strict=True))
    return rounds
