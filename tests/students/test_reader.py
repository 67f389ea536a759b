"""Readers: what their tokenizer reads, what their template writes, and where in it they are asked."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from beliefbench.language import words
from beliefbench.students.reader import teaching
from beliefbench.students.reader.conversations import IGNORED, places_of
from beliefbench.students.reader.curriculum import Curriculum, Lessons
from beliefbench.students.reader.heads import lesson_of
from beliefbench.students.reader.teaching import Settings, new_reader, teach_reader

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"hidden_size": 32, "intermediate_size": 64}


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
        ("wage: 7", [*["▁w", "a", "ge"], "▁7"]),
    ],
)
def test_numbers_and_times_are_a_token_each(tokenizer, text, expected):
    found = tokens(tokenizer, text)
    if "wage" in text:
        assert "".join(found[:-1]) == "▁wage"
        assert found[-1] == "▁7"
    else:
        assert found == expected


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


def test_places_are_where_the_text_says(tokenizer, curriculum):
    for number in range(10):
        one = curriculum.examination(number, rounds=2, lines=2 + number % 3)
        found = places_of(one, tokenizer)
        text = [token for token in tokenizer.convert_ids_to_tokens(found.ids)]
        assert len(found.asks) == 3
        for place, recommended in zip(found.asks[:, 0].astype(int), one.recommended, strict=True):
            assert text[place + 1] == f"▁{recommended + 1}"
        np.testing.assert_array_equal(found.asks[:, 1:], one.answers)
        ends = found.ends[:, 0].astype(int)
        assert (np.diff(ends) > 0).all()
        assert all(text[end + 1] in ("\n", "▁\n", "<assistant>") for end in ends)
        sums = [
            (one.believed[stage] @ (one.domain.expand(one.options[stage, option]) - one.domain.mean))
            / one.domain.spread
            for stage in range(3)
            for option in range(3)
        ]
        np.testing.assert_allclose(found.ends[:, 1], sums, atol=1e-12)
        assert found.told[:, 1].tolist() == one.chosen[:2].tolist()
        said = tokenizer.decode(found.said[found.said != IGNORED])
        assert said.count("The best option is") == 3


def test_a_comparison_is_that_of_the_values(tokenizer, curriculum):
    one = curriculum.examination(1, rounds=1, lines=2)
    found = places_of(one, tokenizer)
    for _, stage, option, first, second, _ in found.items.tolist():
        assert (first == IGNORED) == (option == 0)
        assert (second == IGNORED) == (option < 2)
        assert stage in (0, 1)


def test_padding_changes_no_loss(tokenizer, curriculum):
    torch.manual_seed(0)
    reader = new_reader(tokenizer)
    one = places_of(curriculum.examination(0, 1, 2), tokenizer)
    longer = places_of(curriculum.examination(1, 3, 4), tokenizer)
    alone = reader.predict(lesson_of([one], tokenizer.pad_token_id))
    beside = reader.predict(lesson_of([one, longer], tokenizer.pad_token_id))[: len(one.asks)]
    torch.testing.assert_close(alone, beside, atol=1e-5, rtol=0)


def test_steps_are_drawn_the_same_whenever_that_is(tokenizer, curriculum):
    lessons = Lessons(curriculum, tokenizer)
    later = lessons[3]
    assert torch.equal(lessons[3][0]["ids"], later[0]["ids"])
    assert not torch.equal(lessons[3][0]["ids"], lessons[0][0]["ids"])


def test_a_reader_is_a_model_as_any_other_and_goes_on_after_a_kill(tmp_path):
    """Killed in mid-teaching, the same command ends at the same weights."""
    child = f"""
import sys
from pathlib import Path
from beliefbench.students.reader import curriculum, examination, teaching
teaching.SHAPE |= {SMALL}
examination.EACH, examination.LINES = 1, (2,)
curriculum.Curriculum.tokenizer.__defaults__ = (20, 700)
teaching.teach_reader(teaching.Settings(interactions=4 * 16), Path(sys.argv[1]), lambda said: print(said.step, flush=True))
"""
    whole = tmp_path / "whole"
    subprocess.run([sys.executable, "-c", child, str(whole)], check=True, capture_output=True, timeout=300)
    stopped = tmp_path / "stopped"
    process = subprocess.Popen([sys.executable, "-c", child, str(stopped)], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line) >= 2:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.1)
    subprocess.run([sys.executable, "-c", child, str(stopped)], check=True, capture_output=True, timeout=300)
    first, second = (load_file(folder / "model.safetensors") for folder in (whole, stopped))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert json.loads((whole / "teaching.json").read_text())["student"] == "reader"
    assert not (whole / "checkpoints").exists()


def test_numbers_lie_on_smooth_curves(tokenizer):
    """Neighbours among numbers have like embeddings before anything is learnt."""
    reader = new_reader(tokenizer)
    table = reader.embedding.table().detach()
    row = {value: table[tokenizer.convert_tokens_to_ids(f"▁{value}")] for value in (500, 505, 900)}
    assert (row[500] - row[505]).norm() < (row[500] - row[900]).norm()


def test_too_few_interactions_are_refused(tmp_path):
    with pytest.raises(teaching.UsageError, match="expected 16"):
        teach_reader(Settings(interactions=1), tmp_path / "none")
