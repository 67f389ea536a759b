"""Written answers as models of ten families write them, against the reading that a careful person gives.

`before.jsonl` was written before the parser. `after.jsonl` was written after it: 34 of its 42 answers were read right
at first. `traps.jsonl` was written while the parser was mended, and `later.jsonl` after that: 33 of 36 at first, and
the three others were read as no answer. `newer.jsonl` and `missed.jsonl` were written without a look at the parser: of
their 195 answers, 10 were at first read as another option, or as an option where there is none, and 32 as no answer.
Those of `missed.jsonl` still are read as no answer. A reading is the option number, or 0 for no answer.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefbench.agents.prompted import Writing
from beliefbench.language.questions.dialogue import Dialogue
from beliefbench.language.replies.alternatives import levels_of, options_of
from beliefbench.language.replies.parsing import find_option, named_level, named_option
from beliefbench.language.replies.stated_probs import stated_probabilities

FOLDER = Path(__file__).parent / "answers"
ANSWERS = [
    json.loads(line)
    for file in sorted(FOLDER.glob("*.jsonl"))
    for line in file.read_text().splitlines()
    if file.stem != "missed"
]
MISSED = [json.loads(line) for line in (FOLDER / "missed.jsonl").read_text().splitlines()]
FLIGHTS = ["Flight 1", "Flight 2", "Flight 3"]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: f"{one['family']}-{one['text'][:30]!r}")
def test_it_is_read_as_a_person_reads_it(answer):
    assert named_option(answer["text"], answer["item"]) + 1 == answer["reading"]


@pytest.mark.parametrize("answer", MISSED, ids=lambda one: repr(one["text"][:30]))
def test_what_is_not_understood_is_no_answer(answer):
    assert named_option(answer["text"], answer["item"]) == -1


def test_the_table_has_what_it_should():
    families = {answer["family"] for answer in ANSWERS}
    assert {"openai", "claude", "gemini", "llama", "qwen", "deepseek", "mistral", "gpt-oss", "gemma", "phi"} < families
    assert len(ANSWERS) >= 120
    assert min(np.bincount([answer["reading"] for answer in ANSWERS])) >= 30


def test_prompted_reads_them_so():
    class Model:
        def write(self, dialogues, longest):
            written = type("Written", (), {})()
            written.text = np.array([list(one.questions) for one in dialogues], dtype=object)
            written.tokens = np.zeros(written.text.shape)
            return written

    for item in ("Flight", "Hotel", "Product"):
        mine = [answer for answer in ANSWERS if answer["item"] == item]
        dialogue = Dialogue((), "", tuple(answer["text"] for answer in mine))
        probs = Writing(Model(), False, 32, "").ask([dialogue], options_of(item)).probs[0]
        read = [0 if np.isnan(one).any() else int(one.argmax()) + 1 for one in probs]
        assert read == [answer["reading"] for answer in mine]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("<think>Flight 2? Flight 1.</think>Flight 1 is dear. The best option is Flight 2. Flight 2 is cheap.", 78),
        ("No 2 is like Flight 1. **Answer:** 2", 35),
        ("The best option is Flight 2.\n\nFinal answer: Flight 2", 26),
        ("The best option is Flight 1. No, I'd choose Flight 2.", 51),
    ],
)
def test_the_place_is_where_the_answer_is_decided(text, place):
    """There a server's log-probabilities say how likely the other options were."""
    found = find_option(text, "Flight")
    assert (found.option, found.place, text[found.place]) == (1, place, "2")


HARMLESS = [
    "Sure!",
    "Thanks for your feedback.",
    "You seem to value price over duration.",
    "Its price is $190 and it takes 2 hr 10 min.",
    "Based on your choices so far, cheap flights matter to you.",
    "| price | stops |\n|---|---|\n| $1 | 3 |",
    "<think>Flight 1 or 3?</think>",
    "This is only my best judgment.",
    "It departs at 02:00 PM.",
]
AFTER = [text for text in HARMLESS if "<think>" not in text]
PICKS = [
    "The best option is Flight {}.",
    "I recommend **Flight {}**.",
    "Flight {} is the best choice for you.",
    "Final answer: {}",
    "$\\boxed{{{}}}$",
    "I'd go with option {}, since it is short.",
]


@given(
    st.lists(st.sampled_from(HARMLESS), max_size=4),
    st.sampled_from(PICKS),
    st.integers(1, 3),
    st.lists(st.sampled_from(AFTER), max_size=4),
    st.sampled_from(["\n", "\n\n", " \t\n\n "]),
)
def test_one_clear_pick_is_read_in_any_harmless_prose(before, pick, number, after, between):
    text = between.join([*before, pick.format(number), *after])
    assert named_option(text, "Flight") == number - 1


PIECES = (
    'Flight ;1;2; or ; and ;not ;The best option is ;?;.;\n;<think>;</think>;if ;,;I recommend ;no, ;**;{;};"answer": ;'
    "\\boxed{;<|channel|>final<|message|>;\x00;\u2028"
)
UNITS = (
    " ;\n;1;1 ;1.;1, ;[;{;{};[1,;( ;* ;.;';\";$;<;<|;a;- ;Flight ;Flight 1 ;Flight 1 and ;Flight 1: 1% ;best ;not ;"
    "best option is ;The best option is Flight 1. ;answer: ;I recommend ;if i had to ;second ;preference is ;<think>;"
    "not ;no, ;<think>a</think>;your option ;let me know ;\\boxed{;matches a ;you have "
)
TEXTS = st.lists(st.sampled_from(PIECES.split(";")), max_size=30).map("".join)


@given(TEXTS | st.text(max_size=200))
def test_no_text_breaks_it(text):
    assert named_option(text, "Flight") in (-1, 0, 1, 2)
    assert named_level(text, 5) in (-1, 0, 1, 2, 3, 4)
    found = find_option(text, "Flight")
    if found and text[found.place].isdigit():
        assert int(text[found.place]) == found.option + 1


@given(TEXTS)
def test_an_open_thought_is_no_answer(text):
    text += "<think>The best option is Flight 1. "
    assert named_option(text, "Flight") == -1
    assert levels_of(5).find(text) is None
    assert stated_probabilities(text + '{"1": 0.2, "2": 0.3, "3": 0.5}', FLIGHTS) is None


@pytest.mark.parametrize("unit", UNITS.split(";"))
def test_its_time_is_linear_in_the_length(unit):
    """A text of 10 kB may take 8 times as long as one of 2.5 kB (4 times, if the machine were quiet)."""

    def seconds(length: int) -> float:
        text = f"The best option is {unit * (length // len(unit))} Flight 2"
        begun = time.process_time()
        named_option(text, "Flight")
        named_level(text, 5)
        stated_probabilities(text, FLIGHTS)
        return time.process_time() - begun

    short, long = (min(seconds(length) for _ in range(3)) for length in (2_500, 10_000))
    assert long < 8 * short + 0.05


@settings(max_examples=20, deadline=None)
@given(st.text("F1 .\n[{\"'<>|a*", min_size=1, max_size=6))
def test_no_unit_takes_more_than_linear_time(unit):
    begun = time.process_time()
    for read in (lambda text: named_option(text, "Flight"), lambda text: stated_probabilities(text, FLIGHTS)):
        read(unit * (10_000 // len(unit)))
    assert time.process_time() - begun < 2


def test_a_megabyte_is_read_in_seconds():
    for unit in (" ", "[", "Flight 1 and "):
        begun = time.process_time()
        assert named_option(unit * (1_000_000 // len(unit)) + "\n\nFinal answer: Flight 2", "Flight") == 1
        assert time.process_time() - begun < 10
