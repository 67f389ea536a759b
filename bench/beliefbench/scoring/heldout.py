"""The held-out answers of a run as arrays, from its rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from beliefbench.running.files import DamagedFileError
from beliefbench.running.packing import EXACT, KEYS, PROBS, in_order
from beliefbench.running.store import OWN_SET, RunRecord


class HeldOut(NamedTuple):
    """An agent's answers to held-out sets, with users in ascending order.

    users int[users], their numbers; probs float[users, stages, sets, 3], or None for an agent that only chooses; choice
    int[users, stages, sets], -1 if there was no usable answer; truth int[users, stages, sets]; exact float[users,
    stages, sets, 3], the exact posterior predictive.
    """

    users: np.ndarray
    probs: np.ndarray | None
    choice: np.ndarray
    truth: np.ndarray
    exact: np.ndarray

    @classmethod
    def of(cls, rows: pa.Table, shape: tuple[int, int, int], probabilistic: bool) -> HeldOut:
        """Return the held-out answers in a run's rows; ``shape`` is (users, stages, sets) of the run.

        Raises
        ------
        DamagedFileError
            If the rows do not fill that shape.
        """
        probabilities = [*EXACT, *(PROBS if probabilistic else [])]
        heldout = sorted_heldout(rows.select([*KEYS, "choice", "truth", *probabilities]), shape)

        def column(name: str) -> np.ndarray:
            return heldout[name].to_numpy().reshape(shape)

        def options(names: list[str]) -> np.ndarray:
            return np.stack([column(name) for name in names], axis=-1)

        probs = options(PROBS) if probabilistic else None
        return cls(column("user")[:, 0, 0], probs, column("choice"), column("truth"), options(EXACT))


def sorted_heldout(rows: pa.Table, shape: tuple[int, int, int]) -> pa.Table:
    """Return the rows of held-out answers, by user, stage and question; they fill ``shape`` or `DamagedFileError`."""
    heldout = rows.filter(pa.compute.not_equal(rows["question"], OWN_SET))
    heldout = in_order(heldout)
    found = tuple(len(pa.compute.unique(heldout[name])) for name in KEYS)
    if found != shape or heldout.num_rows != np.prod(shape):
        raise DamagedFileError(
            f"{heldout.num_rows:,} answers are not {shape[0]} users x {shape[1]} stages x {shape[2]} sets."
        )
    return heldout


def answers_of(record: RunRecord, rows: pa.Table) -> HeldOut:
    """Return the held-out answers in a run's rows; raise `DamagedFileError` if rows are missing."""
    shape = (record.asked or record.identity.users, record.identity.rounds + 1, record.identity.heldout)
    return HeldOut.of(rows, shape, record.agent.probabilistic)
