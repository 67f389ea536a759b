"""Reading what models write: what is said is read, and what is not said is never made up."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.language import words
from bench.language.parsing import named_option, stated_levels, stated_probabilities


@pytest.mark.parametrize("item", ["Flight", "Hotel", "Product"])
@pytest.mark.parametrize("option", [0, 1, 2])
def test_the_papers_answer_is_read(item, option):
    assert named_option(words.answer(item, option), item) == option
    assert named_option(f"  {words.answer(item, option)}\n", item) == option


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("The best option is **Flight 2**.", 1),
        ("the best option is flight 2", 1),
        ("Based on your preferences, the best flight for you would be Flight 3.", 2),
        ("Based on your preferences, the best flight would be Flight 3, not Flight 1.", 2),
        ("Flight 1 is long. Flight 2 is dear. The best option is Flight 3.", 2),
        ("The best option is Flight 1. No: the best option is Flight 2.", 1),
        ("Answer: 3", 2),
        ("The answer is option 1.", 0),
        ("Flight 2", 1),
        ("I recommend flight 2, since it is cheap.", 1),
        ("Option #3", 2),
        ("2.", 1),
        ("(3)", 2),
        ("The best option is number 2", 1),
        ("The best option is: Flight 2.", 1),
    ],
)
def test_what_is_said_in_other_words_is_read(text, option):
    assert named_option(text, "Flight") == option


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I need more information.",
        "Flight 1 and Flight 2 are both good.",
        "Not Flight 1.",
        "I wouldn't take Flight 2.",
        "The best option is Flight 4.",
        "The best option is Flight 12.",
        "The best option is Flight 0.",
        "Flight 22",
        "Hotel 2",
        "$370",
        "2 or 3",
        "There are 3 flights.",
        "The best option is 2.5 hours long.",
        "The best option is not Flight 2 but Flight 3.",
        "The best option is either Flight 1 or Flight 3.",
    ],
)
def test_what_is_not_said_is_not_made_up(text):
    assert named_option(text, "Flight") == -1


@given(st.text(max_size=300))
def test_no_junk_breaks_it(junk):
    assert named_option(junk, "Flight") in (-1, 0, 1, 2)
    probs = stated_probabilities(junk, "Flight")
    assert probs is None or (probs.shape == (3,) and (probs >= 0).all() and abs(probs.sum() - 1) < 1e-12)
    assert stated_levels(junk, ("price",), 5) in (None, (1,), (2,), (3,), (4,), (5,))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_breaks_it(value):
    probs = stated_probabilities(json.dumps(value), "Flight")
    assert probs is None or abs(probs.sum() - 1) < 1e-12
    assert stated_levels(json.dumps(value), ("price", "duration"), 5) is None


@given(st.lists(st.floats(0.001, 1), min_size=3, max_size=3), st.sampled_from(["", "I think:\n```json\n", "[1] says "]))
def test_stated_probabilities_come_back(weights, before):
    probs = np.array(weights) / np.sum(weights)
    text = json.dumps({f"Flight {option + 1}": float(one) for option, one in enumerate(probs)})
    np.testing.assert_allclose(stated_probabilities(before + text, "Flight"), probs, rtol=1e-9)


@pytest.mark.parametrize(
    ("text", "probs"),
    [
        ('{"flight 1": 0.5, "flight 2": 0.25, "flight 3": 0.25}', [0.5, 0.25, 0.25]),
        ('{"flight_1": 50, "flight_2": 25, "flight_3": 25}', [0.5, 0.25, 0.25]),
        ('{"3": "25 %", "2": "25%", "1": "50%"}', [0.5, 0.25, 0.25]),
        ("[0.5, 0.25, 0.25]", [0.5, 0.25, 0.25]),
        ('{"Flight 1": 0.33, "Flight 2": 0.33, "Flight 3": 0.33}', [1 / 3, 1 / 3, 1 / 3]),
        ('First {"Flight 1": 1, "Flight 2": 0, "Flight 3": 0}, no: {"1": 0, "2": 0, "3": 1}', [0, 0, 1]),
    ],
)
def test_other_ways_to_state_probabilities_are_read(text, probs):
    np.testing.assert_allclose(stated_probabilities(text, "Flight"), probs, atol=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        '{"Flight 1": 0.5, "Flight 2": 0.5}',
        '{"Flight 1": 0.5, "Flight 2": 0.5, "Flight 3": 0.5}',
        '{"Flight 1": -0.5, "Flight 2": 0.5, "Flight 3": 1}',
        '{"Flight 1": true, "Flight 2": 0, "Flight 3": 0}',
        '{"Flight 1": NaN, "Flight 2": 0, "Flight 3": 1}',
        '{"Flight 1": Infinity, "Flight 2": 0, "Flight 3": 1}',
        '{"Flight 1": 0.2, "Flight 2": 0.3, "Flight 3": 0.5, "Flight 4": 0.0}',
        '{"Flight 1": 0.2, "Flight 2": 0.3, "Hotel 3": 0.5}',
        "0.2, 0.3, 0.5",
        "[" * 10_000,
    ],
)
def test_what_is_no_probability_is_none(text):
    assert stated_probabilities(text, "Flight") is None


def test_levels_are_whole_numbers_on_the_scale_for_every_label():
    labels = ("departure time", "price")
    assert stated_levels('{"Departure_Time": 5, "price": "1"}', labels, 5) == (5, 1)
    for wrong in ('{"price": 1}', '{"departure time": 6, "price": 1}', '{"departure time": 2.5, "price": 1}', "[1, 2]"):
        assert stated_levels(wrong, labels, 5) is None
