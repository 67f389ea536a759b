"""The endpoint agent: what it asks in each way, and what it makes of the answers."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.agents.endpoint import endpoint
from beliefbench.checking.agent_contract import check_agent_contract
from beliefbench.language.questions import words
from beliefbench.language.replies.alternatives import options_of


@pytest.mark.parametrize("form", ["paper", None])
def test_what_is_asked_is_the_papers_conversation_and_the_form_of_the_answer(
    make, flights, server, sets, keys, key, form
):
    agent = make(form=form)
    ending = "" if form else words.sentence_wanted("Flight")
    state = agent.begin(bb.Brief.of(flights), keys(1))
    state = agent.observe(state, sets[:1, 0], np.array([2]), np.array([0]))
    agent.predict(state, sets[:1, 1:2])

    def text(options):
        return words.question("Flight", [flights.describe(option) for option in options])

    (body,) = server.bodies
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert [message["content"] for message in body["messages"]] == [
        words.opening("Flight", words.instructions("Flight", "for my trips")) + text(sets[0, 0]),
        "The best option is Flight 3.",
        words.opening("Flight", "Your option Flight 3 is incorrect. I prefer Flight 1.") + text(sets[0, 1]) + ending,
    ]
    told = {name: value for name, value in body.items() if name != "messages"}
    assert told == {"model": "test", "temperature": 0.0, "max_tokens": 32, "logprobs": True, "top_logprobs": 20}
    assert server.keys == {f"Bearer {key}"}


def test_it_keeps_the_agent_contract(make, flights, server):
    findings = check_agent_contract(make(), flights)
    assert not [finding for finding in findings if not finding.passed]


def test_an_option_that_is_not_listed_gets_its_bound_and_is_counted(make, server, sets, predict):
    server.says = lambda question: "**Flight 2**, as it is cheap."
    listed = [(" 2", 0.7), ("2", 0.1), ("3", 0.05), (" the", 0.04)]
    content = [
        {"token": token, "logprob": 0.0, "top_logprobs": [{"token": token, "logprob": 0.0}]} for token in ("**Flight",)
    ]
    content.append(
        {
            "token": " 2",
            "logprob": float(np.log(0.7)),
            "top_logprobs": [{"token": token, "logprob": float(np.log(prob))} for token, prob in listed],
        }
    )
    content.append({"token": "**, as it is cheap.", "logprob": 0.0, "top_logprobs": []})
    completion = server.completion

    def own(question: str, body: dict) -> dict:
        sent = completion(question, body)
        sent["choices"][0]["logprobs"] = {"content": content}
        return sent

    server.completion = own
    agent = make()
    answers = predict(agent, sets[:1])
    np.testing.assert_allclose(answers.probs[0, 0], np.array([0.04, 0.8, 0.05]) / 0.89)
    assert answers.bounded.sum() == 3


def test_no_option_named_is_no_usable_answer(make, server, sets, predict):
    server.says = lambda question: "Flight 1 and Flight 2 are both good."
    for way in ("logprobs", "samples", "stated", "none"):
        answers = predict(make(probabilities=way, unusable="count"), sets[:1, :1])
        assert answers.choice.tolist() == [[-1]]
        assert server.says("")[:20] in answers.text[0, 0]


def test_samples_are_counted(make, server, sets, predict):
    said = iter(["Flight 1", "Flight 3", "The best option is Flight 3.", "no idea", "Flight 3", "Flight 3"])
    server.says = lambda question: next(said)
    agent = make(probabilities="samples", n="6", workers="1")
    answers = predict(agent, sets[:1, :1])
    np.testing.assert_allclose(answers.probs[0, 0], np.array([1.5, 0.5, 4.5]) / 6.5)
    assert answers.choice.tolist() == [[2]]
    assert answers.tokens.tolist() == [[50 + 6 * 7]]  # the question is read once
    assert list(server.asked.values()) == [1]
    assert (server.bodies[0]["temperature"], server.bodies[0]["n"]) == (1.0, 6)
    assert predict(agent, sets[:1, :1]).probs.tolist() == answers.probs.tolist()
    assert list(server.asked.values()) == [1]


def test_stated_probabilities_are_asked_for_at_the_end(make, flights, server, sets, keys):
    server.says = lambda question: '```json\n{"Flight 1": "20%", "Flight 2": "50%", "Flight 3": "30%"}\n```'
    agent = make(probabilities="stated")
    state = agent.begin(bb.Brief.of(flights), keys(1))
    state = agent.observe(state, sets[:1, 0], np.array([2]), np.array([2]))
    answers = agent.predict(state, sets[:1, :1])
    np.testing.assert_allclose(answers.probs[0, 0], [0.2, 0.5, 0.3])
    told = [message["content"] for message in server.bodies[0]["messages"]]
    assert told[-1].endswith(options_of("Flight").in_json)
    assert options_of("Flight").in_json not in told[0]


def test_beliefs_are_asked_for_a_question_a_feature(make, flights, server, sets, predict):
    """It names level 3 at 0.6, and level 1 at 0.3; the three others share what is left, in equal parts."""
    server.says = lambda question: "Your preference is 3."
    answers = predict(make(beliefs="only"), sets)
    assert server.asked.total() == 4  # two users who are told apart by nothing yet
    asked = [body["messages"][-1]["content"].split("\n\n")[1] for body in server.bodies]
    assert sorted(asked) == sorted(
        f"On a scale of 1 to 5, what is my preference for {one.label}?" for one in flights.features
    )
    expected = np.array([0.3, 0.1, 0.6, 0.1, 0.1]) / 1.2
    np.testing.assert_allclose(answers.beliefs, np.tile(expected, (2, 4, 1)))
    assert answers.seconds[:, 0].min() > 0
    assert (answers.seconds[:, 1:] == 0).all()


def test_a_server_without_decisions_is_told_apart_from_one_without_the_model(make, server, sets, predict):
    server.script = lambda question, nth: "404"
    with pytest.raises(bb.BeliefBenchError, match=r"has no decisions .* use probabilities=logprobs, samples or stated"):
        predict(make(probabilities="decision"), sets)


def test_beliefs_tell_what_was_written_and_bounded(make, server, sets, predict):
    """Features without a usable answer are unknown; users without any have no recommendation."""
    server.says = lambda question: "Your preference is 3." if int(question, 16) % 2 else "It depends."
    answers = predict(make(beliefs="only"), sets)
    usable = ~np.isnan(answers.beliefs).any(axis=-1)
    assert answers.text[0, 0].count("Your preference is 3.") == usable[0].sum()
    assert ((answers.choice >= 0).all(axis=1) == usable.any(axis=1)).all()
    assert (answers.bounded.all(axis=1) == usable.any(axis=1)).all()


def test_thoughts_take_longer_answers(make, server, sets, predict):
    server.says = lambda question: "Flight 1 is cheap. The best option is Flight 2."
    answers = predict(make(think="yes"), sets[:1, :1])
    assert answers.choice.tolist() == [[1]]
    assert server.bodies[0]["max_tokens"] == 512
    assert "Think step by step" in server.bodies[0]["messages"][-1]["content"]


def test_what_it_would_cost_is_told_without_asking(make, flights, server, sets, keys):
    agent = make(probabilities="samples", n="5", workers="4", beliefs="yes")
    state = agent.begin(bb.Brief.of(flights), keys(2))
    cost = agent.cost(state, sets)
    assert not server.asked
    assert cost.requests == 2 * (3 + 4)
    assert cost.written == 5 * 32 * cost.requests
    assert cost.seconds == cost.requests / 4
    agent.predict(state, sets)
    read = sum(len(json.dumps(body["messages"])) for body in server.bodies) * cost.requests / len(server.bodies)
    assert 0.8 < (cost.tokens - cost.written) / (read / 4) < 1.25


def test_an_agent_that_only_chooses_gives_no_probabilities(make, server, sets, predict):
    agent = make(probabilities="none")
    answers = predict(agent, sets)
    assert not agent.probabilistic
    assert answers.probs is None
    assert "logprobs" not in server.bodies[0]
    assert answers.choice.tolist() == [[int(text[-2]) - 1 for text in row] for row in answers.text]


def test_identity_is_what_answers_depend_on_and_not_how_they_travel(make, key):
    plain = dict(make().identity())
    assert plain == dict(make(workers="3", timeout="9", max_requests="5", token_budget="7", cache="/tmp").identity())
    for change in (
        {"probabilities": "none"},
        {"probabilities": "samples"},
        {"revision": "2"},
        {"temperature": "0.5"},
        {"answer_tokens": "64"},
        {"top_logprobs": "5"},
        {"think": "2048"},
        {"reasoning_effort": "low"},
        {"chat_template_kwargs": '{"enable_thinking": false}'},
        {"extra_body": '{"top_k": 5}'},
    ):
        assert dict(make(**change).identity()) != plain
    assert key not in json.dumps(plain)


@pytest.mark.parametrize(
    "settings",
    [
        {"probabilities": "guess"},
        {"n": "4"},
        {"probabilities": "samples", "n": "0"},
        {"workers": "many"},
        {"temperature": "-1"},
        {"temperature": "nan"},
        {"timeout": "0"},
        {"token_budget": "1e6"},
        {"max_tokens": "1000000"},
        {"top_logprobs": "0"},
        {"top_logprobs": "5", "probabilities": "none"},
        {"think": "0"},
        {"think": "much"},
        {"extra_body": "top_k"},
        {"extra_body": "[1]"},
        {"extra_body": '{"temperature": 1}'},
        {"extra_body": '{"stream": true}'},
        {"extra_body": '{"a": NaN}'},
        {"chat_template_kwargs": "no"},
        {"probabilities": "decision", "think": "100"},
        {"unusable": "ignore"},
        {"probabilities": "decision", "temperature": "1"},
        {"probabilities": "stated", "think": "yes"},
        {"history": "none"},
        {"form": "words"},
        {"form": "paper", "think": "yes"},
        {"form": "sentence", "probabilities": "stated"},
        {"form": "paper", "beliefs": "only"},
    ],
)
def test_what_cannot_be_is_a_usage_error(make, settings):
    with pytest.raises(bb.UsageError):
        make(**settings)


def test_no_server_named_and_missing_packages_are_said(flights, monkeypatch, tmp_path):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(bb.BeliefBenchError, match="set OPENAI_BASE_URL"):
        endpoint(flights, "test", cache=str(tmp_path))
    server = "beliefbench.language.servers.endpoint"
    monkeypatch.setattr(f"{server}.find_spec", lambda name: None if name == "openai" else name)
    with pytest.raises(bb.BeliefBenchError, match="pip install openai"):
        endpoint(flights, "test", cache=str(tmp_path))


def test_the_client_is_loaded_when_it_is_needed():
    code = "import beliefbench.agents.endpoint, sys; print('openai' in sys.modules, 'tenacity' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
