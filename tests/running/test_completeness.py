"""Which answers are whole, and the accuracy that a run may stop by: by hand, from rows alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import beliefbench as bb
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.running.completeness import final_accuracy, is_whole

# (stage, question) of a user with 2 rounds and 2 held-out sets: the own set, -1, in each round but after the last none.
ASKED = [(0, -1), (0, 0), (0, 1), (1, -1), (1, 0), (1, 1), (2, 0), (2, 1)]


def table(rows: list[tuple[int, int, int]]) -> pa.Table:
    return pa.table(dict(zip(("user", "stage", "question"), map(list, zip(*rows, strict=True)), strict=True)))


@pytest.fixture
def rows() -> list[tuple[int, int, int]]:
    return [(user, *one) for user in (3, 4, 9) for one in ASKED]


def test_rows_are_whole_in_any_order(rows):
    assert is_whole(table(rows), rounds=2, heldout=2)
    shuffled = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]
    assert is_whole(table(shuffled), rounds=2, heldout=2)
    for rounds, heldout in [(1, 2), (3, 2), (2, 1), (2, 3)]:
        assert not is_whole(table(rows), rounds, heldout)


def test_rows_are_not_whole_if_one_is_another(rows):
    """Each row in turn is lost, doubled, or is instead another user's, stage's or question's."""
    for place, (user, stage, question) in enumerate(rows):
        others = [
            rows[place - 1],
            (user + 1, stage, question),
            (user, stage + 1, question),
            (user, stage, question + 1),
        ]
        for instead in ([], [rows[place]] * 2, *([other] for other in others)):
            assert not is_whole(table([*rows[:place], *instead, *rows[place + 1 :]]), rounds=2, heldout=2)


def test_the_accuracy_that_a_run_stops_by_is_that_after_the_last_round():
    """Three users and four sets: 4, 1 and 0 are right after round 1. The own sets and the stage before do not count."""
    episodes = Episodes(bb.load_domain("flights-2"), Protocol(users=3, rounds=1, heldout=4))
    right = {2: 4, 5: 1, 7: 0}
    lines = [
        (user, stage, question, 1, 1 if (question < number if stage else user == 7) else 0)
        for user, number in reversed(right.items())
        for stage, question in [(1, 0), (1, 1), (1, 2), (1, 3), (0, -1), (0, 0), (0, 1), (0, 2), (0, 3)]
    ]
    columns = zip(*lines, strict=True)
    names = ("user", "stage", "question", "choice", "truth")
    found = final_accuracy(episodes, pa.table(dict(zip(names, map(list, columns), strict=True))))
    assert found.tolist() == [1.0, 0.25, 0.0]
