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
        (becomes("", "content_filter"), r"6 were filtered out"),
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


def test_one_hot_log_probabilities_without_other_tokens_stop_it_too(make, server, sets, predict):
    """Such a server removes what has probability 0: the row would be certain of every choice, without a word."""

    def change(sent, nth):
        for token in sent["choices"][0]["logprobs"]["content"]:
            token |= {"logprob": 0.0, "top_logprobs": [{"token": token["token"], "logprob": 0.0}]}
        return sent

    server.change = change
    with pytest.raises(bb.BeliefBenchError, match=r"are 0 or minus infinity: .* temperature=1"):
        predict(make(), sets)
    assert server.asked.total() == FIRST


def in_words(*tokens):
    """Change a completion to these tokens, {token: log-probability of what could have stood there}."""

    def change(sent, nth):
        listed = [[{"token": one, "logprob": log_prob} for one, log_prob in top.items()] for top in tokens]
        sent["choices"][0]["message"]["content"] = "".join(top[0]["token"] for top in listed)
        sent["choices"][0]["logprobs"] = {"content": [{**top[0], "top_logprobs": top} for top in listed]}
        return sent

    return change


@pytest.mark.parametrize(
    "tokens",
    [
        ({"I'd pick the": 0.0}, {" second": np.log(0.6), " first": np.log(0.3), " 3": -1.0}, {" flight.": 0.0}),
        ({"The best option is Flight": 0.0}, {" Two": np.log(0.6), " one": np.log(0.3), " it": -2.0}, {".": 0.0}),
    ],
)
def test_an_option_that_is_named_in_words_has_its_probability(make, server, sets, predict, tokens):
    server.change = in_words(*tokens)
    agent = make()
    answers = predict(agent, sets)
    assert set(answers.choice.ravel()) == {1}
    np.testing.assert_allclose(answers.probs[..., 0] / answers.probs[..., 1], 0.5)
    assert answers.bounded.all()
    assert agent.note == "logprobs, form=sentence"


def test_a_name_in_several_tokens_is_told(make, server, sets, predict):
    server.change = in_words({"I'd pick the": 0.0}, {" sec": -0.5, " fir": -1.0}, {"ond flight.": 0.0})
    with pytest.raises(
        bb.BeliefBenchError, match=r"name an option, such as 'I'd pick .*', but the server gives no log-"
    ):
        predict(make(), sets)
    agent = make(unusable="count")
    predict(agent, sets[:1])
    assert agent.note == "logprobs, 3 of 3 answers name an option without its log-probability, form=sentence"


def test_log_probabilities_that_are_all_null_are_told(make, server, sets, predict):
    def change(sent, nth):
        for token in sent["choices"][0]["logprobs"]["content"]:
            token["logprob"] = None
            for listed in token["top_logprobs"]:
                listed["logprob"] = None
        return sent

    server.change = change
    with pytest.raises(
        bb.BeliefBenchError, match=r"no usable log-probabilities of 'test' \(they are all null\); use pro"
    ):
        predict(make(), sets)


def test_more_room_than_it_had_is_advised(make, server, sets, predict):
    server.change = becomes("", "length", reasoning_content=THOUGHT)
    with pytest.raises(bb.BeliefBenchError, match=r"used up their 2,080 tokens in thought; .* with think=4160"):
        predict(make(think="2048"), sets)


def test_what_was_filtered_out_is_told(make, server, sets, predict):
    server.change = becomes("", "content_filter")
    with pytest.raises(bb.BeliefBenchError, match=r"6 were filtered out; use another model"):
        predict(make(), sets)


@pytest.mark.parametrize("stopped_after", [7, 13, 20])
def test_the_row_of_a_stopped_run_counts_all_answers(make, flights, server, tmp_path, stopped_after):
    """The first session ends with an error of the server; the counts of a second process are added to its."""

    def change(sent, nth):
        sent["model"] = "test-2026"
        if int(str(sent["choices"][0]["message"]["content"]).strip(".")[-1]) == 2:
            sent["choices"][0]["finish_reason"] = "length"
        if "1." in sent["choices"][0]["message"]["content"]:
            sent["choices"][0]["message"] |= {"content": None, "refusal": "No."}
        return sent

    server.change = change
    settings = {"users": 4, "rounds": 2, "heldout": 2}
    whole = bb.run(flights, make(workers="1"), **settings, results=tmp_path / "whole").record.agent.note
    assert "served as test-2026, " in whole
    cache = str(tmp_path / "other")
    server.script = lambda question, nth: "answer" if server.taken <= begun + stopped_after else "401"
    begun = server.taken
    with pytest.raises(bb.BeliefBenchError, match="refused the key"):
        bb.run(flights, make(workers="1", cache=cache), **settings, results=tmp_path / "stopped")
    server.script = lambda question, nth: "answer"
    done = bb.run(flights, make(workers="1", cache=cache), **settings, results=tmp_path / "stopped")
    assert done.record.agent.note == whole


def test_two_models_behind_one_name_are_told(make, flights, server, tmp_path):
    server.change = lambda sent, nth: sent | {"model": "test-1" if nth < 5 else "test-2"}
    done = bb.run(flights, make(), users=1, rounds=1, heldout=4, results=tmp_path / "results")
    assert done.record.agent.note == "logprobs, served as test-1 and test-2, form=sentence"
