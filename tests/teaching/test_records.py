"""Teaching data: what teachers answer, worked out anew in NumPy, and how it reads, written out by hand."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.teaching.interactions import TeachingTask, lessons
from beliefbench.teaching.records import records, write_records

PEOPLE = np.array([vector for vector in product((-1.0, -0.5, 0.0, 0.5, 1.0), repeat=2) if any(vector)])
FIRST = (
    "Help me select the best flights for my trips. I have specific preferences for what I like and dislike in a "
    "flight, and these preferences remain the same. You need to figure out my preferences and select the best flights "
    "for me. Use your best judgment if you are unsure. Do not say you need more information.\n\n"
)
WHICH = "Which flight is the best option?\n\n"
ROUNDS = 2


@pytest.fixture(scope="module")
def domain() -> bb.Domain:
    return bb.load_domain("flights-2")


def favours(options: np.ndarray) -> np.ndarray:
    """P(each option) of each person, ties at random, float[people, 3]; options float[3, 2] in tenths."""
    rewards = np.rint(2 * PEOPLE).astype(int) @ np.rint(10 * options).astype(int).T
    best = rewards == rewards.max(axis=1, keepdims=True)
    return best / best.sum(axis=1, keepdims=True)


def predictive(options: np.ndarray, chosen: np.ndarray, query: np.ndarray) -> np.ndarray:
    weights = np.ones(len(PEOPLE))
    for one, choice in zip(options, chosen, strict=True):
        weights *= favours(one)[:, choice]
    return weights @ favours(query) / weights.sum()


def course(domain, **how) -> TeachingTask:
    return TeachingTask(domain, **{"interactions": 1, "rounds": ROUNDS, **how})


@cache
def only(domain, **how):
    """The one lesson of a course; each is drawn once."""
    (lesson,) = lessons(course(domain, **how))
    return lesson


@pytest.mark.parametrize("teacher", ["bayesian", "posterior"])
def test_the_exact_teachers_answer_with_the_posterior_predictive(domain, teacher):
    lesson = only(domain, teacher=teacher, quiz=2)
    assert lesson.users.tolist() == list(range(24))
    for user in range(24):
        options, chosen = lesson.options[user], lesson.chosen[user]
        for stage in range(ROUNDS + 1):
            queries = [*lesson.sets[user], *options[stage : stage + 1]]
            for at, query in enumerate(queries):
                expected = predictive(options[:stage], chosen[:stage], query)
                answer = lesson.answers[user, stage, at]
                assert expected[answer] >= expected.max() - 1e-9
                if teacher == "posterior":
                    np.testing.assert_allclose(lesson.probs[user, stage, at], expected, atol=1e-9)
    assert (lesson.recommended == lesson.answers[:, :ROUNDS, -1]).all()
    assert (lesson.probs is None) == (teacher == "bayesian")


def test_the_oracle_is_always_right(domain):
    lesson = only(domain, teacher="oracle", quiz=2)
    assert (lesson.answers[:, :ROUNDS, -1] == lesson.chosen).all()
    assert (lesson.recommended == lesson.chosen).all()
    for user, sets in enumerate(lesson.sets):
        for number, one in enumerate(sets):
            assert (favours(one)[user, lesson.answers[user, :, number]] > 0).all()


def test_a_history_may_be_anothers(domain):
    control, bayesian = only(domain, teacher="oracle", history="bayesian"), only(domain, teacher="bayesian")
    assert (control.recommended == bayesian.recommended).all()
    assert (control.answers[:, :ROUNDS, -1] == control.chosen).all()
    assert (control.recommended != control.chosen).any()


def text_of(options: np.ndarray) -> str:
    """A set of flights-2 as text, from the paper's tables: duration in 117-minute steps from 30 minutes, and price."""
    lines = []
    for number, (duration, price) in enumerate(options, 1):
        minutes = 30 + 117 * round(10 * duration)
        hours, rest = divmod(minutes, 60)
        shown = " ".join([f"{hours} hr"] * (hours > 0) + [f"{rest} min"] * (rest > 0))
        lines.append(f"Flight {number}:\nduration: {shown}, price: ${100 + 90 * round(10 * price)}")
    return "\n".join(lines)


def by_hand(lesson, user: int, round_: int) -> list[dict]:
    """The conversation of one user up to a round, and last the teacher's answer."""
    messages, said = [], FIRST
    for at in range(round_ + 1):
        messages.append({"role": "user", "content": said + WHICH + text_of(lesson.options[user, at])})
        recommended, chosen = lesson.recommended[user, at] + 1, lesson.chosen[user, at] + 1
        messages.append({"role": "assistant", "content": f"The best option is Flight {recommended}."})
        right = f"Your option Flight {recommended} is correct."
        wrong = f"Your option Flight {recommended} is incorrect. I prefer Flight {chosen}."
        said = (right if recommended == chosen else wrong) + "\n\n"
    answer = f"The best option is Flight {lesson.answers[user, round_, -1] + 1}."
    return [*messages[:-1], {"role": "assistant", "content": answer}]


@pytest.mark.parametrize("how", [{"teacher": "bayesian"}, {"teacher": "oracle", "history": "bayesian"}])
def test_records_read_as_written_by_hand(domain, how):
    lesson = only(domain, **how)
    found = list(records(course(domain, **how), lesson))
    assert len(found) == 24 * ROUNDS
    for number, record in enumerate(found):
        user, round_ = divmod(number, ROUNDS)
        assert record == {"idx": user, "messages": by_hand(lesson, user, round_)}


def test_whole_interactions_hold_an_answer_a_round(domain):
    how = {"teacher": "oracle", "history": "bayesian"}
    lesson = only(domain, **how)
    found = list(records(course(domain, **how), lesson, whole=True))
    assert len(found) == 24
    others = 0
    for user, record in enumerate(found):
        conversation = by_hand(lesson, user, ROUNDS - 1)
        for at, message in enumerate(record["messages"]):
            assert message["role"] == conversation[at]["role"]
            if message["role"] == "user":
                assert message["content"] == conversation[at]["content"]
                continue
            recommended, right = lesson.recommended[user, at // 2] + 1, lesson.chosen[user, at // 2] + 1
            assert message["content"] == f"The best option is Flight {recommended}."
            assert message.get("answer", message["content"]) == f"The best option is Flight {right}."
            others += "answer" in message
    assert others == (lesson.recommended != lesson.chosen).sum() > 0


def test_the_posterior_stands_beside_its_answer(domain):
    lesson = only(domain, teacher="posterior", quiz=2)
    found = list(records(course(domain, teacher="posterior", quiz=2), lesson))
    assert len(found) == 24 * (ROUNDS + 2 * (ROUNDS + 1))
    for record in found:
        (*told, taught) = record["messages"]
        assert not any("probs" in message for message in told)
        assert sum(taught["probs"]) == pytest.approx(1, abs=1e-5)
        best = int(taught["content"][-2]) - 1
        assert taught["probs"][best] == max(taught["probs"])
    quiz = found[ROUNDS]["messages"]  # the first user's, before anything is seen
    assert quiz[0]["content"] == FIRST + WHICH + text_of(lesson.sets[0, 0])


def test_some_users_are_never_taught(domain):
    how = {"teacher": "oracle", "users": 10, "interactions": 3, "seed": 5}
    taught = course(domain, **how).taught()
    assert len(set(taught)) == 10
    for lesson in lessons(course(domain, **how)):
        assert lesson.users.tolist() == taught.tolist()
    assert set(taught) != set(course(domain, users=10, seed=6).taught())


def test_no_run_meets_what_is_taught_and_no_interaction_another(domain):
    first, second = lessons(course(domain, teacher="oracle", interactions=2))
    run = Episodes(domain, Protocol(users=24, rounds=ROUNDS, heldout=1))
    for one, other in ((first.options, second.options), (first.options, run.options[np.argsort(run.users)])):
        same = (one == other).all(axis=(2, 3)).mean()
        assert same < 0.05  # by chance: a set of flights-2 has 121**3 forms


def test_a_file_says_what_it_was_made_from_and_is_never_written_over(domain, tmp_path):
    file = tmp_path / "new" / "data.jsonl"
    how = {"teacher": "oracle", "users": 4, "interactions": 2, "rounds": 2}
    assert write_records(course(domain, **how), file) == 4 * 2 * 2
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert Counter(line["idx"] for line in lines) == dict.fromkeys(course(domain, **how).taught().tolist(), 4)
    about = json.loads((tmp_path / "new" / "data.jsonl.about.json").read_text())
    assert about["domain"]["name"] == "flights-2"
    assert (about["teacher"], about["records"], about["users"]) == (
        "oracle",
        16,
        sorted({line["idx"] for line in lines}),
    )
    before = file.read_bytes()
    with pytest.raises(bb.UsageError, match="is there already; name another file"):
        write_records(course(domain, **how), file)
    assert file.read_bytes() == before
    again = tmp_path / "again.jsonl"
    write_records(course(domain, **how), again)
    assert again.read_bytes() == before


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"users": 0}, "users = 0; expected 1 to 24"),
        ({"users": 25}, "users = 25; expected 1 to 24"),
        ({"interactions": 0}, "interactions = 0"),
        ({"rounds": 0}, "rounds = 0"),
        ({"quiz": -1}, "quiz = -1"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_numbers_out_of_range_are_said(domain, how, says):
    with pytest.raises(bb.UsageError, match=says):
        course(domain, **how)


@pytest.mark.parametrize("name", ["", ".", "file/data.jsonl"])
def test_a_name_that_no_file_can_have_is_one_sentence(call, name):
    Path("file").write_text("a letter")
    status, _, said = call("teach", "data", "--domain", "flights-2", "--out", name)
    assert (status, said.strip().splitlines()[-1].startswith("beliefbench: error: '")) == (2, True), said
    assert "name a" in said


def test_the_command_writes_and_says_so(call, tmp_path):
    arguments = ["teach", "data", "--domain", "flights-2", "--teacher", "oracle", "--interactions", "1"]
    arguments += ["--out", str(tmp_path / "data.jsonl")]
    status, _, said = call(*arguments)
    assert status == 0, said
    assert "wrote 120 records" in said
    assert len((tmp_path / "data.jsonl").read_text().splitlines()) == 24 * 5
    status, _, said = call(*arguments)
    assert status == 2
    assert "is there already" in said
