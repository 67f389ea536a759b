"""What `verify` says of rows alone: which choices and probabilities are answers, and which rows a run has."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from beliefbench.checking.results import CheckFailedError
from beliefbench.publishing.answers import check_answers
from beliefbench.publishing.layout import Layout
from beliefbench.running.packing import PROBS
from beliefbench.running.store import AgentRecord, RunRecord

USABLE = (1, [0.2, 0.5, 0.3])
NOTHING = [math.nan] * 3


def answers(*given: tuple[int, list[float]]) -> pa.Table:
    columns = zip(*(probs for _, probs in given), strict=True)
    return pa.table({"choice": [choice for choice, _ in given], **dict(zip(PROBS, columns, strict=True))})


def record(probabilistic: bool = True) -> RunRecord:
    agent = AgentRecord(name="an agent", version="1", probabilistic=probabilistic, privileged=False)
    return RunRecord.model_construct(agent=agent)


@pytest.mark.parametrize(
    "answer",
    [
        (0, [1.0, 0.0, 0.0]),
        (2, [0.0, 0.0, 1.0]),
        (-1, NOTHING),
        (0, [0.5, 0.25, 0.2500005]),
        (0, [0.5, 0.25, 0.2499995]),
    ],
    ids=["certain of the first", "certain of the last", "unusable", "sums to 1.0000005", "sums to 0.9999995"],
)
def test_answers_in_range_pass(answer):
    unusable = answer[0] < 0
    said = check_answers(record(), answers(USABLE, answer))
    assert said == f"2 choices, {int(unusable)} of them unusable; {2 - unusable} with probabilities that sum to 1."


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((3, [0.2, 0.5, 0.3]), "there are 1 to 3"),
        ((-2, NOTHING), "there are -2 to 1"),
        ((0, [0.5, 0.25, 0.250002]), "probabilities of 1 answers"),
        ((0, [0.5, 0.25, 0.249998]), "probabilities of 1 answers"),
        ((0, [1.5, -0.25, -0.25]), "probabilities of 1 answers"),
        ((0, [1.0, 1e-9, -1e-9]), "probabilities of 1 answers"),
        ((0, [math.inf, 0.0, 0.0]), "probabilities of 1 answers"),
        ((0, NOTHING), "1 answers of an agent state no probabilities"),
        ((-1, [0.2, 0.5, 0.3]), "1 answers of an agent state no probabilities, or state unusable ones"),
    ],
)
def test_answers_out_of_range_are_named(answer, sentence):
    with pytest.raises(CheckFailedError, match=sentence):
        check_answers(record(), answers(USABLE, answer))


def test_an_agent_that_only_chooses_states_no_probabilities():
    said = check_answers(record(probabilistic=False), answers((1, NOTHING), (-1, NOTHING)))
    assert said == "2 choices, 1 of them unusable; no probabilities."
    with pytest.raises(CheckFailedError, match="1 answers of an agent state probabilities, though it only chooses"):
        check_answers(record(probabilistic=False), answers((1, NOTHING), USABLE))


def keys(layout: Layout, users: list[int]) -> list[tuple[int, int, int]]:
    """(user, stage, question) of a run, from the protocol: the held-out sets at each stage, and before them the round's
    own set, which is question -1, but after the last round."""
    return [
        (user, stage, question)
        for user in users
        for stage in range(layout.rounds + 1)
        for question in range(-1 if stage < layout.rounds else 0, layout.heldout)
    ]


def table(rows: list[tuple[int, int, int]]) -> pa.Table:
    return pa.table(dict(zip(("user", "stage", "question"), map(list, zip(*rows, strict=True)), strict=True)))


LAYOUT = Layout.of_shape(users=3, rounds=2, heldout=4)


def test_rows_of_a_layout():
    rows = keys(LAYOUT, [1, 5, 6])
    assert [(stage, question) for _, stage, question in rows[:14]] == list(
        zip(LAYOUT.stage.tolist(), LAYOUT.question.tolist(), strict=True)
    )
    assert LAYOUT.shape == (3, 3, 4)
    assert LAYOUT.own.sum() == 2
    expected = "42 rows: 3 users, 3 stages, 4 sets, each once."
    assert LAYOUT.check(table(rows)) == expected
    shuffled = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]
    assert LAYOUT.check(table(shuffled)) == expected


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: rows[:-1], "1 answers are missing, such as user 6, stage 2, question 3"),
        (lambda rows: rows[1:], "1 answers are missing, such as user 1, stage 0, own set"),
        (lambda rows: [*rows, rows[20]], "1 answers are there more than once, such as user 5, stage 1, question 0"),
        (
            lambda rows: [*rows, (5, 2, -1)],
            "1 answers are of stages or questions that were not asked, such as user 5, ",
        ),
        (lambda rows: [*rows, (5, 1, 4)], "1 answers are of stages or questions that were not asked, such as user 5, "),
        (lambda rows: [*rows, (7, 0, 0)], "there are rows of 4 users; expected 3"),
        (lambda rows: [one for one in rows if one[0] != 5], "there are rows of 2 users; expected 3"),
    ],
    ids=["the last is missing", "the first", "one twice", "a set of no round", "a set too many", "a user more", "less"],
)
def test_rows_that_are_not_those_of_the_layout_are_named(change, sentence):
    with pytest.raises(CheckFailedError, match=sentence):
        LAYOUT.check(table(change(keys(LAYOUT, [1, 5, 6]))))
