"""What a model reads, in each way of asking, against conversations written out by hand."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import beliefbench as bb
from beliefbench.language.conversations import Conversations, PromptStyle
from beliefbench.protocol.protocol import Protocol

FIRST = (
    "Help me select the best flights for my trips. I have specific preferences for what I like and dislike in a "
    "flight, and these preferences remain the same. You need to figure out my preferences and select the best flights "
    "for me. Use your best judgment if you are unsure. Do not say you need more information."
)
SET = (
    "Flight 1:\nduration: 30 min, price: $100\n"
    "Flight 2:\nduration: 20 hr, price: $100\n"
    "Flight 3:\nduration: 20 hr, price: $1000"
)
NUMBERS = "Flight 1:\nduration: 0, price: 0\nFlight 2:\nduration: 1, price: 0\nFlight 3:\nduration: 1, price: 1"
WHICH = "Which flight is the best option?\n\n"


@pytest.fixture(scope="module")
def domain() -> bb.Domain:
    return bb.load_domain("flights-2")


@pytest.fixture
def options() -> np.ndarray:
    return np.array([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]])  # one user


def keys(users: int):
    return jax.random.split(jax.random.key(0), users)


def after_a_round(domain: bb.Domain, asking: PromptStyle, options: np.ndarray, truth=None) -> list[dict[str, str]]:
    """The chat of one user who was recommended Flight 2 and wanted Flight 1, and who is asked the same again."""
    state = Conversations.begin(domain, asking, keys(1), truth).observe(options, np.array([1]), np.array([0]))
    (dialogue,) = state.dialogues(options[None])
    return dialogue.messages(dialogue.questions[0])


def test_the_papers_conversation(domain, options):
    assert after_a_round(domain, PromptStyle(), options) == [
        {"role": "user", "content": f"{FIRST}\n\n{WHICH}{SET}"},
        {"role": "assistant", "content": "The best option is Flight 2."},
        {"role": "user", "content": f"Your option Flight 2 is incorrect. I prefer Flight 1.\n\n{WHICH}{SET}"},
    ]


def test_the_whole_history_in_one_turn(domain, options):
    (turn,) = after_a_round(domain, PromptStyle(history="whole"), options)
    assert turn["content"] == (f"{FIRST}\n\nRound 1. I was offered:\n\n{SET}\n\nI preferred Flight 1.\n\n{WHICH}{SET}")


def test_numbers_for_words(domain, options):
    chat = after_a_round(domain, PromptStyle(show="numbers"), options)
    assert chat[0]["content"] == f"{FIRST}\n\n{WHICH}{NUMBERS}"
    assert chat[2]["content"].endswith(f"{WHICH}{NUMBERS}")


def test_preferences_given(domain, options):
    truth = {"person": np.array([3])}  # (-1, -1), (-1, -.5), (-1, 0), (-1, .5)
    chat = after_a_round(domain, PromptStyle(given="preferences"), options, truth)
    said = (
        "These are my preferences. Duration: I strongly prefer shorter flights. Price: I prefer more expensive flights."
    )
    assert chat[0]["content"] == f"{FIRST}\n\n{said}\n\n{WHICH}{SET}"
    assert said not in chat[2]["content"]
    assert PromptStyle(given="preferences").privileged


def test_the_exact_posterior_given(domain, options):
    """Worked by hand: before anything 5 of 24 people have each level but 3, "no strong preference", which 4 have."""
    chat = after_a_round(domain, PromptStyle(given="posterior"), options)
    ends = "from 1 (I strongly prefer {}) to 5 (I strongly prefer {})"
    before = "1: 21%, 2: 21%, 3: 17%, 4: 21%, 5: 21%"
    assert chat[0]["content"] == (
        f"{FIRST}\n\nFrom my choices so far it follows how likely each preference of mine is:\n"
        f"duration, {ends.format('shorter flights', 'longer flights')}: {before}\n"
        f"price, {ends.format('cheaper flights', 'more expensive flights')}: {before}\n\n{WHICH}{SET}"
    )
    # Of those who weigh duration -1, four want Flight 1 and one ties it with Flight 3; of -1/2, three and one; of 0,
    # two tie it with Flight 2: 4.5 + 3.5 + 1 = 9.
    after = chat[2]["content"].split("\n")
    assert after[3].endswith(": 1: 50%, 2: 39%, 3: 11%, 4: 0%, 5: 0%")
    assert after[4].endswith(": 1: 28%, 2: 28%, 3: 22%, 4: 17%, 5: 6%")


def test_only_the_question_that_is_asked_wants_thoughts(domain, options):
    """The answers before it hold none, and would teach it to give none."""
    chat = after_a_round(domain, PromptStyle(think="yes"), options)
    wanted = 'Think step by step, and end with the sentence "The best option is Flight N."'
    assert [message["content"].endswith(wanted) for message in chat] == [False, False, True]


def test_only_the_question_that_is_asked_says_the_form_of_the_answer(domain, options):
    """The answers before it have this form, and the rounds stay the paper's."""
    chat = after_a_round(domain, PromptStyle(form="sentence"), options)
    assert chat[:2] == after_a_round(domain, PromptStyle(), options)[:2]
    wanted = 'Answer only with the sentence "The best option is Flight N.", where N is its number.'
    assert chat[2]["content"].endswith(f"{SET}\n\n{wanted}")
    assert PromptStyle(form="sentence").note() == "form=sentence"


def test_the_questionnaire_is_asked_where_the_next_question_would_be(domain, options):
    state = Conversations.begin(domain, PromptStyle(), keys(1)).observe(options, np.array([1]), np.array([0]))
    (dialogue,) = state.questionnaires()
    *before, last = dialogue.messages(dialogue.questions[1])
    assert before == after_a_round(domain, PromptStyle(), options)[:2]
    assert last["content"] == (
        "Your option Flight 2 is incorrect. I prefer Flight 1.\n\n"
        "On a scale of 1 to 5, what is my preference for price?\n\n"
        "1: I strongly prefer cheaper flights\n3: I have no strong preference\n"
        "5: I strongly prefer more expensive flights"
    )
    assert len(dialogue.questions) == 2


def test_the_main_way_adds_nothing_to_a_runs_identity():
    assert PromptStyle().identity() == {}
    assert PromptStyle(history="whole", think="yes").identity() == {"history": "whole", "think": "yes"}


def test_each_user_has_their_own_conversation(domain):
    episodes = bb.Episodes(domain, Protocol(users=3, rounds=1, heldout=2))
    state = Conversations.begin(domain, PromptStyle(), keys(3)).observe(
        episodes.options[:, 0], np.zeros(3, int), episodes.chosen[:, 0]
    )
    together = state.dialogues(np.broadcast_to(episodes.heldout, (3, 2, 3, 2)))
    assert len(together) == 3
    for user, dialogue in enumerate(together):
        alone = Conversations.begin(domain, PromptStyle(), keys(1)).observe(
            episodes.options[[user], 0], np.zeros(1, int), episodes.chosen[[user], 0]
        )
        assert alone.dialogues(episodes.heldout[None]) == (dialogue,)


@pytest.mark.parametrize("way", [{"history": "none"}, {"show": "figures"}, {"given": "hints"}])
def test_an_unknown_way_is_named(way):
    ((name, value),) = way.items()
    with pytest.raises(bb.UsageError, match=f"{name}={value} is not known; use "):
        PromptStyle(**way)


def test_preferences_need_a_questionnaire():
    shop = bb.load_domain("webshop-backpacks")
    with pytest.raises(bb.UsageError, match="webshop-backpacks has no questionnaire"):
        Conversations.begin(shop, PromptStyle(given="preferences"), keys(1), {"goal": np.array([0])})
