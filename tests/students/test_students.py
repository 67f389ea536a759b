"""Students: what they read, what they are taught, and that they are models as any other."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import beliefbench as bb
from beliefbench.errors import UsageError
from beliefbench.language.local.chat_format import chat_format_of
from beliefbench.language.questions.conversations import Conversations, PromptStyle
from beliefbench.students import student as students
from beliefbench.students.auxiliary_heads import Lesson
from beliefbench.students.interactions import Source
from beliefbench.students.student import BATCH, Settings, new_student, teach_student
from beliefbench.students.token_writer import Writer
from beliefbench.students.vocabulary import END, PhraseVocabulary

pytestmark = pytest.mark.usefixtures("one_thread")

# All draws are of BATCH interactions, as those of a teaching are: each domain's are compiled once.
TAUGHT = ("oracle-taught", "bayesian-taught", "posterior-taught")
TEACH = ("teach", "student", "--domain", "flights-2")
SMALL = {"hidden_size": 32, "intermediate_size": 64}
CHILD = f"""
from beliefbench.cli.main import main
from beliefbench.students import student
student.SHAPE |= {SMALL}
student.EXAMINED = {BATCH}
main()
"""


@pytest.fixture(scope="module")
def flights_2():
    return bb.load_domain("flights-2")


def conversations(domain, drawn, stage):
    """What the users' assistants read after some rounds, made of words by the agents' own code."""
    state = Conversations(
        domain,
        PromptStyle(),
        None,
        drawn.options[:, :stage],
        drawn.recommended[:, :stage],
        drawn.chosen[:, :stage],
        ("",) * len(drawn.chosen),
    )
    return state.dialogues(drawn.options[:, stage : stage + 1])


@pytest.mark.parametrize("history", ["bayesian", "oracle"])
def test_what_is_taught_is_what_the_tokenizer_makes_of_the_words(flights, history):
    tokenizer = PhraseVocabulary.of(flights).tokenizer()
    speech = chat_format_of(tokenizer, frozenset())
    drawn = Source(flights, "posterior", history).draw("teaching", 0, BATCH)
    written = Writer(flights, tokenizer).write(drawn)
    assert (drawn.chosen != drawn.recommended).any() == (history == "bayesian")
    for stage in range(6):
        for user, dialogue in enumerate(conversations(flights, drawn, stage)):
            read = speech.encode([speech.render(dialogue.messages(dialogue.questions[0]))])[0]
            assert written.ids[user, : written.asks[user, stage] + 1].tolist() == read
            assert tokenizer.decode(written.ids[user, written.questions[user, stage]]).startswith("Which flight")
            ends = [tokenizer.decode(token) for token in written.ids[user, written.ends[user, stage]]]
            assert ends == [f"price: ${100 + 900 * price:.0f}" for price in drawn.options[user, stage, :, -1]]
    assert (written.ids[:, written.asks.max() + 1 :] == tokenizer.convert_tokens_to_ids(END)).all()


def test_other_text_is_read_by_bytes_and_comes_back(flights):
    tokenizer = PhraseVocabulary.of(flights).tokenizer()
    assert tokenizer.decode(tokenizer("rating: 5, é").input_ids) == "rating: 5, é"
    assert len(tokenizer("price: $1000, price: $100, price: $10").input_ids) == 2 + len(", price: $10") - 2
    assert tokenizer.decode(tokenizer("The best option is Flight 2.").input_ids) == "The best option is Flight 2."


def test_answers_and_beliefs_are_those_of_an_enumeration_by_hand(flights, people):
    """The paper's 624 people, their best options in integers, and Bayes' rule, in NumPy."""
    drawn = Source(flights, "posterior", "bayesian").draw("teaching", 3, BATCH)
    rewards = np.einsum("usof,hf->usoh", np.rint(10 * drawn.options), np.rint(2 * people))
    best = rewards == rewards.max(axis=2, keepdims=True)
    probs = best / best.sum(axis=2, keepdims=True)
    levels = np.rint(2 * people).astype(int) + 2
    for user in range(BATCH):
        likelihoods = probs[user, np.arange(6), drawn.chosen[user]]
        for stage in range(6):
            posterior = np.prod(likelihoods[:stage], axis=0) * np.ones(624)
            posterior /= posterior.sum()
            assert drawn.answers[user, stage] == pytest.approx(probs[user, stage] @ posterior, abs=1e-6)
            alone = likelihoods[stage] / likelihoods[stage].sum()
            for feature in range(4):
                for found, weights in ((drawn.beliefs, posterior), (drawn.told, alone)):
                    marginal = np.bincount(levels[:, feature], weights, minlength=5)
                    assert found[user, stage, feature] == pytest.approx(marginal, abs=1e-6)
    assert np.take_along_axis(drawn.answers, drawn.recommended[..., None], 2) == pytest.approx(
        drawn.answers.max(axis=-1, keepdims=True)
    )


def test_teachers_differ_in_what_they_answer_alone(flights):
    soft, hard, right = (
        Source(flights, teacher, "bayesian").draw("teaching", 1, BATCH)
        for teacher in ("posterior", "bayesian", "oracle")
    )
    for one, other in pairwise((soft, hard, right)):
        for name in ("options", "levels", "chosen", "recommended"):
            assert (getattr(one, name) == getattr(other, name)).all()
    assert (right.answers.argmax(-1) == right.chosen).all()
    assert (hard.answers.argmax(-1) == hard.recommended).all()
    assert set(np.unique(hard.answers)) == set(np.unique(right.beliefs)) == {0.0, 1.0}
    assert (
        np.take_along_axis(soft.beliefs, hard.beliefs.argmax(-1)[..., None], -1)[..., 0] == soft.beliefs.max(-1)
    ).all()
    assert (right.beliefs == right.beliefs[:, :1]).all()
    # What users want is what they choose by: someone's choices never contradict the truth about them.
    weights = right.beliefs[:, 0].argmax(-1) - 2
    rewards = np.einsum("usof,uf->uso", np.rint(10 * right.options), weights)
    assert (np.take_along_axis(rewards, right.chosen[..., None], -1)[..., 0] == rewards.max(-1)).all()


def test_draws_depend_on_purpose_number_and_seed_alone(flights_2):
    source = Source(flights_2, "posterior", "bayesian")
    options = source.draw("teaching", 0, BATCH).options
    assert (options == source.draw("teaching", 0, BATCH).options).all()
    others = (source.draw("teaching", 1, BATCH), source.draw("examination", 0, BATCH))
    for other in (*others, Source(flights_2, "posterior", "bayesian", seed=1).draw("teaching", 0, BATCH)):
        assert (options != other.options).any()


@pytest.mark.parametrize(("name", "why"), [("webshop-backpacks", "a question about each"), ("flights-8", "390,624")])
def test_domains_that_cannot_be_taught_so_are_told(name, why):
    with pytest.raises(UsageError, match=why):
        Source(bb.load_domain(name), "oracle", "oracle")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (lambda one: {"describe": lambda option: "cheap"}, "are not described as"),
        (lambda one: {"draw": lambda at, sets: one.draw(at, sets) + 0.03}, "draw gave duration = "),
        (lambda one: {"draw": lambda at, sets: one.draw(at, sets) * np.nan}, "draw gave duration = nan"),
        (lambda one: {"draw": lambda at, sets: one.draw(at, sets)[:, :2]}, r"shape \[1, 2, 2\]; expected \[1, 3, 2\]"),
    ],
)
def test_a_domain_that_shows_what_no_student_reads_is_refused(flights_2, changed, why):
    with pytest.raises(bb.BeliefBenchError, match=why):
        Source(replace(flights_2, **changed(flights_2)), "oracle", "oracle")


@pytest.mark.usefixtures("small_students")
def test_the_loss_on_answers_is_the_plain_cross_entropy(flights_2):
    source = Source(flights_2, "posterior", "bayesian")
    tokenizer, student = new_student(source, 0)
    drawn = source.draw("teaching", 0, BATCH)
    lesson = Lesson.of(drawn, Writer(flights_2, tokenizer).write(drawn))
    with torch.no_grad():
        parts = student(lesson)
    named = [tokenizer.convert_tokens_to_ids(f"The best option is Flight {option}.") for option in (1, 2, 3)]
    losses, ends = [], []
    for user in range(BATCH):
        with torch.no_grad():
            log_probs = torch.log_softmax(student.model(lesson.ids[user : user + 1]).logits[0], dim=-1)
        for stage, ask in enumerate(lesson.asks[user]):
            losses.append(-(lesson.answers[user, stage] * log_probs[ask, named]).sum())
            if stage < 5:
                ends.append(-log_probs[ask + 1, tokenizer.convert_tokens_to_ids(END)])
    assert float(parts["answers"]) == pytest.approx(float(torch.stack(losses).mean()), abs=1e-5)
    assert float(parts["ends"]) == pytest.approx(float(torch.stack(ends).mean()), abs=1e-5)
    assert float(parts["loss"]) == pytest.approx(sum(float(part) for name, part in parts.items() if name != "loss"))


@pytest.fixture
def small_students(monkeypatch):
    """Students narrower than those that are shipped, and few questions to them; `CHILD` makes the same."""
    monkeypatch.setattr(students, "SHAPE", students.SHAPE | SMALL)
    monkeypatch.setattr(students, "EXAMINED", BATCH)


@pytest.mark.usefixtures("small_students")
def test_a_student_is_taught_by_the_command_and_can_be_run(call, tmp_path):
    """Two steps; the reference test below teaches more, and compares what is taught."""
    more = ["--interactions", str(2 * BATCH), "--out", str(tmp_path / "student")]
    assert call(*TEACH, *more)[0] == 0
    card = (tmp_path / "student" / "README.md").read_text()
    assert f"--teacher posterior --domain flights-2 --interactions {2 * BATCH} --seed 0" in card
    assert "was taught already" in call(*TEACH, *more)[2]
    domain = bb.load_domain("flights-2")
    agent = bb.load_agent(f"prompted:{tmp_path / 'student'},dtype=float32", domain)
    rows = bb.run(domain, agent, users=2, rounds=1, heldout=2, results=tmp_path / "results").rows().to_pandas()
    assert rows[["prob_0", "prob_1", "prob_2"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-6)


@pytest.mark.reference  # two minutes
@pytest.mark.usefixtures("small_students")
def test_a_student_is_a_model_as_any_other_and_a_killed_teaching_ends_with_the_same(call, tmp_path):
    """Whole, killed for good and gone on with through the command line, and once more."""
    source = Source(bb.load_domain("flights-2"), "posterior", "bayesian")
    teach_student(source, Settings(12 * BATCH), tmp_path / "whole")
    more = ["--interactions", str(12 * BATCH), "--out", str(tmp_path / "killed")]
    killed = subprocess.Popen(
        [sys.executable, "-c", CHILD, *TEACH, *more],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("checkpoints/*/trainer_state.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, "it ended before it could be killed"
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    assert call(*TEACH, *more)[0] == 0
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert "was taught already" in call(*TEACH, *more)[2]
    status, _, said = call(*TEACH, *more, "--seed", "1")
    assert (status, said.count("\n")) == (2, 1)
    assert "holds another training (seed is 0 there and 1 here)" in said

    agent = bb.load_agent(f"prompted:{tmp_path / 'whole'},dtype=float32", source.domain)
    tokenizer, student = new_student(source, 0)
    student.model.load_state_dict({name: weight.float() for name, weight in ours.items()})
    drawn = source.draw("teaching", 21, BATCH)
    with torch.inference_mode():
        expected = student.predict(Lesson.of(drawn, Writer(source.domain, tokenizer).write(drawn))).numpy()
    heard = agent.model.ask(conversations(source.domain, drawn, 3), _options())
    assert heard.probs[:, 0] == pytest.approx(expected[:, 3], abs=1e-5)


def _options():
    from beliefbench.language.replies.alternatives import options_of

    return options_of("Flight")


@pytest.mark.parametrize("name", TAUGHT)
def test_students_that_are_shipped_are_small_and_say_how_they_were_taught(flights, name):
    folder = Path(bb.__file__).parent / "agents" / "taught" / name
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 5_000_000
    made = json.loads((folder / "teaching.json").read_text())
    assert made["teacher"] == name.removesuffix("-taught")
    card = (folder / "README.md").read_text()
    assert f"--teacher {made['teacher']} --domain flights --interactions {made['interactions']} --seed 0" in card
    answers = {"oracle": "the users' choices", "bayesian": "the exact assistant's guesses"}
    assert bb.load_agent(name, flights).note == (
        f"taught {answers.get(made['teacher'], 'the exact distribution')} in 100,000 flights interactions"
    )


def test_shipped_students_were_taught_the_same_interactions():
    folder = Path(bb.__file__).parent / "agents" / "taught"
    made = [json.loads((folder / name / "teaching.json").read_text()) for name in TAUGHT]
    own = {"teacher", "history", "finished", "seconds"}
    assert all({key: one[key] for key in one.keys() - own} == {k: made[0][k] for k in one.keys() - own} for one in made)


def test_the_reader_that_is_shipped_is_small_and_says_how_it_was_taught(flights):
    folder = Path(bb.__file__).parent / "agents" / "taught" / "posterior-reader"
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 12_000_000
    made = json.loads((folder / "teaching.json").read_text())
    told = {name: made[name] for name in ("teacher", "interactions", "batch", "seed")}
    assert told == {"teacher": "posterior", "interactions": 193_408, "batch": 128, "seed": 0}
    assert "--teacher posterior --interactions 193408 --batch 128 --seed 0" in (folder / "README.md").read_text()
    assert bb.load_agent("posterior-reader", flights).note == (
        "taught the exact distribution in 193,408 synthetic interactions"
    )


@pytest.mark.reference
def test_the_reader_learns_from_choices_on_a_domain_that_it_was_never_taught(tmp_path):
    """Half of the way from chance to exact on hotels after round 3 is 54.0% (docs/students.md); the reader stands at
    66.0%, and with 24 users of 5 questions each the standard error is 4.3 points: one seed in 400 fails.
    """
    hotels = bb.load_domain("hotels")
    run = bb.run(hotels, bb.load_agent("posterior-reader", hotels), users=24, rounds=3, heldout=5, results=tmp_path)
    rows = run.rows().to_pandas()
    after = rows[(rows["stage"] == 3) & (rows["question"] >= 0)]
    assert (after["choice"] == after["truth"]).mean() > 0.54


@pytest.mark.slow
def test_the_posterior_taught_student_learns_from_choices(flights, tmp_path):
    """Half of the way from chance to exact after round 3 is 53.1%; the student stands at 71.4%, and with 24 users
    of 5 questions each the standard error is 4.2 points: one seed in 100,000 fails.
    """
    agent = bb.load_agent("posterior-taught", flights)
    run = bb.run(flights, agent, users=24, rounds=3, heldout=5, results=tmp_path)
    rows = run.rows().to_pandas()
    after = rows[(rows["stage"] == 3) & (rows["question"] >= 0)]
    assert (after["choice"] == after["truth"]).mean() > 0.531


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--interactions", "3"], "expected 16 to"),
        (["--seed", "-1"], "expected 0 to"),
        (["--domain", "webshop-backpacks"], "a question about each"),
        (["--domain", "flights-8"], "20,000 at most"),
        (["--domain", "nowhere"], "nowhere"),
    ],
)
def test_a_wrong_call_is_one_sentence(call, arguments, why):
    status, _, said = call("teach", "student", "--out", "student", *arguments)
    assert (status, said.count("\n")) == (2, 1), said
    assert why in said
    assert not Path("student").exists()
