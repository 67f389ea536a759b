"""Readers: their tokenizer, their chat template, the targets of their conversations, and their training."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from beliefbench.language.questions import words
from beliefbench.students.reader import examination, teaching
from beliefbench.students.reader.conversations import EQUAL, HIGHER, IGNORED, LOWER, MAX_LINES, OTHER, annotate
from beliefbench.students.reader.curriculum import Curriculum, Lessons
from beliefbench.students.reader.heads import lesson_of
from beliefbench.students.reader.teaching import Settings, new_reader, teach_reader
from beliefbench.students.synthetic.domains import SyntheticDomain
from beliefbench.students.synthetic.interactions import Interaction
from beliefbench.students.synthetic.lines import Line

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"hidden_size": 32, "intermediate_size": 64}
WORDS = {"domains": 20, "pieces": 700}
STEP, SHORT = 2, (1, (2,), 1)
CHILD = f"""
from beliefbench.cli.main import main
from beliefbench.students.reader import examination, teaching
teaching.SHAPE |= {SMALL}
teaching.TOKENIZER |= {WORDS}
teaching.BATCH = {STEP}
examination.ROUNDS, examination.LINES, examination.DOMAINS = {SHORT}
main()
"""


@pytest.fixture(scope="module")
def curriculum():
    return Curriculum("posterior", steps=10, batch=2)


@pytest.fixture(scope="module")
def tokenizer(curriculum):
    return curriculum.tokenizer(domains=100, pieces=1_000)


def tokens(tokenizer, text):
    return tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("370", ["▁370"]),
        ("$370, €5", ["▁370", ",", "▁5"]),
        ("12:05 PM", ["▁12:05▁PM"]),
        ("23:59", ["▁23:59"]),
        ("1200", ["▁1", "200"]),
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


def test_the_option_that_the_user_prefers_is_repeated(tokenizer):
    question = words.question("Flight", ["price: $1", "price: $2\nstops: 0", "price: $3"])
    for recommended, chosen, text in ((0, 1, "price: $2\nstops: 0"), (2, 2, "price: $3"), (-1, 0, "price: $1")):
        chat = [
            {"role": "user", "content": words.opening("Flight", "Hello.") + question},
            {"role": "assistant", "content": words.answer("Flight", recommended)},
            {
                "role": "user",
                "content": words.opening("Flight", words.feedback("Flight", recommended, chosen)) + question,
            },
        ]
        written = tokenizer.apply_chat_template(chat, tokenize=False)
        assert f"<chosen>{text}<end>{words.feedback('Flight', recommended, chosen)}" in written


def test_a_conversation_that_says_nothing_of_a_choice_is_written_as_it_is(tokenizer):
    chat = [{"role": role, "content": text} for role, text in (("user", "a"), ("assistant", "b"), ("user", "c\n\nd"))]
    assert tokenizer.apply_chat_template(chat, tokenize=False) == "a<assistant>b<end>c\n\nd<assistant>"


def test_targets_are_at_the_tokens_that_the_text_says(tokenizer, curriculum):
    for number in range(10):
        one = curriculum.examination(number, rounds=2, lines=2 + number % 3)
        found = annotate(one, tokenizer)
        text = tokenizer.convert_ids_to_tokens(found.ids)
        assert len(found.asks) == 3
        for ask, recommended in zip(found.asks[:, 0].astype(int), one.recommended, strict=True):
            assert text[ask + 1] == f"▁{recommended + 1}"
            assert found.labels[ask] == IGNORED
        np.testing.assert_array_equal(found.asks[:, 1:], one.answers)
        ends = found.ends[:, 0].astype(int)
        assert (np.diff(ends) > 0).all()
        assert all(text[end + 1] in ("\n", "▁\n", "<assistant>") for end in ends)
        rewards = [
            (one.believed[at] @ (one.domain.expand(one.options[at, option]) - one.domain.column_means))
            / one.domain.reward_sd
            for at in range(3)
            for option in range(3)
        ]
        np.testing.assert_allclose(found.ends[:, 1], rewards, atol=1e-12)
        assert found.told[:, 1].tolist() == one.chosen[:2].tolist()
        written = tokenizer.decode(found.labels[found.labels != IGNORED])
        assert written.count("The best option is") == written.count("<end>") == 3


def test_a_value_is_compared_with_those_of_earlier_options(tokenizer):
    """Worked out by hand: one option small, red, with a lid; one large, blue, without; one small, blue, with both."""
    lines = (
        Line("ordered", "size", ("small", "large")),
        Line("category", "color", ("red", "blue")),
        Line("attributes", "has", ("lid", "lock")),
    )
    weights = np.array([[1.0, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0]])
    domain = SyntheticDomain("Box", "", lines, "\n", ": ", weights)
    options = np.array([[[0.0, 0, 1, 0], [1, 1, 0, 0], [0, 1, 1, 1]]] * 2)
    believed = np.array([[0.0] * 5, [1.0, 0, 0, 0, 0], [1.0, 0, 0, 0, 0]])
    thirds = np.full((2, 3), 1 / 3)
    one = Interaction(domain, options, np.array([1, 1]), np.array([0, 1]), thirds, believed, thirds)
    found = annotate(one, tokenizer)
    first = found.values[found.values[:, 1] == 0]
    assert first[:, 2].tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2]
    assert first[:3, 3:5].tolist() == [[IGNORED, IGNORED]] * 3
    assert first[3:5, 3:5].tolist() == [[HIGHER, IGNORED], [OTHER, IGNORED]]
    assert first[5:, 3:5].tolist() == [[EQUAL, LOWER], [OTHER, EQUAL], [EQUAL, OTHER], [OTHER, OTHER]]
    # The repeated option is the large blue one: 1 against a mean of 1/3, and blue against 2/3 of blue ones.
    np.testing.assert_allclose(found.restated[:, 1], [2.5 * 2 / 3, 2.5 / 3])
    np.testing.assert_allclose(found.told[0, [1, 2]], [1, 2.5 * 2 / 3])
    assert found.told[0, 2 + MAX_LINES] == pytest.approx(1 / domain.reward_sd / 3)
    assert np.isnan(found.told[0, 3 : 2 + MAX_LINES]).all()


def test_padding_changes_no_prediction(tokenizer, curriculum):
    torch.manual_seed(0)
    reader = new_reader(tokenizer)
    one = annotate(curriculum.examination(0, 1, 2), tokenizer)
    longer = annotate(curriculum.examination(1, 3, 4), tokenizer)
    alone = reader.predict(lesson_of([one], tokenizer.pad_token_id))
    beside = reader.predict(lesson_of([one, longer], tokenizer.pad_token_id))[: len(one.asks)]
    torch.testing.assert_close(alone, beside, atol=1e-5, rtol=0)


def test_a_lesson_depends_on_its_number_alone(tokenizer, curriculum):
    lessons = Lessons(curriculum, tokenizer)
    ids = lessons[3][0]["ids"]
    assert not torch.equal(lessons[0][0]["ids"], ids)
    assert torch.equal(lessons[3][0]["ids"], ids)


@pytest.fixture
def small_readers(monkeypatch):
    """Narrow readers with few words, small steps and a short examination; `CHILD` makes the same."""
    monkeypatch.setattr(teaching, "SHAPE", teaching.SHAPE | SMALL)
    monkeypatch.setattr(teaching, "TOKENIZER", WORDS)
    monkeypatch.setattr(teaching, "BATCH", STEP)
    for name, value in zip(("ROUNDS", "LINES", "DOMAINS"), SHORT, strict=True):
        monkeypatch.setattr(examination, name, value)
    yield
    torch.set_flush_denormal(False)


@pytest.mark.slow
@pytest.mark.usefixtures("small_readers")
def test_a_killed_training_ends_with_the_same_weights(call, tmp_path):
    """Uninterrupted; killed and continued through the command line; and once more."""
    teach_reader(Settings(interactions=6 * STEP), tmp_path / "whole")
    command = ["teach", "reader", "--interactions", str(6 * STEP), "--out", str(tmp_path / "killed")]
    killed = subprocess.Popen(
        [sys.executable, "-c", CHILD, *command],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("checkpoints/*/trainer_state.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, "it ended before it could be killed"
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    assert call(*command)[0] == 0
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not (tmp_path / "killed" / "checkpoints").exists()
    assert "was taught already" in call(*command)[2]
    status, _, said = call(*command, "--seed", "1")
    assert (status, said.count("\n")) == (2, 1)
    assert "holds another training (seed is 0 there and 1 here)" in said


def test_numbers_lie_on_smooth_curves(tokenizer):
    """Neighbours among numbers have like embeddings before anything is learnt."""
    reader = new_reader(tokenizer)
    table = reader.embedding.table().detach()
    row = {value: table[tokenizer.convert_tokens_to_ids(f"▁{value}")] for value in (500, 505, 900)}
    assert (row[500] - row[505]).norm() < (row[500] - row[900]).norm()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--interactions", "3"], "expected 16 to"),
        (["--seed", "-1"], "expected 0 to"),
        (["--workers", "-1"], "expected 0 to 256"),
    ],
)
def test_a_wrong_call_is_one_sentence(call, arguments, why):
    status, _, said = call("teach", "reader", "--out", "reader", *arguments)
    assert (status, said.count("\n")) == (2, 1), said
    assert why in said
    assert not Path("reader").exists()
