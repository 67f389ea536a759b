"""A run's rows as arrays, and what is computed from rows alone: in whatever order, and if they are too few."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from beliefbench.running.files import DamagedFileError
from beliefbench.running.packing import EXACT, PROBS
from beliefbench.running.store import OWN_SET
from beliefbench.scoring.beliefs import score_beliefs
from beliefbench.scoring.diagnostics import diagnostic_metrics
from beliefbench.scoring.heldout import HeldOut
from beliefbench.scoring.metrics import bins_of
from beliefbench.scoring.scores import score, score_beliefs_of_run

SHAPE = (4, 3, 5)  # users, stages, sets
USERS = np.array([2, 3, 7, 11])


@dataclass
class Rows:
    """Random answers as arrays, and the same as rows in a random order, with answers to the users' own sets."""

    answers: HeldOut
    table: pa.Table

    @classmethod
    def random(cls, rng: np.random.Generator, **further: list[object]) -> Rows:
        probs, exact = (rng.dirichlet([1.0] * 3, SHAPE) for _ in range(2))
        choice, truth = (rng.integers(0, 3, SHAPE) for _ in range(2))
        places = list(np.ndindex(SHAPE))
        rows = [
            {"user": USERS[user], "stage": stage, "question": question, "choice": choice[user, stage, question]}
            | {"truth": truth[user, stage, question]}
            | dict(zip(PROBS, probs[user, stage, question], strict=True))
            | dict(zip(EXACT, exact[user, stage, question], strict=True))
            | {name: values[place] for name, values in further.items()}
            for place, (user, stage, question) in enumerate(places)
        ]
        own = [row | {"question": OWN_SET, "choice": 0} for row in rows if row["question"] == 0]
        every = [*rows, *own]
        table = pa.Table.from_pylist([every[place] for place in rng.permutation(len(every))])
        return cls(HeldOut(USERS, probs, choice, truth, exact), table)


@pytest.mark.parametrize("probabilistic", [True, False])
def test_rows_of_any_order_are_the_answers(probabilistic):
    rows = Rows.random(np.random.default_rng(0))
    found = HeldOut.of(rows.table, SHAPE, probabilistic)
    expected = rows.answers if probabilistic else rows.answers._replace(probs=None)
    for name, ours, theirs in zip(HeldOut._fields, found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


@pytest.mark.parametrize(
    "shape", [(3, 3, 5), (5, 3, 5), (4, 2, 5), (4, 4, 5), (4, 3, 4), (4, 3, 6), (3, 4, 5), (3, 5, 4), (5, 4, 3)]
)
def test_rows_of_another_shape_are_refused(shape):
    with pytest.raises(DamagedFileError, match=r"60 answers are not \d users x \d stages x \d sets"):
        HeldOut.of(Rows.random(np.random.default_rng(0)).table, shape, True)


def test_an_answer_that_is_there_twice_or_not_is_refused():
    table = Rows.random(np.random.default_rng(0)).table
    first = table["question"].to_pylist().index(3)
    twice = pa.concat_tables([table, table.slice(first, 1)])
    lacking = pa.concat_tables([table.slice(0, first), table.slice(first + 1)])
    for wrong in (twice, lacking):
        with pytest.raises(DamagedFileError):
            HeldOut.of(wrong, SHAPE, True)


def test_beliefs_of_rows_are_those_of_the_arrays():
    rng = np.random.default_rng(0)
    stated, exact = (rng.dirichlet([1.0] * 4, (*SHAPE[:2], 2)) for _ in range(2))
    implied = rng.integers(-1, 3, SHAPE)
    of_place = [(user, stage) for user, stage, _ in np.ndindex(SHAPE)]
    rows = Rows.random(
        rng,
        by_beliefs=implied.ravel().tolist(),
        beliefs=[stated[place].tolist() for place in of_place],
        exact_beliefs=[exact[place].tolist() for place in of_place],
    )
    expected = score_beliefs(stated, exact, implied, rows.answers.choice, rows.answers.truth)
    found = score_beliefs_of_run(rows.table, SHAPE)
    assert found is not None
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=0, abs=1e-12)


def test_an_agent_that_states_no_beliefs_has_no_metrics_of_them():
    rows = Rows.random(np.random.default_rng(0), by_beliefs=[None] * 60)
    assert score_beliefs_of_run(rows.table, SHAPE) is None


def test_intervals_are_around_the_accuracy_and_need_users():
    """90 of 100 answers are right, in another pattern for each user: both intervals are around 0.9, and within 0.1."""
    shape = (60, 1, 30)
    truth = np.arange(1800).reshape(shape) % 3
    wrong = np.random.default_rng(0).permutation(1800).reshape(shape) < 180
    choice = np.where(wrong, (truth + 1) % 3, truth)
    exact = np.eye(3)[truth] * 0.7 + 0.1
    answers = HeldOut(np.arange(60), None, choice, truth, exact)
    (one,), (more,) = score(answers), diagnostic_metrics(answers)
    assert one["accuracy"] == pytest.approx(0.9)
    assert 0.8 < one["accuracy_lo"] < 0.9 < one["accuracy_hi"] < 1
    assert 0.8 < more["new_sets_lo"] < 0.9 < more["new_sets_hi"] < 1
    alone = HeldOut(answers.users[:1], None, *(values[:1] for values in answers[2:]))
    assert score(alone)[0]["accuracy_lo"] is score(alone)[0]["accuracy_hi"] is None
    assert diagnostic_metrics(alone)[0]["new_sets_lo"] is None


def test_confidences_that_differ_by_rounding_share_a_bin():
    """Bins are of answers with equal confidence; 0.1 + 0.2 is 0.3, and 1e-16 more in floating point."""
    assert bins_of(np.array([0.3, 0.1 + 0.2]), 2).tolist() == [0, 0]
    assert bins_of(np.array([0.3, 0.3001]), 2).tolist() == [0, 1]
