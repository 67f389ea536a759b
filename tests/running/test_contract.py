"""What an agent's identity, note and answers may be, one condition at a time."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.running.contract import check_answers, identity_of, note_of

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


def agent(*told: object, name: str = "a", version: str = "1") -> SimpleNamespace:
    answers = iter(told * (2 if len(told) == 1 else 1))
    return SimpleNamespace(name=name, version=version, identity=lambda: next(answers))


def test_an_identity_is_the_agents_name_version_and_settings():
    assert identity_of(agent({})) == {"name": "a", "version": "1"}
    told = {"name": "a", "size": 3, "deep": {"b": [1, 2.5, None]}}
    assert identity_of(agent(told)) == {"name": "a", "version": "1", "size": 3, "deep": {"b": [1, 2.5, None]}}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (([1],), "identity() is a list; expected a dict of JSON values."),
        (({"name": "b"},), "identity() has another name than the agent; leave it out."),
        (({"version": "2"},), "identity() has another version than the agent; leave it out."),
        (({"at": 1}, {"at": 2}), "identity() changes from call to call (its 'at')"),
        (({"at": 1}, {}), "identity() changes from call to call (its 'at')"),
        (({}, {"then": 1}), "identity() changes from call to call (its 'then')"),
        (({"x": float("nan")},), "identity()"),
    ],
)
def test_an_identity_of_another_kind_is_refused(told, said):
    with pytest.raises(bb.BeliefBenchError, match=r"^agent 'a': ") as error:
        identity_of(agent(*told))
    assert said in str(error.value)


def test_an_identity_has_a_mebibyte_at_most():
    most = 1_048_576 - len('{"x": ""}')
    assert len(identity_of(agent({"x": "y" * most}))["x"]) == most
    with pytest.raises(bb.BeliefBenchError, match=r"has 1,048,577 characters as JSON; expected 1,048,576 at most"):
        identity_of(agent({"x": "y" * (most + 1)}))


def test_a_note_is_text_of_1000_characters_or_none():
    assert note_of(SimpleNamespace(name="a")) is None
    assert note_of(SimpleNamespace(name="a", note="n" * 1000)) == "n" * 1000
    assert note_of(SimpleNamespace(name="a", note="n" * 1001)) == "n" * 999 + "…"
    assert note_of(SimpleNamespace(name="a", note="x\udcff")) == "x\\udcff"
    with pytest.raises(bb.BeliefBenchError, match=r"^agent 'a': its note is a int; expected text or None\.$"):
        note_of(SimpleNamespace(name="a", note=3))


def test_a_text_has_a_mebibyte_at_most():
    texts = np.full(SHAPE, None, object)
    texts[1, 2] = "t" * 2**20
    check(text=texts)
    texts[1, 2] += "t"
    with pytest.raises(bb.BeliefBenchError, match="text or None, 1,048,576 characters each at most"):
        check(text=texts)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"choice": np.zeros((2, 2), int)}, "choice is int64[2, 2]; expected int[2, 3]."),
        ({"choice": np.zeros(SHAPE)}, "choice is float64[2, 3]; expected int[2, 3]."),
        ({"probs": np.full((*SHAPE, 2), 0.5)}, "probs have shape [2, 3, 2]; expected [2, 3, 3]."),
        ({"beliefs": np.full((2, 5), 0.2)}, "expected [users, scales, levels]"),
    ],
)
def test_answers_of_another_shape_are_refused(given, said):
    with pytest.raises(bb.BeliefBenchError, match=r"^agent 'a' broke its contract: ") as error:
        check(**given)
    assert said in str(error.value)


@pytest.mark.parametrize("probabilistic", [True, False])
def test_probabilities_are_given_if_and_only_if_the_agent_says_so(probabilistic):
    probs = None if probabilistic else EVEN
    claims = SimpleNamespace(name="a", probabilistic=probabilistic)
    with pytest.raises(bb.BeliefBenchError, match=f"probabilistic is {probabilistic}, but probs is "):
        check_answers(bb.Prediction(choice=np.zeros(SHAPE, int), probs=probs), SHAPE, claims)


def test_probabilities_of_answers_that_are_not_usable_do_not_count():
    choice = np.zeros(SHAPE, int)
    choice[1, 2] = -1
    check(choice=choice, probs=changed(EVEN, (1, 2), [np.nan, 5.0, -1.0]))
    check(probs=changed(EVEN, (1, 2, 0), 1 / 3 + 9e-7))
    with pytest.raises(bb.BeliefBenchError, match=r"a sum differs by 1\.1e-06 \(they are float64"):
        check(probs=changed(EVEN, (1, 2, 0), 1 / 3 + 1.1e-6))
    with pytest.raises(bb.BeliefBenchError, match=r"a sum differs by 1\.1e-06 \(they are float64"):
        check(probs=changed(EVEN, (1, 2, 0), 1 / 3 - 1.1e-6))
    with pytest.raises(bb.BeliefBenchError, match=r"predict gave a dict; expected a beliefbench\.Prediction"):
        check_answers({}, SHAPE, SimpleNamespace(name="a"))
