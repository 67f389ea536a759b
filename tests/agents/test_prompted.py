"""The prompted agent, with a scripted language model: what it asks, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import jax
import numpy as np
import pytest

import beliefbench as bb
from beliefbench.agents.prompted import Scoring
from beliefbench.language.assistant import Assistant
from beliefbench.language.questions import words
from beliefbench.language.questions.conversations import PromptStyle
from beliefbench.language.questions.dialogue import Dialogue


@dataclass
class Scored:
    log_probs: np.ndarray
    tokens: np.ndarray


@dataclass
class ScriptedModel:
    """Gives each answer the log-probability that a script says, and keeps what it was asked."""

    log_probs: Sequence[float]
    asked: list[tuple[tuple[Dialogue, ...], list[str]]] = field(default_factory=list)
    note = ""

    def identity(self) -> dict[str, str]:
        return {"script": "test"}

    def score(self, dialogues, answers) -> Scored:
        self.asked.append((tuple(dialogues), list(answers)))
        shape = len(dialogues), len(dialogues[0].questions)
        return Scored(np.tile(self.log_probs, (*shape, 1)), np.full(shape, 7))


def scoring(domain, model, **ways) -> Assistant:
    return Assistant("prompted:script", "2", domain, Scoring(model), PromptStyle(**ways))


@pytest.fixture
def brief(flights):
    return bb.Brief.of(flights)


def keys(users: int):
    return jax.random.split(jax.random.key(0), users)


def test_probabilities_are_the_answers_renormalised(brief, flights):
    agent = scoring(flights, ScriptedModel(np.log([0.02, 0.01, 0.01])))
    answers = agent.predict(agent.begin(brief, keys(1)), np.zeros((1, 2, 3, 4)))
    np.testing.assert_allclose(answers.probs, np.tile([0.5, 0.25, 0.25], (1, 2, 1)))
    assert answers.choice.tolist() == [[0, 0]]
    assert answers.tokens.tolist() == [[7, 7]]


def test_very_unlikely_answers_do_not_underflow(brief, flights):
    agent = scoring(flights, ScriptedModel([-2000.0, -2000.0 + np.log(3), -5000.0]))
    answers = agent.predict(agent.begin(brief, keys(1)), np.zeros((1, 1, 3, 4)))
    np.testing.assert_allclose(answers.probs[0, 0], [0.25, 0.75, 0.0])


def test_every_round_is_told_in_the_papers_words(brief, flights):
    model = ScriptedModel(np.log([0.2, 0.2, 0.6]))
    agent = scoring(flights, model)
    first, second, third = np.random.default_rng(0).integers(0, 3, (3, 1, 3, 4)) / 2
    state = agent.begin(brief, keys(1))
    state = agent.observe(state, first, np.array([2]), np.array([2]))
    state = agent.observe(state, second, np.array([2]), np.array([0]))
    agent.predict(state, third[:, None])

    def text(options):
        return words.question("Flight", [flights.describe(option) for option in options[0]])

    (((talk,), answers),) = model.asked
    assert talk.turns == (
        words.Turn(
            words.opening("Flight", words.instructions("Flight", "for my trips")),
            text(first),
            "The best option is Flight 3.",
        ),
        words.Turn(
            words.opening("Flight", "Your option Flight 3 is correct."), text(second), "The best option is Flight 3."
        ),
    )
    assert talk.opening == words.opening("Flight", "Your option Flight 3 is incorrect. I prefer Flight 1.")
    assert talk.questions == (text(third),)
    assert answers == [f"The best option is Flight {number}." for number in (1, 2, 3)]


def test_a_round_without_a_usable_answer_goes_on(brief, flights):
    model = ScriptedModel([0.0, 0.0, 0.0])
    agent = scoring(flights, model)
    state = agent.observe(agent.begin(brief, keys(1)), np.zeros((1, 3, 4)), np.array([-1]), np.array([1]))
    agent.predict(state, np.zeros((1, 1, 3, 4)))
    assert model.asked[0][0][0].opening.startswith("I prefer Flight 2.\n\n")


def test_users_do_not_hear_each_other(brief, flights):
    model = ScriptedModel([0.0, -1.0, -2.0])
    agent = scoring(flights, model)
    state = agent.begin(brief, keys(2))
    state = agent.observe(state, np.zeros((2, 3, 4)), np.array([0, 1]), np.array([0, 2]))
    agent.predict(state, np.zeros((2, 1, 3, 4)))
    ((talks, _),) = model.asked
    openings = [talk.opening.splitlines()[0] for talk in talks]
    assert openings == ["Your option Flight 1 is correct.", "Your option Flight 2 is incorrect. I prefer Flight 3."]


def test_it_runs_through_the_harness(tmp_path):
    domain = bb.load_domain("flights-2")
    agent = scoring(domain, ScriptedModel(np.log([0.5, 0.3, 0.2])))
    done = bb.run(domain, agent, users=3, rounds=2, heldout=4, results=tmp_path)
    rows = done.rows().to_pandas()
    assert len(rows) == 3 * (5 + 5 + 4)
    assert (rows["choice"] == 0).all()
    np.testing.assert_allclose(rows[["prob_0", "prob_1", "prob_2"]], np.tile([0.5, 0.3, 0.2], (len(rows), 1)))


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("memory=lots", "memory=lots: expected a number of GiB above 0"),
        ("memory=0", "memory=0: expected a number of GiB above 0"),
        ("trust_remote_code=perhaps", "trust_remote_code 'perhaps' is not known; use yes or no"),
        ("adapter=/no/such", "there is no adapter folder '/no/such'"),
        ("dtype=int8", "dtype 'int8' is not known; use bfloat16 or float32"),
        ("probabilities=logprobs", "probabilities=logprobs is not known; use scores, stated or none"),
        ("think=yes", "think=yes needs probabilities=none"),
        ("form=paper", "form=paper is for a choice that is written in words; no choice is written in words here"),
        ("probabilities=none,think=yes,form=paper", "think=yes asks for the sentence already: leave form out"),
        ("probabilities=none,form=json", "form=json is not known; use paper or sentence"),
        ("think=perhaps", "think=perhaps is not known; use no or yes"),
        ("answer_tokens=9", "answer_tokens is for answers that are written"),
        ("probabilities=none,answer_tokens=few", "answer_tokens=few: expected a whole number, 1 or more"),
    ],
)
def test_settings_that_are_wrong_are_said_at_once(flights, tmp_path, setting, says):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(bb.UsageError, match=says):
        bb.load_agent(f"prompted:{tmp_path},{setting}", flights)


@pytest.mark.parametrize(
    ("setting", "form"),
    [
        ("", "paper"),
        (",probabilities=stated", "paper"),
        (",probabilities=none", "sentence"),
        (",probabilities=none,form=paper", "paper"),
        (",probabilities=none,think=yes", "paper"),
        (",probabilities=none,beliefs=only", "paper"),
    ],
)
def test_a_choice_that_is_written_is_asked_for_in_a_form(flights, tmp_path, setting, form):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    agent = bb.load_agent(f"prompted:{tmp_path}{setting}", flights)
    assert agent.asking.form == form
    assert ("form" in agent.identity()) == (form == "sentence")


def test_memory_is_no_part_of_the_identity(flights, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    plain, roomy = (bb.load_agent(f"prompted:{tmp_path}{more}", flights) for more in ("", ",memory=0.5"))
    assert roomy.model.model.budget == 2**29
    assert roomy.identity() == plain.identity()
