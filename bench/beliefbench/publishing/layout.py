"""The layout of the rows of a complete run: user by user, with the same stages and questions for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from beliefbench.checking.results import CheckFailedError
from beliefbench.running.packing import in_order, numbers_of, row_numbers
from beliefbench.running.store import OWN_SET, RunRecord


@dataclass(frozen=True)
class Layout:
    """The rows of a user, by stage and question.

    users: how many; rounds, heldout: as in the run's identity; stage int[rows of a user], question int[rows of a user].

    >>> Layout.of_shape(users=2, rounds=1, heldout=2).question.tolist()
    [-1, 0, 1, 0, 1]
    """

    users: int
    rounds: int
    heldout: int
    stage: np.ndarray
    question: np.ndarray

    @classmethod
    def of(cls, record: RunRecord, rows: pa.Table) -> Layout:
        """Return the layout of a finished run; raise `CheckFailedError` if there are too few rows even for a user."""
        identity = record.identity
        if identity.rows_per_user > rows.num_rows:
            raise CheckFailedError(
                f"there are {rows.num_rows:,} rows; {identity.rounds:,} rounds and {identity.heldout:,} held-out sets "
                f"make {identity.rows_per_user:,} for each user."
            )
        return cls.of_shape(record.asked or identity.users, identity.rounds, identity.heldout)

    @classmethod
    def of_shape(cls, users: int, rounds: int, heldout: int) -> Layout:
        """Return the layout for these numbers of users, rounds and held-out sets."""
        pairs = [(stage, at) for stage in range(rounds + 1) for at in range(OWN_SET if stage < rounds else 0, heldout)]
        stage, question = np.array(pairs).T
        return cls(users, rounds, heldout, stage, question)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Users, stages, held-out sets."""
        return self.users, self.rounds + 1, self.heldout

    @property
    def own(self) -> np.ndarray:
        """True for the rows of the rounds' own sets, bool[rows of a user]."""
        return self.question == OWN_SET

    def check(self, rows: pa.Table) -> str:
        """Return a sentence if rows are complete; raise `CheckFailedError` if some are missing, duplicated or
        unknown."""
        users = np.unique(rows["user"].to_numpy())
        if len(users) != self.users:
            raise CheckFailedError(f"there are rows of {len(users)} users; expected {self.users}.")
        numbers = numbers_of(rows)
        of_user = len(self.stage)
        wanted = row_numbers(
            np.repeat(users, of_user), np.tile(self.stage, len(users)), np.tile(self.question, len(users))
        )
        complete = (
            f"{len(wanted):,} rows: {self.users} users, {self.rounds + 1} stages, {self.heldout} sets, each once."
        )
        if np.array_equal(numbers, wanted):  # the rows of a finished run are in this order
            return complete
        found, count = np.unique(numbers, return_counts=True)
        for what, which in (
            ("there more than once", found[count > 1]),
            ("missing", np.setdiff1d(wanted, found)),
            ("of stages or questions that were not asked", np.setdiff1d(found, wanted)),
        ):
            if len(which):
                raise CheckFailedError(f"{len(which):,} answers are {what}, such as {_named(which[0])}.")
        return complete

    def columns(self, rows: pa.Table, *names: str) -> list[np.ndarray]:
        """Return columns of rows that passed `check`, [users, rows of a user] each, with users in ascending order."""
        ordered = in_order(rows)
        return [ordered[name].to_numpy().reshape(self.users, -1) for name in names]

    def options(self, rows: pa.Table, kind: str) -> np.ndarray:
        """Return the three columns of a kind, ``prob`` or ``exact``: float[users, rows of a user, 3]."""
        return np.stack(self.columns(rows, *(f"{kind}_{option}" for option in range(3))), axis=-1)


def _named(number: int) -> str:
    user, stage, question = number >> 40, number >> 24 & 0xFFFF, (number & 0xFFFFFF) - 1
    return f"user {user}, stage {stage}, {'own set' if question == OWN_SET else f'question {question}'}"
