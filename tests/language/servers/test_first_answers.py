"""A run whose first answers are worthless stops before it costs more, and names the setting that helps."""

from __future__ import annotations

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.language.servers.first_answers import FIRST
from beliefbench.language.servers.logprobs import IMPOSSIBLE


def becomes(text=None, reason="stop", logprobs=True, **message):
    """Change a completion: its text, its end, and further fields of its message."""

    def change(sent, nth):
        choice = sent["choices"][0]
        choice["message"] |= {"content": text, **message}
        choice["finish_reason"] = reason
        if not logprobs:
            choice["logprobs"] = {"content": [{"token": "Other", "logprob": 0.0, "top_logprobs": []}]}
        return sent

    return change


THOUGHT = "Okay, the user wants a flight. Flight 1 is cheap, and Flight 2"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (becomes("", "length", reasoning_content=THOUGHT), r"6 used up their 32 tokens in thought; .* think=2048"),
        (becomes(None, "length", reasoning=THOUGHT), r"in thought; .* reasoning_effort=low or chat_template_kwargs="),
        (becomes(f"<think>{THOUGHT}", "length"), r"used up their 32 tokens in thought"),
        (becomes(f"[THINK]{THOUGHT}", "length"), r"used up their 32 tokens in thought"),
        (
            becomes("Let me compare all the options with care", "length"),
            r"such as 'Let me .*'; use a larger answer_tokens",
        ),
        (becomes(None, refusal="I cannot advise."), r"6 are refusals, such as 'I cannot advise.'; use another model"),
        (becomes("", "content_filter"), r"6 are refusals"),
        (becomes(None, "tool_calls", tool_calls=[{"id": "1"}]), r"6 call a tool; use extra_body"),
        (becomes(""), r"they are empty"),
        (becomes("It depends on\x1b[2J you."), r"name no option, such as 'It depends on you.'"),
    ],
)
def test_it_stops_after_a_few_and_names_the_setting(make, flights, server, tmp_path, change, says):
    server.change = change
    with pytest.raises(
        bb.BeliefBenchError, match=rf"none of the first 6 answers of 'test' can be used: .*{says}"
    ) as raised:
        bb.run(flights, make(), users=8, rounds=5, heldout=8, results=tmp_path / "results")
    assert server.asked.total() == FIRST
    assert str(raised.value).isprintable()
    with pytest.raises(bb.BeliefBenchError, match=says):  # the same again costs nothing
        bb.run(flights, make(), users=8, rounds=5, heldout=8, results=tmp_path / "results")
    assert server.asked.total() == FIRST


def test_they_can_be_counted_all_the_same(make, flights, server, tmp_path):
    server.change = becomes("", "length", reasoning_content=THOUGHT)
    done = bb.run(flights, make(unusable="count"), users=2, rounds=1, heldout=8, results=tmp_path)
    assert set(done.rows()["choice"].to_pylist()) == {-1}
    assert done.record.agent.note == (
        "logprobs, 34 of 34 answers used up their 32 tokens, "
        "it thinks, in tokens that the server does not count apart, form=sentence"
    )


def test_some_usable_answers_among_the_first_are_enough(make, server, sets, predict):
    server.change = lambda sent, nth: sent if nth == 4 else becomes("Who knows?")(sent, nth)
    assert (predict(make(), sets).choice >= 0).sum() == 1


def test_fewer_answers_than_that_stop_nothing(make, server, sets, predict):
    server.change = becomes("Who knows?")
    assert (predict(make(), sets[:1]).choice == -1).all()


def test_a_thinking_model_with_room_is_read_and_its_thoughts_are_counted(make, flights, server, tmp_path):
    def change(sent, nth):
        sent["choices"][0]["message"]["reasoning_content"] = THOUGHT
        sent["usage"] |= {"completion_tokens": 107, "completion_tokens_details": {"reasoning_tokens": 100}}
        return sent

    server.change = change
    done = bb.run(flights, make(think="2048"), users=2, rounds=1, heldout=3, results=tmp_path)
    rows = done.rows().to_pandas()
    assert (rows["choice"] >= 0).all()
    assert (rows["tokens"] == 157).all()
    assert done.record.agent.note == "logprobs, think=2048, 100 tokens of thought an answer, form=sentence"
    assert server.bodies[0]["max_tokens"] == 2048 + 32
    assert "Think step by step" not in server.bodies[0]["messages"][0]["content"]


@pytest.mark.parametrize("think", ["yes", "100"])
@pytest.mark.parametrize(
    ("text", "reason", "choice"),
    [
        ("Flight 1 is cheap. The best option is Flight 2, or", "length", -1),
        ("The best option is Flight 1, if price matters. Otherwise", "length", -1),
        ("Flight 1 is cheap. The best option is Flight 2.", "length", 1),  # the last token is the last of the answer
        ("Flight 1 is cheap. The best option is Flight 2.", "stop", 1),
    ],
)
def test_a_thought_that_was_cut_off_is_no_answer(make, server, sets, predict, think, text, reason, choice):
    server.change = becomes(text, reason)
    assert predict(make(think=think, probabilities="none"), sets[:1, :1]).choice.tolist() == [[choice]]


def test_an_answer_that_goes_on_until_it_is_cut_off_is_an_answer(make, server, sets, predict):
    server.change = becomes("The best option is Flight 2. It is the", "length")
    agent = make(probabilities="none")
    assert predict(agent, sets[:1, :1]).choice.tolist() == [[1]]
    assert agent.note == "only chooses, 1 of 1 answer used up their 32 tokens, form=sentence"


@pytest.mark.parametrize("other", [None, float("-inf"), IMPOSSIBLE, -240.0])
def test_one_hot_log_probabilities_stop_it_and_the_mend_is_named(make, server, sets, predict, other):
    def change(sent, nth):
        for token in sent["choices"][0]["logprobs"]["content"]:
            for listed in token["top_logprobs"]:
                listed["logprob"] = 0.0 if listed["token"] == token["token"] else other
        return sent

    server.change = change
    with pytest.raises(bb.BeliefBenchError, match=r"are 0 or minus infinity: .* temperature=1, .* --logprobs-mode raw"):
        predict(make(), sets)
    assert server.asked.total() == FIRST
    agent = make()
    predict(agent, sets[:1])
    found = "3 of 3 answers with log-probabilities that are 0 or minus infinity"
    assert agent.note == f"logprobs, {found}, form=sentence"


def test_a_confident_model_is_not_taken_for_one_hot(make, server, sets, predict):
    def change(sent, nth):
        for token in sent["choices"][0]["logprobs"]["content"]:
            for listed, log_prob in zip(token["top_logprobs"], (0.0, -23.5), strict=False):
                listed["logprob"] = log_prob
        return sent

    server.change = change
    answers = predict(make(), sets)
    np.testing.assert_allclose(answers.probs.max(axis=-1), 1.0)


def test_log_probabilities_of_other_texts_are_told(make, server, sets, predict):
    server.change = becomes("The best option is Flight 2.", logprobs=False)
    with pytest.raises(bb.BeliefBenchError, match=r"belong to other texts; use probabilities=samples"):
        predict(make(), sets)
