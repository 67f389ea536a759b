"""Checks of answers that need neither the run's domain nor its agent."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from beliefbench.checking.results import CheckFailedError
from beliefbench.domain import OPTIONS
from beliefbench.running.contract import SUMS_TO
from beliefbench.running.packing import PROBS
from beliefbench.running.store import RunRecord
from beliefbench.scoring.metrics import largest, total


def check_answers(record: RunRecord, rows: pa.Table) -> str:
    """Return a sentence if all answers of a run are in range; raise `CheckFailedError` otherwise."""
    choice = rows["choice"].to_numpy()
    if choice.min() < -1 or choice.max() >= OPTIONS:
        raise CheckFailedError(f"choices are 0, 1, 2, or -1 for none; there are {choice.min()} to {choice.max()}.")
    probs = np.stack([rows[name].to_numpy() for name in PROBS], axis=-1)
    stated, due = largest(~np.isnan(probs)), (choice >= 0) & record.agent.probabilistic
    if (stated != due).any():
        what = "state no probabilities" if record.agent.probabilistic else "state probabilities, though it only chooses"
        raise CheckFailedError(
            f"{(stated != due).sum():,} answers of {record.agent.name} {what}, or state unusable ones."
        )
    given = probs[due]
    wrong = ~((largest(-given) <= 0) & (abs(total(given) - 1) < SUMS_TO))
    if wrong.any():
        raise CheckFailedError(
            f"the probabilities of {wrong.sum():,} answers are not numbers of 0 or more that sum to 1."
        )
    kind = f"{len(given):,} with probabilities that sum to 1" if record.agent.probabilistic else "no probabilities"
    return f"{len(choice):,} choices, {(choice < 0).sum():,} of them unusable; {kind}."
