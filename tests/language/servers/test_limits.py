"""Parameters that a server renames, limits or refuses: learnt once, used for all questions, and said in the row."""

from __future__ import annotations

import json

import pytest

import beliefbench as bb
from beliefbench.language.servers.completions import Request, chat
from beliefbench.language.servers.limits import ServerLimits, limits_of


def refuses(name: str, said: str, when=lambda value: True):
    """A server that refuses a parameter."""
    return lambda body: (400, {"error": {"message": said}}) if name in body and when(body[name]) else None


NEW_NAME = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
ONE_TEMPERATURE = (
    "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) is supported."
)


@pytest.mark.parametrize(
    ("name", "said", "when", "sent", "note"),
    [
        ("max_tokens", NEW_NAME, lambda _: True, {"max_completion_tokens": 32}, "the length as max_completion_tokens"),
        (
            "max_tokens",
            'Unknown name "max_tokens": Cannot find field.',
            lambda _: True,
            {"max_completion_tokens": 32},
            "length",
        ),
        (
            "max_tokens",
            "max_tokens: Extra inputs are not permitted",
            lambda _: True,
            {"max_completion_tokens": 32},
            "length",
        ),
        ("max_tokens", "max_tokens must be at most 16", lambda one: one > 16, {"max_tokens": 16}, "max_tokens 16, the"),
        (
            "max_tokens",
            "max_tokens is too large: 32. This model supports at most 20 completion tokens",
            lambda one: one > 20,
            {"max_tokens": 20},
            "max_tokens 20",
        ),
        (
            "temperature",
            ONE_TEMPERATURE,
            lambda one: one != 1,
            {"temperature": None},
            "temperature of the server's choice",
        ),
        ("temperature", "`temperature` is deprecated for this model.", lambda _: True, {"temperature": None}, "choice"),
        (
            "temperature",
            "`temperature` must be strictly positive",
            lambda one: one <= 0,
            {"temperature": 0.01},
            "takes no 0",
        ),
        (
            "temperature",
            "temperature must be greater than 0",
            lambda one: one <= 0,
            {"temperature": 0.01},
            "takes no 0",
        ),
        (
            "top_logprobs",
            "Invalid value for 'top_logprobs': must be less than or equal to 5.",
            lambda one: one > 5,
            {"top_logprobs": 5},
            "top_logprobs 5, the server's most",
        ),
        (
            "top_logprobs",
            "Requested sample logprobs of 20, which is greater than max allowed: 10",
            lambda one: one > 10,
            {"top_logprobs": 10},
            "top_logprobs 10",
        ),
        (
            "temperature",
            "Invalid temperature value, the valid range of temperature is (0, 2]",
            lambda one: one <= 0,
            {"temperature": 0.01},
            "temperature 0.01, since the server takes no 0",
        ),
        (
            "temperature",
            "Temperature should be in [0.05, 2.0)",
            lambda one: one < 0.05,
            {"temperature": 0.05},
            "temperature 0.05, since the server takes no 0",
        ),
        (
            "top_logprobs",
            "logprobs value of 20 but the supported range is from 1 (inclusive) to 6 (exclusive)",
            lambda one: one > 5,
            {"top_logprobs": 5},
            "top_logprobs 5",
        ),
        (
            "top_logprobs",
            "logprobs must be in the range of [1, 20) but was 20.",
            lambda one: one > 19,
            {"top_logprobs": 19},
            "top_logprobs 19",
        ),
        (
            "top_logprobs",
            "top_logprobs must be in range [0, 8]",
            lambda one: one > 8,
            {"top_logprobs": 8},
            "top_logprobs 8",
        ),
        ("top_logprobs", "top_logprobs is too large", lambda one: one > 5, {"top_logprobs": 5}, "top_logprobs 5"),
    ],
)
def test_it_is_learnt_once_and_said_in_the_row(make, flights, server, tmp_path, name, said, when, sent, note):
    server.refuse = refuses(name, said, when)
    settings = {"users": 2, "rounds": 1, "heldout": 3}
    done = bb.run(flights, make(), **settings, results=tmp_path / "one")
    assert len(server.bodies) == server.answered.total() + 1  # refused once, of all workers together
    for parameter, value in sent.items():
        assert {body.get(parameter) for body in server.bodies[1:]} == {value}
    assert note in done.record.agent.note
    assert (done.rows().to_pandas()["choice"] >= 0).all()

    asked = len(server.bodies)
    limits_of.cache_clear()  # as in another process, which is refused once more, and then finds the answers
    again = bb.run(flights, make(), **settings, results=tmp_path / "two")
    assert len(server.bodies) <= asked + 2
    assert set(server.answered.values()) <= {1, 2}
    assert again.rows().to_pandas()["choice"].equals(done.rows().to_pandas()["choice"])


def test_one_after_the_other_as_a_reasoning_model_refuses_them(make, server, sets, predict):
    def refuse(body):
        if "max_tokens" in body:
            return 400, {"error": {"message": NEW_NAME, "param": "max_tokens", "code": "unsupported_parameter"}}
        if body.get("temperature", 1) != 1:
            return 400, {"error": {"message": ONE_TEMPERATURE, "param": "temperature", "code": "unsupported_value"}}
        return None

    server.refuse = refuse
    agent = make(probabilities="none", reasoning_effort="low")
    assert (predict(agent, sets).choice >= 0).all()
    assert server.bodies[-1].keys() == {"model", "messages", "max_completion_tokens", "reasoning_effort"}
    assert len(server.bodies) == server.answered.total() + 2
    assert agent.note == (
        "only chooses, reasoning_effort=low, the length as max_completion_tokens, temperature of the server's choice, "
        "form=sentence"
    )


@pytest.mark.parametrize("status", [400, 403, 422])
@pytest.mark.parametrize(
    "said",
    [
        "You are not allowed to request logprobs from this model",
        "'logprobs' is not supported with this model",
        "Logprobs are not enabled; start the server with --logits_all",
    ],
)
def test_a_server_without_log_probabilities_is_told_in_its_own_words(make, server, sets, predict, status, said):
    server.refuse = lambda body: (status, {"error": {"message": said}}) if "logprobs" in body else None
    with pytest.raises(bb.BeliefBenchError, match=rf"no usable log-probabilities of 'test' \(status {status}: {said}"):
        predict(make(), sets)
    assert len(server.bodies) == 1
    assert (predict(make(probabilities="none"), sets).choice >= 0).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"reasoning_effort": "much"}, "Invalid value: 'much'. Supported values are 'low' and 'high'"),
        ({"extra_body": '{"seed": 3}'}, "Extra inputs are not permitted: seed"),
        ({"chat_template_kwargs": '{"a": 1}'}, "chat_template_kwargs is not supported"),
        ({"temperature": "3"}, "temperature must be between 0 and 2"),
        ({}, "messages: roles must alternate"),
    ],
)
def test_what_was_asked_for_and_is_refused_is_told(make, server, sets, predict, settings, said):
    server.refuse = lambda body: (400, {"error": {"message": said}})
    with pytest.raises(bb.BeliefBenchError, match="refused a question") as raised:
        predict(make(**settings), sets)
    assert said in str(raised.value)
    assert len(server.bodies) == 1


def test_a_server_that_never_takes_it_is_asked_a_few_times(make, server, sets, predict):
    """Whatever it says; each of its words could be mended."""
    words = [
        NEW_NAME,
        "max_completion_tokens is unknown",
        ONE_TEMPERATURE,
        "top_logprobs must be at most 5",
        "n must be 1",
    ]
    server.refuse = lambda body: (400, {"error": {"message": words[len(server.bodies) % len(words)]}})
    with pytest.raises(bb.BeliefBenchError, match=r"refused a question|no usable log-probabilities"):
        predict(make(), sets)
    assert len(server.bodies) < 10


@pytest.mark.parametrize("refuse", [True, False])
@pytest.mark.parametrize(
    "said",
    ["Only one completion choice is allowed", "Unsupported fields in the request: {'n'}", "n must be 1", "n > 1"],
)
def test_samples_come_one_by_one_where_a_server_takes_no_n(make, server, sets, predict, refuse, said):
    """It says so, or it sends one answer whatever it is asked."""
    if refuse:
        server.refuse = refuses("n", said)
    else:
        server.change = lambda sent, nth: {**sent, "choices": sent["choices"][:1]}
    agent = make(probabilities="samples", n="3")
    first = predict(agent, sets[:1, :2])
    assert len(server.bodies) == 2 * 3 + refuse
    assert [body.get("n", 1) for body in server.bodies[1:]] == [1] * (len(server.bodies) - 1)
    assert first.tokens.tolist() == [[3 * 57] * 2] if refuse else [[2 * 57 + 50 + 7 * 3, 3 * 57]]
    asked = len(server.bodies)
    assert predict(agent, sets[:1, :2]).probs.tolist() == first.probs.tolist()
    more = predict(make(probabilities="samples", n="4"), sets[:1, :2])  # one more of each
    assert len(server.bodies) == asked + 2
    assert more.choice.shape == (1, 2)


def test_settings_are_sent_as_they_are(make, server, sets, predict):
    agent = make(
        top_logprobs="7",
        reasoning_effort="low",
        chat_template_kwargs='{"enable_thinking": false}',
        extra_body='{"top_k": 3, "provider": {"order": ["a"]}}',
        think="100",
    )
    predict(agent, sets[:1, :1])
    (body,) = server.bodies
    del body["messages"], body["model"]
    assert body == {
        "temperature": 0.0,
        "max_tokens": 132,
        "logprobs": True,
        "top_logprobs": 7,
        "reasoning_effort": "low",
        "chat_template_kwargs": {"enable_thinking": False},
        "top_k": 3,
        "provider": {"order": ["a"]},
    }
    assert "think=100" in agent.note
    assert "reasoning_effort=low" in agent.note
    assert json.dumps(dict(agent.identity()))


def test_what_is_learnt_for_one_model_is_not_of_another():
    asked = Request("chat", "m", None, chat([], temperature=0, answer_tokens=8))
    one, other = limits_of("s", "m", "max_tokens"), limits_of("s", "o", "max_tokens")
    assert one.learn(NEW_NAME, one.body(asked))
    assert "max_completion_tokens" in limits_of("s", "m", "max_tokens").body(asked)
    assert "max_tokens" in other.body(asked)


def test_openais_own_name_is_changed_back_where_it_is_unknown():
    limits, asked = (
        ServerLimits("max_completion_tokens"),
        Request("chat", "m", None, chat([], temperature=0, answer_tokens=8)),
    )
    assert limits.learn("Unrecognized request argument supplied: max_completion_tokens", limits.body(asked))
    assert limits.body(asked)["max_tokens"] == 8
