"""Reading what models write: what is said is read, and what is not said is never made up."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefbench.language import words
from beliefbench.language.parsing import named_level, named_option
from beliefbench.language.stated_probs import stated_probabilities

FLIGHTS = [f"Flight {number}" for number in (1, 2, 3)]


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
        ("The best option is Flight 2, 30 min long and cheap.", 1),
        ("I take Flight 2 at $100 and 30 min.", 1),
        ("The answer is option 1.", 0),
        ("Flight 2", 1),
        ("I recommend flight 2, since it is cheap.", 1),
        ("Option #3", 2),
        ("I'd go with Flight 3.", 2),
        ("You should choose option 2, the cheapest.", 1),
        ("My recommendation is Flight 1, as it is short.", 0),
        ("Given what you like, I would suggest taking the short Flight 3.", 2),
        ("2.", 1),
        ("(3)", 2),
        ("The best option is number 2", 1),
        ("The best option is: Flight 2.", 1),
        ("The best option is not Flight 2 but Flight 3.", 2),
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
        "Flight 1 or 2.",
        "Flight 1:\nDeparture time: 07:36 AM, Duration: 4 hr 24 min, Number of St",
        "To choose the best flight for your trip, we need to consider factors such as layovers (Flight 1), stops",
        "You said that you like Flight 2.",
        "The most expensive is Flight 2.",
        "Flights 1 and 3 are both good.",
        "The best option is Flight 1 or 3.",
        "The best option is Flight 1/Flight 3.",
        "The best option is Flight 2. No: the best option is Flight 1 or Flight 3.",
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
        "The best option is either Flight 1 or Flight 3.",
    ],
)
def test_what_is_not_said_is_not_made_up(text):
    assert named_option(text, "Flight") == -1


@given(st.text(max_size=300))
def test_no_junk_breaks_it(junk):
    assert named_option(junk, "Flight") in (-1, 0, 1, 2)
    probs = stated_probabilities(junk, FLIGHTS)
    assert probs is None or (probs.shape == (3,) and (probs >= 0).all() and abs(probs.sum() - 1) < 1e-12)
    assert named_level(junk, 5) in (-1, 0, 1, 2, 3, 4)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_breaks_it(value):
    probs = stated_probabilities(json.dumps(value), FLIGHTS)
    assert probs is None or abs(probs.sum() - 1) < 1e-12


@given(st.lists(st.floats(0.001, 1), min_size=3, max_size=3), st.sampled_from(["", "I think:\n```json\n", "[1] says "]))
def test_stated_probabilities_come_back(weights, before):
    probs = np.array(weights) / np.sum(weights)
    text = json.dumps({f"Flight {option + 1}": float(one) for option, one in enumerate(probs)})
    np.testing.assert_allclose(stated_probabilities(before + text, FLIGHTS), probs, rtol=1e-9)


@pytest.mark.parametrize(
    ("text", "probs"),
    [
        ('{"flight 1": 0.5, "flight 2": 0.25, "flight 3": 0.25}', [0.5, 0.25, 0.25]),
        ('{"flight_1": 50, "flight_2": 25, "flight_3": 25}', [0.5, 0.25, 0.25]),
        ('{"3": "25 %", "2": "25%", "1": "50%"}', [0.5, 0.25, 0.25]),
        ("[0.5, 0.25, 0.25]", [0.5, 0.25, 0.25]),
        ('{"Flight 1": 0.33, "Flight 2": 0.33, "Flight 3": 0.33}', [1 / 3, 1 / 3, 1 / 3]),
        ('{"probabilities": {"Flight 1": 0.5, "Flight 2": 0.25, "Flight 3": 0.25}}', [0.5, 0.25, 0.25]),
        ('{"Flight 1": "50.0 %", "Flight 2": "25%", "Flight 3": "25%", "reason": "It is cheap."}', [0.5, 0.25, 0.25]),
        (
            '[{"option": "Flight 2", "p": 0.25}, {"option": "Flight 1", "p": 0.5}, {"option": "Flight 3", "p": 0.25}]',
            [0.5, 0.25, 0.25],
        ),
        ('{"1": 0.5, "2": 0.25, "3": 0.25} (see [1] and [2, 3, 4])', [0.5, 0.25, 0.25]),
        ('<think>{"1": 1, "2": 0, "3": 0}</think>{"1": 0.5, "2": 0.25, "3": 0.25}', [0.5, 0.25, 0.25]),
        ("**Flight 1:** 50%\n- Flight 2: 25 %\n- Flight 3: 25%", [0.5, 0.25, 0.25]),
        ("{'Flight 1': 0.5, 'Flight 2': 0.25, 'Flight 3': 0.25,}", [0.5, 0.25, 0.25]),
        ('First {"Flight 1": 1, "Flight 2": 0, "Flight 3": 0}, no: {"1": 0, "2": 0, "3": 1}', [0, 0, 1]),
    ],
)
def test_other_ways_to_state_probabilities_are_read(text, probs):
    np.testing.assert_allclose(stated_probabilities(text, FLIGHTS), probs, atol=1e-12)


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
        '{"Flight 1": 0.2, "Flight 1": 0.3, "Flight 2": 0.3, "Flight 3": 0.5}',
        '{"Flight 1": 0.2, "1": 0.3, "Flight 2": 0.3, "Flight 3": 0.5}',
        '{"Flight 1": "0.2%", "Flight 2": "0.3%", "Flight 3": "0.5%"}',
        '{"Flight 1": "high", "Flight 2": "low", "Flight 3": "low"}',
        '{"Flight 1": 1, "Flight 2": 0, "Flight 3": 0}, or rather {"Flight 1": 0.5, "Flight 2": 0.9, "Flight 3": 0.9}',
        '<think>{"Flight 1": 0.8, "Flight 2": 0.1, "Flight 3": 0.1}? No, since',
        "Flight 1: 50%, Flight 2: 30%, Flight 3: 20%, or Flight 1: 20%",
        "Flight 1: 07:36 AM, Flight 2: 12:00 PM, Flight 3: 09:12 PM",
        "Flight 1: 50%, Flight 2: 50%",
        "0.2, 0.3, 0.5",
        "[" * 100_000,
        "[1, " * 100_000,
        "{" + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
def test_what_is_no_probability_is_none(text):
    assert stated_probabilities(text, FLIGHTS) is None


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("Your preference is 3.", 2),
        ("My preference for price is **5**.", 4),
        ("On a scale of 1 to 5, your preference is 4.", 3),
        ("3", 2),
        ("2/5", 1),
        ("I would say 4 out of 5.", 3),
        ("Answer: 1", 0),
        ("<think>Perhaps 2 or 3.</think>Your preference is 4.", 3),
        ("Your preference is 2. No: your preference is 4.", 3),
        ("\\boxed{4}", 3),
        ("You chose the flight at $100 and the one at $190; your preference for price is: 1", 0),
    ],
)
def test_levels_are_read(text, level):
    assert named_level(text, 5) == level


@pytest.mark.parametrize(
    "text", ["", "1 or 2", "between 2 and 3", "Your preference is 6.", "4.5", "not 3", "cheaper flights", "$3", "12"]
)
def test_levels_that_are_not_said_are_not_made_up(text):
    assert named_level(text, 5) == -1


def test_probabilities_of_levels_are_stated_as_those_of_options_are():
    levels = [str(level) for level in range(1, 6)]
    found = stated_probabilities('{"1": 0.5, "2": 0.2, "3": 0.1, "4": 0.1, "5": 0.1}', levels)
    np.testing.assert_allclose(found, [0.5, 0.2, 0.1, 0.1, 0.1])
    assert stated_probabilities('{"1": 0.5, "2": 0.5}', levels) is None
