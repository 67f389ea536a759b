"""What a reader reads: its tokens, the tables that its chat template writes, and the targets in them."""

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.language.questions import words
from beliefbench.language.questions.dialogue import messages
from beliefbench.language.questions.words import Turn
from beliefbench.students.reader.conversations import COLUMN_SCALE, IGNORED, PART_SCALE, Annotator, chat_of
from beliefbench.students.synthetic.domains import SyntheticDomain
from beliefbench.students.synthetic.interactions import Interaction
from beliefbench.students.synthetic.lines import Line


def tokens(tokenizer, text):
    return tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("370", ["▁370"]),
        ("$370, €5", ["▁370", ",", "▁5"]),
        ("12:05 PM", ["▁12:05▁PM"]),
        ("23:59", ["▁23:59"]),
        ("1200", ["▁1200"]),
        ("24500, 1,200", ["▁24", "500", ",", "▁1", ",", "200"]),
    ],
)
def test_numbers_and_times_are_one_token_each(tokenizer, text, expected):
    assert tokens(tokenizer, text) == expected


def test_a_colon_between_a_label_and_its_value_is_no_token(tokenizer):
    *label, value = tokens(tokenizer, "wage: 7")
    assert ("".join(label), value) == ("▁wage", "▁7")


@pytest.mark.parametrize("text", ["naïve 東京 🙂", "x = {y}", "a\tb", "“quoted”"])
def test_any_text_is_read(tokenizer, text):
    assert tokenizer.unk_token_id is None
    read = tokenizer.decode(tokenizer(text)["input_ids"])
    assert [letter for letter in read if not letter.isspace()] == [letter for letter in text if letter not in " \t=("]


def test_an_answer_is_written_as_the_suite_writes_it(tokenizer):
    for item, option in (("Flight", 0), ("Hotel", 1), ("Product", 2)):
        answer = words.answer(item, option)
        assert tokenizer.decode(tokenizer(answer)["input_ids"]) == answer


QUESTION = words.question(
    "Flight",
    [
        "Jug\nprice: $5\nbags: 1 big, 2 small\nhas: lid, lock, and tag",
        "price: $7\nbags: 0 big, 1 small\nhas: tag",
        "price: $6\nbags: 2 big, 0 small\nhas: lamp and tag",
    ],
)


def chat(*feedback):
    """A conversation with the same question in each round."""
    said = ["Hello.", *feedback]
    users = [{"role": "user", "content": words.opening("Flight", one) + QUESTION} for one in said]
    answer = {"role": "assistant", "content": words.answer("Flight", 1)}
    return [message for user in users for message in (user, answer)][:-1]


def test_a_question_is_written_as_a_table(tokenizer):
    """What all options have is left out, and so is a title."""
    assert tokenizer.apply_chat_template(chat(), tokenize=False) == (
        "<start><set>Flight<is>"
        "$5<1>$7<2>$6<line 1>"
        "1 big<1>0 big<2>2 big<line 2>"
        "2 small<1>1 small<2>0 small<line 3>"
        "<has 100><line 4><has 100><line 5><has 001><line 6>"
        "<assistant>"
    )


@pytest.mark.parametrize("feedback", [(1, 2), (2, 2), (-1, 2)])
def test_a_finished_round_is_written_with_the_chosen_option_first(tokenizer, feedback):
    written = tokenizer.apply_chat_template(chat(words.feedback("Flight", *feedback)), tokenize=False)
    assert written == (
        "<start><round>"
        "$6<chosen>$5<other>$7<line 1>"
        "2 big<chosen>1 big<other>0 big<line 2>"
        "0 small<chosen>2 small<other>1 small<line 3>"
        "<chosen 0 others 1><line 4><chosen 0 others 1><line 5><chosen 1 others 0><line 6>"
        "<set>Flight<is>"
        "$5<1>$7<2>$6<line 1>1 big<1>0 big<2>2 big<line 2>2 small<1>1 small<2>0 small<line 3>"
        "<has 100><line 4><has 100><line 5><has 001><line 6>"
        "<assistant>"
    )


def test_what_is_no_question_about_three_options_is_written_as_it_is(tokenizer):
    said = [{"role": role, "content": text} for role, text in (("user", "a"), ("assistant", "b"), ("user", "c\n\nd"))]
    assert tokenizer.apply_chat_template(said, tokenize=False) == "<start>a<assistant>b<end>c\n\nd<assistant>"
    asked = {"role": "user", "content": words.feedback("Flight", 0, 1) + "\n\nHow much?"}
    written = tokenizer.apply_chat_template([*chat("")[:2], asked], tokenize=False)
    assert written.endswith("<line 6>Your option Flight 1 is incorrect. I prefer Flight 2.\n\nHow much?<assistant>")
    two = QUESTION.partition("\nFlight 3:")[0]
    assert tokenizer.apply_chat_template([{"role": "user", "content": two}], tokenize=False) == (
        f"<start>{two}<assistant>"
    )


def test_a_reader_is_taught_the_tokens_that_it_is_asked_with(tokenizer, curriculum):
    """The chat template writes the same tables as `tables`, in every layout and after every number of rounds."""
    annotate = Annotator(tokenizer).annotate
    for number in range(40):
        one = curriculum.examination(number, rounds=3, lines=2 + number % 7)
        found, said = annotate(one), chat_of(one)
        for branch in range(1, 5):
            text = tokenizer.apply_chat_template(said[: 2 * branch], tokenize=False)
            mine = found.branches == branch
            read = found.ids[: found.reads[mine][0]].tolist() + found.ids[mine].tolist()
            assert tokenizer(text, add_special_tokens=False)["input_ids"] == read, text
            assert found.positions[mine].tolist() == list(range(found.reads[mine][0], len(read)))


def test_a_conversation_of_five_rounds_on_four_lines_has_700_tokens_or_fewer(tokenizer):
    flights = bb.load_domain("flights")
    options = np.random.default_rng(0).integers(0, 11, (6, 3, 4)) / 10
    asked = [words.question("Flight", [flights.describe(one) for one in three]) for three in options]
    said = [words.feedback("Flight", 0, 1)] * 6
    turns = [
        Turn(words.opening("Flight", before), one, words.answer("Flight", 0))
        for before, one in zip(said, asked, strict=True)
    ]
    text = tokenizer.apply_chat_template(messages(turns, "", "")[:-1], tokenize=False)
    assert len(tokenizer(text)["input_ids"]) <= 700


def test_answers_are_asked_for_before_the_number_of_the_option(tokenizer, curriculum):
    for number in range(10):
        one = curriculum.examination(number, rounds=2, lines=2 + number % 3)
        found = Annotator(tokenizer).annotate(one)
        text = tokenizer.convert_ids_to_tokens(found.ids)
        assert len(found.asks) == 3
        for ask, recommended in zip(found.asks[:, 0].astype(int), one.recommended, strict=True):
            assert text[ask + 1] == f"▁{recommended + 1}"
            assert found.labels[ask] == (found.ids[ask + 1] if ask > found.asks[-2, 0] else IGNORED)
        np.testing.assert_array_equal(found.asks[:, 1:4], one.answers)
        written = tokenizer.decode(found.labels[found.labels != IGNORED])
        assert written == words.answer(one.domain.item, int(one.recommended[-1])) + "<end>"


def test_the_parts_of_rows_sum_to_the_expected_rewards(tokenizer, curriculum):
    """What all options have is left out, and makes no difference."""
    for number in range(30):
        one = curriculum.examination(number, rounds=1, lines=2 + number % 5)
        found = Annotator(tokenizer).annotate(one)
        for branch, rewards in zip((1, 2), found.asks[:, 4:], strict=True):
            mine = found.branches[found.parts[:, 0].astype(int)] == branch
            np.testing.assert_allclose(found.parts[mine, 1:].sum(axis=0) / PART_SCALE, rewards, atol=1e-9)


def test_targets_of_rows(tokenizer):
    """Worked out by hand: one option 1 kg, red, with a lid; one 3 kg, blue, without; one 1 kg, blue, with both."""
    lines = (
        Line("number", "weight", ("1 kg", "2 kg", "3 kg")),
        Line("category", "color", ("red", "blue")),
        Line("attributes", "has", ("lid", "lock")),
    )
    weights = np.array([[1.0, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0]])
    domain = SyntheticDomain("Box", "", lines, "\n", ": ", weights)
    options = np.array([[[0.0, 0, 1, 0], [1, 1, 0, 0], [0, 1, 1, 1]]] * 2)
    believed = np.array([[0.0] * 5, [1.0, 0, -0.5, 0, 0.25], [1.0, 0, 0, 0, 0]])
    thirds = np.full((2, 3), 1 / 3)
    one = Interaction(domain, options, np.array([1, 1]), np.array([0, 1]), thirds, believed, thirds)
    found = Annotator(tokenizer).annotate(one)
    assert tokenizer.decode(found.ids).count("<line 1>") == 3
    # 1 against a mean of 1/3; the chosen option is first in the table of the finished round.
    np.testing.assert_allclose(
        found.compared[:, 1:] * 3 / COLUMN_SCALE, [[-1, 2, -1], [2, -1, -1], [-1, 2, -1]], atol=1e-12
    )
    # Weight, red, lid, blue, lock: the first question, then the finished round, then the second question.
    worths = found.worths[:, 1].reshape(3, 6) * domain.reward_sd
    np.testing.assert_allclose(worths, [[0] * 6, [1, 0, 0, -0.5, 0, 0.25], [1, 0, 0, -0.5, 0, 0.25]], atol=1e-12)
    second = found.parts[6:, 1:] * domain.reward_sd * 3 / PART_SCALE
    np.testing.assert_allclose(
        second,
        [[-1, 2, -1], [0, 0, 0], [0, 0, 0], [1, -0.5, -0.5], [0, 0, 0], [-0.25, -0.25, 0.5]],
        atol=1e-12,
    )
