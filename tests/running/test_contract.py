"""What an agent's answers may be, one condition at a time."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.running.contract import check_answers

SHAPE = (2, 3)
EVEN = np.full((*SHAPE, 3), 1 / 3)
BELIEFS = np.full((2, 4, 5), 0.2)


def check(**given: object) -> None:
    agent = SimpleNamespace(name="a", probabilistic=given.get("probs", EVEN) is not None)
    check_answers(bb.Prediction(**({"choice": np.zeros(SHAPE, int), "probs": EVEN} | given)), SHAPE, agent)


def changed(values: np.ndarray, at: tuple, to: object) -> np.ndarray:
    values = values.copy()
    values[at] = to
    return values


@pytest.mark.parametrize(
    "given",
    [
        {"choice": np.array([[-1, 0, 1], [2, 2, -1]])},
        {"probs": None},
        {"probs": changed(EVEN, (1, 2), [0.0, 0.0, 1.0])},
        {"beliefs": changed(BELIEFS, (0, 1), np.nan)},
        {"beliefs": changed(BELIEFS, (0, 1), [0, 0, 0, 0, 1])},
        {"beliefs": changed(BELIEFS, (0, 1, 0), 0.2 + 9e-7)},
        {"text": np.array([["a", None, ""], [None, "b", "c"]], object)},
        {"tokens": np.array([[0, 1, 2], [3, 4, 2**31 - 1]])},
        {"seconds": np.array([[0.0, np.nan, 1e9], [1, 2, 3]])},
        {"bounded": np.zeros(SHAPE, bool)},
        {"counts": {}},
        {"counts": {"asked": 3, "cut": 0}},
    ],
    ids=lambda given: next(iter(given)),
)
def test_what_keeps_the_contract_is_taken(given):
    check(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"choice": np.array([[-2, 0, 1], [2, 2, -1]])}, "got -2 to 2"),
        ({"choice": np.array([[3, 0, 1], [2, 2, -1]])}, "got -1 to 3"),
        ({"probs": changed(EVEN, (1, 2), [-0.1, 0.1, 1.0])}, "numbers of 0 or more"),
        ({"probs": changed(EVEN, (1, 2, 0), 0.34)}, "probs must sum to 1 for each set"),
        ({"probs": changed(EVEN, (1, 2, 0), np.nan)}, "numbers of 0 or more"),
        ({"beliefs": changed(BELIEFS, (0, 1), [-0.1, 0.1, 0, 0, 1])}, "beliefs must be numbers of 0 or more"),
        ({"beliefs": changed(BELIEFS, (0, 1, 0), 0.2 + 2e-6)}, "that sum to 1 for each scale"),
        ({"beliefs": changed(BELIEFS, (0, 1, 0), 0.2 - 2e-6)}, "that sum to 1 for each scale"),
        ({"beliefs": BELIEFS[:1]}, "expected [users, scales, levels]"),
        ({"tokens": np.array([[-1, 1, 2], [3, 4, 5]])}, "whole numbers from 0"),
        ({"tokens": np.array([[2**31, 1, 2], [3, 4, 5]])}, "whole numbers from 0"),
        ({"tokens": np.zeros(SHAPE)}, "whole numbers from 0"),
        ({"seconds": np.full(SHAPE, -0.1)}, "numbers from 0 to 1e9, or NaN"),
        ({"seconds": np.full(SHAPE, 1.1e9)}, "numbers from 0 to 1e9, or NaN"),
        ({"bounded": np.zeros(SHAPE, int)}, "True or False"),
        ({"counts": {1: 3}}, "a dict from words to whole numbers"),
        ({"counts": {"asked": 3.0}}, "a dict from words to whole numbers"),
        ({"counts": {"asked": True}}, "a dict from words to whole numbers"),
        ({"counts": [("asked", 3)]}, "a dict from words to whole numbers"),
    ],
)
def test_what_breaks_it_in_one_way_is_refused(given, said):
    with pytest.raises(bb.BeliefBenchError, match=r"^agent 'a' broke its contract: ") as error:
        check(**given)
    assert said in str(error.value)
