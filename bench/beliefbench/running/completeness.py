"""Which recorded answers are whole: every question of a user's stage once, of users who are asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from beliefbench.protocol.episodes import Episodes
from beliefbench.running.files import read_parquet
from beliefbench.running.packing import KEYS, numbers_of, row_numbers
from beliefbench.running.store import OWN_SET, RunStore


def is_whole(rows: pa.Table, rounds: int, heldout: int) -> bool:
    """Return True if the rows have every stage and question of each of their users exactly once.

    >>> rows = pa.table({"user": [7, 7, 7], "stage": [0, 0, 1], "question": [-1, 0, 0]})
    >>> is_whole(rows, rounds=1, heldout=1), is_whole(pa.concat_tables([rows, rows]), rounds=1, heldout=1)
    (True, False)
    """
    pairs = [_questions(stage, rounds, heldout) for stage in range(rounds + 1)]
    stages = np.repeat(np.arange(rounds + 1), [len(one) for one in pairs])
    return _has_each_once(rows, stages, np.concatenate(pairs))


def set_faulty_parts_aside(store: RunStore, episodes: Episodes) -> list[Path]:
    """Rename parts of unfinished runs that cannot be used to ``*.damaged``, so that they are asked again; return them.

    A part holds some users' answers at one stage. It cannot be used if it is of unknown users or stages, is not whole,
    or has answers that an earlier part has.
    """
    rounds, heldout = episodes.protocol.rounds, episodes.protocol.heldout
    known, met, faulty = set(episodes.users.tolist()), set[tuple[int, int]](), []
    for file in sorted(store.parts.glob("*.parquet")):
        rows = read_parquet(file).select(KEYS)
        users, stages = set(rows["user"].to_pylist()), set(rows["stage"].to_pylist())
        stage = min(stages, default=-1)
        own = {(stage, user) for user in users}
        if len(stages) != 1 or not 0 <= stage <= rounds or not users <= known or own & met:
            faulty.append(file)
            continue
        questions = _questions(stage, rounds, heldout)
        if _has_each_once(rows, np.full(len(questions), stage), questions):
            met |= own
        else:
            faulty.append(file)
    for file in faulty:
        file.rename(store.folder / f"{file.name}.damaged")
    return faulty


def final_accuracy(episodes: Episodes, rows: pa.Table) -> np.ndarray:
    """Return the accuracy after the last round of each user who was asked, float[users]."""
    user, stage, question, choice, truth = (
        rows[name].to_numpy() for name in ("user", "stage", "question", "choice", "truth")
    )
    last = (stage == episodes.protocol.rounds) & (question != OWN_SET)
    users, number = np.unique(user[last], return_inverse=True)
    right = np.bincount(number, (choice == truth)[last], minlength=len(users))
    return right / episodes.protocol.heldout


def _questions(stage: int, rounds: int, heldout: int) -> np.ndarray:
    return np.arange(OWN_SET if stage < rounds else 0, heldout)


def _has_each_once(rows: pa.Table, stages: np.ndarray, questions: np.ndarray) -> bool:
    users = np.unique(rows["user"].to_numpy())
    if rows.num_rows != len(users) * len(stages):
        return False
    due = row_numbers(np.repeat(users, len(stages)), np.tile(stages, len(users)), np.tile(questions, len(users)))
    return np.array_equal(np.sort(numbers_of(rows)), np.sort(due))
