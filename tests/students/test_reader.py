"""Readers: what they predict, and their training."""

import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

import beliefbench as bb
from beliefbench.agents.prompted import TAUGHT
from beliefbench.language.local.chat_format import chat_format_of
from beliefbench.language.questions.dialogue import Dialogue
from beliefbench.students.reader import examination, teaching
from beliefbench.students.reader.conversations import Annotator, chat_of
from beliefbench.students.reader.curriculum import GROUP, Groups, lessons_of
from beliefbench.students.reader.heads import lesson_of
from beliefbench.students.reader.teaching import Settings, new_reader, teach_reader

pytestmark = pytest.mark.usefixtures("one_thread", "narrow")

SHIPPED = TAUGHT / "posterior-reader"
SMALL = {"hidden_size": 32, "intermediate_size": 64}
WORDS = {"domains": 20, "pieces": 700}
SHORT = 1, (2,), 1
CHILD = f"""
from beliefbench.cli.main import main
from beliefbench.students.reader import examination, teaching
teaching.SHAPE |= {SMALL}
teaching.TOKENIZER |= {WORDS}
examination.ROUNDS, examination.LINES, examination.DOMAINS = {SHORT}
main()
"""


def test_rows_are_numbered_at_random_where_asked(tokenizer, curriculum):
    """The same rows have the same number; all else stays."""
    annotator = Annotator(tokenizer)
    one = curriculum.examination(0, 2, 4)
    plain, shuffled = annotator.annotate(one), annotator.annotate(one, np.random.default_rng(0))
    numbered = np.isin(plain.ids, annotator.lines)
    np.testing.assert_array_equal(plain.ids[~numbered], shuffled.ids[~numbered])
    pairs = set(zip(plain.ids[numbered].tolist(), shuffled.ids[numbered].tolist(), strict=True))
    assert len(pairs) == len({first for first, _ in pairs}) == len({second for _, second in pairs})
    assert any(first != second for first, second in pairs)


def test_a_question_is_answered_as_if_it_were_asked_alone(tokenizer, curriculum):
    """The questions of other rounds, and their answers, are hidden from it."""
    torch.manual_seed(0)
    reader = new_reader(tokenizer)
    one = curriculum.examination(3, 3, 3)
    together = reader.read_lesson(lesson_of([Annotator(tokenizer).annotate(one)], tokenizer.pad_token_id))[0]
    model, numbers = reader.language_model(), reader.options
    for branch, probs in enumerate(together):
        said = chat_of(one)[: 2 * branch + 2]
        ids = tokenizer(tokenizer.apply_chat_template(said, tokenize=False), return_tensors="pt")["input_ids"]
        logits = model(ids[:, :-3]).logits[0, -1]  # without the number, the full stop and the end
        torch.testing.assert_close(logits[numbers].softmax(-1), probs, atol=1e-5, rtol=0)


def test_padding_changes_no_prediction(tokenizer, curriculum):
    torch.manual_seed(0)
    reader = new_reader(tokenizer)
    annotate = Annotator(tokenizer).annotate
    one, longer = annotate(curriculum.examination(0, 1, 2)), annotate(curriculum.examination(1, 3, 4))
    alone = reader.read_lesson(lesson_of([one], tokenizer.pad_token_id))[0]
    beside = reader.read_lesson(lesson_of([one, longer], tokenizer.pad_token_id))[0][: len(one.asks)]
    torch.testing.assert_close(alone, beside, atol=1e-5, rtol=0)


def test_a_group_depends_on_its_number_alone(tokenizer, curriculum):
    groups = Groups(curriculum, tokenizer)
    ids = groups[3][0].ids
    assert not np.array_equal(groups[0][0].ids, ids)
    assert np.array_equal(groups[3][0].ids, ids)


def test_the_loss_of_a_step_does_not_depend_on_how_many_are_read_together(tokenizer, curriculum):
    torch.manual_seed(0)
    reader, conversations = new_reader(tokenizer), Groups(curriculum, tokenizer)[9][:6]
    few, many = (reader(lessons_of(conversations, tokenizer.pad_token_id, together)) for together in (2, 6))
    assert few.keys() == many.keys()
    for name, loss in few.items():
        torch.testing.assert_close(loss, many[name], atol=1e-4, rtol=1e-4)


@pytest.fixture
def narrow(monkeypatch):
    """Narrow readers."""
    monkeypatch.setattr(teaching, "SHAPE", teaching.SHAPE | SMALL)


@pytest.fixture
def short(monkeypatch):
    """Few words and a short examination; with `narrow`, `CHILD` makes the same."""
    monkeypatch.setattr(teaching, "TOKENIZER", WORDS)
    for name, value in zip(("ROUNDS", "LINES", "DOMAINS"), SHORT, strict=True):
        monkeypatch.setattr(examination, name, value)
    yield
    torch.set_flush_denormal(False)


@pytest.mark.usefixtures("short")
def test_a_reader_is_taught_by_the_command(call, tmp_path):
    """Two steps; the reference test below teaches more, and compares what is taught."""
    command = ["teach", "reader", "--out", str(tmp_path / "reader"), "--interactions"]
    assert call(*command, str(GROUP + 1))[0] == 0
    card = (tmp_path / "reader" / "README.md").read_text()
    assert f"--teacher posterior --interactions {2 * GROUP} --batch {GROUP} --seed 0" in card
    assert "was taught already" in call(*command, str(2 * GROUP))[2]
    hotels = bb.load_domain("hotels")
    agent = bb.load_agent(f"prompted:{tmp_path / 'reader'},dtype=float32", hotels)
    rows = bb.run(hotels, agent, users=2, rounds=1, heldout=2, results=tmp_path / "results").rows().to_pandas()
    assert rows[["prob_0", "prob_1", "prob_2"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-6)


def questions(*options):
    """Two questions about the same three options, in another order."""
    shown = [[f"Flight {at}:\n{one}" for at, one in enumerate(some, 1)] for some in (options, options[::-1])]
    return tuple("Which flight is the best option?\n\n" + "\n".join(some) for some in shown)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("price: ${}", None),
        ("A 2-hour flight. price: ${}", None),
        ("A 2-hour flight for ${}", "different questions the same way"),
        ("price:${}", "different questions the same way"),
        ("price\uff1a{}", "different questions the same way"),
        ("price: ${}\n\nstops: 1", "does not rewrite this question"),
        ("price: ${}\nFlight 4:\nprice: $4", "does not rewrite this question"),
    ],
)
def test_a_reader_is_not_asked_what_its_template_leaves_out(written, why):
    """Before, a reader answered what is refused here, most of it with the same probabilities for every question."""
    speech = chat_format_of(AutoTokenizer.from_pretrained(SHIPPED), frozenset())
    asked = Dialogue((), "Hello. ", questions(*(written.format(price) for price in (100, 250, 900))))
    with pytest.raises(bb.BeliefBenchError, match=why) if why else nullcontext():
        speech.asked(asked)


def test_a_run_says_so(tmp_path):
    flights_2 = bb.load_domain("flights-2")
    domain = replace(flights_2, describe=lambda option: f"{option[0]:.1f} of an hour for ${option[1]:.1f}")
    with pytest.raises(bb.BeliefBenchError, match="different questions the same way"):
        bb.run(domain, bb.load_agent("posterior-reader", domain), users=1, rounds=1, heldout=2, results=tmp_path)


@pytest.mark.reference
@pytest.mark.usefixtures("short")
def test_a_killed_training_ends_with_the_same_weights(call, tmp_path):
    """Uninterrupted; killed and continued through the command line; and once more."""
    teach_reader(Settings(interactions=6 * GROUP), tmp_path / "whole")
    command = ["teach", "reader", "--interactions", str(6 * GROUP), "--out", str(tmp_path / "killed")]
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
    ids = torch.tensor(tokenizer.convert_tokens_to_ids(["▁500", "▁505", "▁900"]))
    first, close, far = reader.embedding(ids).detach()
    assert (first - close).norm() < (first - far).norm()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--interactions", "3"], "expected 16 to"),
        (["--batch", "8"], "expected 16 to"),
        (["--batch", "24"], "a multiple of 16"),
        (["--seed", "-1"], "expected 0 to"),
        (["--workers", "-1"], "expected 0 to 256"),
    ],
)
def test_a_wrong_call_is_one_sentence(call, arguments, why):
    status, _, said = call("teach", "reader", "--out", "reader", *arguments)
    assert (status, said.count("\n")) == (2, 1), said
    assert why in said
    assert not Path("reader").exists()
