"""What servers send: each response ends as the right reply, or in a sentence with the provider's words."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.language.servers.completions import MOST_TOKENS, Reply, Request, chat
from beliefbench.language.servers.endpoint import RetryPolicy

TEXT = "The best option is Flight 2."
THOUGHT = "Flight 1 is dear."


def into(place: str, value):
    """A change of a completion: a value at a path such as ``choices.0.message.content``."""

    def change(sent: dict) -> dict:
        *folders, name = place.split(".")
        inner = sent
        for folder in folders:
            inner = inner[int(folder) if folder.isdigit() else folder]
        inner[int(name) if name.isdigit() else name] = value
        return sent

    return change


def both(*changes):
    def change(sent: dict) -> dict:
        for one in changes:
            sent = one(sent)
        return sent

    return change


content, message, reason = "choices.0.message.content", "choices.0.message", "choices.0.finish_reason"
OF_COMPLETIONS = {
    "tokens": ["The best option is Flight ", "2", "."],
    "token_logprobs": [0.0, -0.5, 0.0],
    "top_logprobs": [None, {"2": -0.5, "1": -1.5}, None],
}


@pytest.fixture
def ask(server, chat_server):
    """``ask(change)``: the reply to a question that wants log-probabilities, of which the server sends ``change``d."""

    def asked(change, logprobs=True, **settings) -> Reply:
        server.says = lambda question: TEXT
        server.change = lambda sent, nth: change(sent)
        parameters = chat([{"role": "user", "content": "Which?"}], temperature=0, answer_tokens=8)
        wanted = {"logprobs": True, "top_logprobs": 20} if logprobs else {}
        ((reply,),) = chat_server(**settings).ask([Request("chat", "test", None, parameters | wanted)])
        return reply

    return asked


@pytest.mark.parametrize(
    "change",
    [
        into(content, [{"type": "text", "text": TEXT}]),
        into(
            content,
            [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}, {"type": "text", "text": TEXT}],
        ),
        into(content, [{"type": "reasoning", "text": THOUGHT}, {"type": "output_text", "text": TEXT}]),
        into(content, ["The best option is ", "Flight 2."]),
        into(content, [{"type": "text", "text": {"value": TEXT, "annotations": []}}]),
        into(content, f"\n\n{TEXT} "),
        into("choices.0.message.reasoning", THOUGHT),
        into("choices.0.message.reasoning_content", THOUGHT),
        into("choices.0.message.refusal", None),
        both(into("choices.0.message.tool_calls", []), into("choices.0.message.annotations", [])),
        into(reason, None),
        into(reason, "eos"),
        into("error", None),
        into("choices.0.logprobs.content.0.top_logprobs", None),
        lambda sent: sent["choices"][0]["logprobs"]["content"][0].pop("top_logprobs") and sent,
        into("choices.0.logprobs.content.5.top_logprobs.1.logprob", None),
        into("choices.0.logprobs.content.5.top_logprobs.1.logprob", float("-inf")),
        into("choices.0.logprobs.content.5.bytes", None),
        into("choices.0.logprobs.content.5.bytes", []),
        into("choices.0.logprobs", OF_COMPLETIONS),
        lambda sent: json.dumps(sent).encode(),
    ],
)
def test_an_answer_is_read_however_it_is_wrapped(ask, change):
    reply = ask(change)
    assert (reply.text, reply.ended) == (TEXT, "stop")
    (place,) = reply.places
    assert reply.text.encode()[place.at :].startswith(place.token.encode())
    assert np.exp([log_prob for _, log_prob in place.listed]).sum() <= 1.01


@pytest.mark.parametrize(
    ("usage", "tokens", "thought"),
    [
        (None, None, None),
        ({}, None, None),
        ({"prompt_tokens": None, "completion_tokens": None}, None, None),
        ({"prompt_tokens": 50}, None, None),
        ({"prompt_tokens": -1, "completion_tokens": 7}, None, None),
        ({"prompt_tokens": 3_000_000_000, "completion_tokens": 7}, None, None),
        ({"prompt_tokens": "many", "completion_tokens": 7}, None, None),
        ({"prompt_tokens": 50.0, "completion_tokens": 7.0}, 57, None),
        ({"prompt_tokens": 50, "completion_tokens": 7, "completion_tokens_details": None}, 57, None),
        ({"prompt_tokens": 50, "completion_tokens": 7, "completion_tokens_details": {"reasoning_tokens": 4}}, 57, 4),
        ({"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 157}, 157, 100),  # as Google counts thoughts
    ],
)
def test_counts_are_read_where_they_are_some(ask, usage, tokens, thought):
    reply = ask(into("usage", usage))
    assert (reply.text, reply.tokens, reply.thought_tokens) == (TEXT, tokens, thought)


@pytest.mark.parametrize(
    ("change", "ended", "text"),
    [
        (
            both(into(content, None), into("choices.0.message.refusal", "I cannot help with Flight 2.")),
            "refusal",
            "I cannot",
        ),
        (into(content, [{"type": "refusal", "refusal": "I will not."}]), "refusal", "I will not."),
        (both(into(content, ""), into(reason, "content_filter")), "refusal", ""),
        (both(into(content, None), into(reason, "SAFETY")), "refusal", ""),
        (
            both(into(content, None), into("choices.0.message.tool_calls", [{"function": {"name": "book_flight_2"}}])),
            "tool call",
            '[{"function"',
        ),
        (both(into(content, None), into("choices.0.message.function_call", {"name": "book"})), "tool call", '{"name"'),
        (both(into(content, "The best"), into(reason, "length")), "length", "The best"),
        (both(into(content, ""), into(reason, "length"), into("choices.0.message.reasoning", THOUGHT)), "length", ""),
        (both(into(content, "Well, Flight"), into(reason, "max_tokens")), "length", "Well"),
        (both(into(content, ""), into("usage.completion_tokens", 1)), "stop", ""),  # it ended the turn at once
    ],
)
def test_what_is_no_answer_is_kept_as_what_it_is(ask, server, change, ended, text):
    for _ in range(2):
        reply = ask(change, logprobs=False)
        assert reply.ended == ended
        assert reply.text.startswith(text)
    assert server.asked.total() == 1


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (
            lambda sent: {"error": {"message": "Provider returned error", "code": 502, "metadata": {"raw": "no GPU"}}},
            "no GPU",
        ),
        (lambda sent: {"error": "model is loading"}, "model is loading"),
        (lambda sent: {"object": "error", "message": "overloaded"}, "overloaded"),
        (lambda sent: {"detail": "worker died"}, "worker died"),
        (lambda sent: {**sent, "error": {"message": "rate limited", "type": "rate_limit_error"}}, "rate limited"),
        (into("choices.0.error", {"code": 502, "message": "upstream"}), "status 502: upstream"),
        (both(into(content, "The best"), into(reason, "error")), "finish_reason 'error'"),
        (both(into(content, ""), into(reason, "abort")), "finish_reason 'abort'"),
        (into(reason, "cancelled"), "finish_reason 'cancelled'"),
        (both(into(content, ""), into("usage", None)), "its answer is empty"),
        (both(into(content, None), into("usage.completion_tokens", 0)), "its answer is empty"),
        (both(into(content, []), into("usage", None)), "its answer is empty"),
        (into("choices", []), "holds no answer"),
        (into("choices", None), "not a chat completion"),
        (into("choices", "Flight 2"), "not a chat completion"),
        (into("choices.0.message", TEXT), "not a chat completion"),
        (lambda sent: {}, "not a chat completion"),
        (lambda sent: [sent], "not a chat completion"),
        (lambda sent: b"", "its response is empty"),
        (lambda sent: b"<html><style>a{}</style><h1>Sign in</h1>", "not JSON: 'Sign in'"),
        (lambda sent: b'{"choices": [{"mess', "not JSON: '{"),
        (lambda sent: b"[" * 100_000, "not JSON"),
        (lambda sent: b'data: {"choices": []}\n\ndata: [DONE]', "in pieces"),
        (lambda sent: {"base_resp": {"status_code": 1004, "status_msg": "login fail"}, "choices": None}, "login fail"),
        (lambda sent: {"errors": [{"code": 7003, "message": "No route"}], "result": None}, "No route"),
        (lambda sent: {"status": "busy", "queue": 3}, "not a chat completion: '{.status.: .busy"),
        (
            lambda sent: [{"error": {"message": "The model is overloaded.", "code": 503}}],
            "status 503: The model is over",
        ),
        (into(reason, "network_error"), "finish_reason 'network_error'"),
        (into(reason, "USER_CANCEL"), "finish_reason 'user_cancel'"),
        (into(reason, "model_error"), "finish_reason 'model_error'"),
        (into(content, "Flight 2" * 200_000), "characters"),
    ],
)
def test_a_failure_inside_a_success_is_retried_told_and_never_kept(ask, server, broken, says):
    with pytest.raises(bb.BeliefBenchError, match=rf"failed 2 times \(.*(?:{says})"):
        ask(broken, logprobs=False, patience=RetryPolicy(2, 0.01, 0.02))
    assert server.asked.total() == 2
    calls = iter([broken])
    assert ask(lambda sent: next(calls, lambda good: good)(sent), logprobs=False).text == TEXT
    assert server.asked.total() == 4


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ({"message": "Insufficient credits", "code": 402}, "no money left .status 402: Insufficient credits"),
        ({"message": "Pay first", "code": "insufficient_quota"}, "no money left"),
        ({"message": "No auth credentials found", "code": 401}, "refused the key"),
        ({"message": "Bad key", "type": "authentication_error"}, "refused the key"),
        ({"message": "Not in your country", "code": "403"}, "refused access .status 403: Not in your country"),
        ({"message": "No endpoints found", "status": 404}, "has no model 'test'"),
        (
            {"message": "API key not valid. Please pass a valid API key.", "code": 400},
            "refused the key .status 400: API",
        ),
        ({"message": "Invalid API-key provided.", "code": "InvalidApiKey"}, "refused the key .Invalid API-key"),
        ({"message": "bad role", "code": 400}, "refused a question .status 400: bad role"),
    ],
)
def test_an_error_inside_a_success_that_will_not_pass_ends_it_at_once(ask, server, error, says):
    with pytest.raises(bb.BeliefBenchError, match=says):
        ask(lambda sent: {"error": error})
    assert server.asked.total() == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (into("choices.0.logprobs", None), "the answer has none"),
        (lambda sent: sent["choices"][0].pop("logprobs") and sent, "the answer has none"),
        (into("choices.0.logprobs.content", []), "the answer has none"),
        (
            into("choices.0.logprobs.content", [{"token": TEXT, "logprob": -0.1, "top_logprobs": []}]),
            "of the written tokens alone",
        ),
        (into("choices.0.logprobs.content", [{"token": TEXT, "logprob": -0.1}]), "of the written tokens alone"),
        (into("choices.0.logprobs.content.5.top_logprobs.1.logprob", 7.5), "7.5, which is no log-probability"),
        (into("choices.0.logprobs.content.5.top_logprobs.1.logprob", float("nan")), "nan, which is no"),
        (into("choices.0.logprobs.content", ["The", "best"]), "form"),
    ],
)
def test_log_probabilities_that_are_none_are_told_as_what_they_are(ask, server, change, why):
    with pytest.raises(bb.BeliefBenchError, match=rf"gives no usable log-probabilities of 'test' \(.*{why}"):
        ask(change)
    assert server.asked.total() == 1


def test_log_probabilities_of_another_text_are_this_answers_alone(ask):
    assert (
        ask(into("choices.0.logprobs.content", [{"token": "Other", "logprob": 0.0, "top_logprobs": []}])).places is None
    )


def test_an_answer_without_them_among_others_with_them_is_asked_again(server, questions, chat_server):
    server.change = lambda sent, nth: into("choices.0.logprobs", None)(sent) if nth == 2 else sent
    wanted = [Request("chat", "test", None, {**one.parameters, "logprobs": True}) for one in questions(3)]
    assert all(reply.places for (reply,) in chat_server(workers=1).ask(wanted))
    assert server.asked.total() == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: {**kept, "prompt_tokens": 3_000_000_000},
        lambda kept: {**kept, "prompt_tokens": MOST_TOKENS + 1},
        lambda kept: {**kept, "completion_tokens": -5},
        lambda kept: {**kept, "text": 7},
        lambda kept: {**kept, "text": None},
        lambda kept: {**kept, "text": "x" * 1_000_001},
        lambda kept: {**kept, "seconds": 1e300},
        lambda kept: {**kept, "ended": "somehow"},
        lambda kept: {**kept, "places": [{"at": 999, "token": "2", "listed": [["2", -0.1]]}]},
        lambda kept: {**kept, "places": [{"at": 24, "token": "2", "listed": [["2", 3.0]]}]},
        lambda kept: [kept],
        lambda kept: "no JSON at all",
    ],
)
def test_a_damaged_answer_in_the_cache_is_asked_again_and_replaced(ask, server, tmp_path, damage):
    first = ask(lambda sent: sent)
    with sqlite3.connect(tmp_path / "cache" / "answers.sqlite") as raw:
        ((kept,),) = raw.execute("SELECT answer FROM answers")
        wrong = damage(json.loads(kept))
        raw.execute("UPDATE answers SET answer = ?", (wrong if isinstance(wrong, str) else json.dumps(wrong),))
    for _ in range(2):
        again = ask(lambda sent: sent)
        assert (again.text, again.places) == (first.text, first.places)
    assert server.asked.total() == 2


def test_a_servers_words_are_cut_and_cannot_move_the_cursor(server, questions, chat_server):
    said = "\x1b[2J\x1b]0;title\x07\u202eno\x00 room\r\n" + "x" * 5000
    server.refuse = lambda body: (400, {"error": {"message": said}})
    with pytest.raises(bb.BeliefBenchError, match=r"status 400: no room x+\.\.\.\)") as raised:
        chat_server().ask(questions(1))
    assert len(str(raised.value)) < 500
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"error": {"message": "no such field"}}, "no such field"),
        ({"error": "no such field"}, "no such field"),
        ({"message": "no such field"}, "no such field"),
        ({"detail": [{"loc": ["body", "top_k"], "msg": "no such field", "type": "extra"}]}, "top_k: no such field"),
        ({"error": {"message": "no such field", "param": "top_k"}}, "top_k: no such field"),
        (b"no such field", "no such field"),
        ({}, "no reason given"),
    ],
)
def test_a_providers_own_words_are_told_wherever_they_stand(server, questions, chat_server, body, says):
    server.refuse = lambda asked: (418, body)
    with pytest.raises(bb.BeliefBenchError, match=rf"refused a question \(status 418: {says}\)"):
        chat_server().ask(questions(1))
