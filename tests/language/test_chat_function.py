"""A function from chat messages to text as an agent: `beliefbench.chat_agent`."""

from __future__ import annotations

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.checking.agent_contract import check_agent_contract

PROTOCOL = {"users": 2, "rounds": 1, "heldout": 2}


def tokens(*chances: float) -> list[dict]:
    """The tokens of "The best option is Flight 1." as an OpenAI-compatible server tells them."""
    listed = [{"token": str(option + 1), "logprob": float(np.log(chance))} for option, chance in enumerate(chances)]
    return [
        {"token": "The best option is Flight ", "logprob": 0.0, "top_logprobs": []},
        {"token": "1", "logprob": listed[0]["logprob"], "top_logprobs": listed},
        {"token": ".", "logprob": 0.0, "top_logprobs": []},
    ]


def test_it_keeps_the_agent_contract():
    agent = bb.chat_agent(lambda messages: "The best option is Flight 3.")
    results = check_agent_contract(lambda domain: agent, bb.load_domain("flights-2"))
    assert [one for one in results if not one.passed] == []


def test_it_is_asked_in_the_papers_words_and_its_own_recommendations_stand_in_the_conversation(tmp_path):
    chats = []

    def function(messages):
        chats.append(messages)
        return "The best option is Flight 2."

    bb.run("flights-2", bb.chat_agent(function), **PROTOCOL, results=tmp_path)
    assert {chat[-1]["role"] for chat in chats} == {"user"}
    longest = max(chats, key=len)
    assert [one["role"] for one in longest] == ["user", "assistant", "user"]
    assert longest[1]["content"] == "The best option is Flight 2."


def test_what_names_no_option_is_no_answer(tmp_path):
    done = bb.run("flights-2", bb.chat_agent(lambda messages: "I cannot say."), **PROTOCOL, results=tmp_path)
    assert set(done.rows()["choice"].to_pylist()) == {-1}
    assert set(done.rows()["text"].to_pylist()) == {"I cannot say."}


def test_log_probabilities_are_those_of_the_token_that_names_an_option(tmp_path):
    agent = bb.chat_agent(
        lambda messages: {"text": "The best option is Flight 1.", "logprobs": tokens(0.5, 0.3, 0.2)},
        probabilities="logprobs",
    )
    rows = bb.run("flights-2", agent, **PROTOCOL, results=tmp_path).rows().to_pandas()
    np.testing.assert_allclose(rows[["prob_0", "prob_1", "prob_2"]], np.tile([0.5, 0.3, 0.2], (len(rows), 1)))


@pytest.mark.parametrize(
    ("reply", "probabilities", "says"),
    [
        (None, "none", "returned NoneType; expected a str, or a dict with the str 'text'"),
        ({"content": "Flight 1"}, "none", "returned dict; expected a str, or a dict with the str 'text'"),
        ("The best option is Flight 1.", "logprobs", "no log-probabilities that can be read"),
        ({"text": "The best option is Flight 1.", "logprobs": [{"token": "1"}]}, "logprobs", "can be read"),
        ({"text": "The best option is Flight 2.", "logprobs": tokens(0.5, 0.3, 0.2)}, "logprobs", "can be read"),
    ],
)
def test_another_reply_is_refused_in_a_sentence(tmp_path, reply, probabilities, says):
    agent = bb.chat_agent(lambda messages: reply, probabilities=probabilities)
    with pytest.raises(bb.BeliefBenchError, match=says):
        bb.run("flights-2", agent, **PROTOCOL, results=tmp_path)


@pytest.mark.parametrize("wrong", [{"probabilities": "samples"}, {"name": " "}, {"version": ""}])
def test_a_wrong_call_is_refused(wrong):
    with pytest.raises(bb.UsageError):
        bb.chat_agent(str, **wrong)


def test_a_function_that_has_to_be_waited_for_is_told(tmp_path):
    async def waits(messages):
        return "The best option is Flight 2."

    with pytest.raises(bb.BeliefBenchError, match=r"is asynchronous; .* asyncio.run\(function\(messages\)\)"):
        bb.run("flights-2", bb.chat_agent(waits), **PROTOCOL, results=tmp_path)


@pytest.mark.parametrize("thing", ["gpt-4.1-mini", None, {"text": "Flight 1"}])
def test_what_is_no_function_is_told_at_once(thing):
    with pytest.raises(bb.UsageError, match="takes a function from messages to text, not"):
        bb.chat_agent(thing)
