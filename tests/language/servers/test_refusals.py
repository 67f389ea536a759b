"""Errors of servers in several forms, and what is made of counts and samples that are not as asked."""

from __future__ import annotations

import pytest

import beliefbench as bb
from beliefbench.language.servers.completions import Request, chat
from beliefbench.language.servers.endpoint import RetryPolicy


def which(**more) -> dict:
    return chat([{"role": "user", "content": "Which?"}], temperature=1, answer_tokens=8) | more


@pytest.mark.parametrize(
    ("status", "sent", "says"),
    [
        (502, b"<!DOCTYPE html><html><title>502 Bad Gateway</title></html>", r"\(status 502: 502 Bad Gateway\)"),
        (400, [{"error": {"message": "bad role", "code": 400}}], r"\(status 400: bad role\)"),
        (
            400,
            [{"error": {"message": "The input token count (9) exceeds the maximum", "code": 400}}],
            "is too long for",
        ),
        (
            404,
            {"error": {"message": "No endpoints found that can handle the requested parameters."}},
            "no usable log-prob",
        ),
    ],
)
def test_errors_are_told_in_the_providers_words(server, chat_server, status, sent, says):
    server.refuse = lambda body: (status, sent)
    with pytest.raises(bb.BeliefBenchError, match=says):
        chat_server(RetryPolicy(2, 0.01, 0.02)).ask([Request("chat", "test", None, which(logprobs=True))])


@pytest.mark.parametrize("usage", [{"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, {}, None])
def test_a_server_that_counts_no_tokens_spends_the_budget_all_the_same(server, questions, chat_server, usage):
    server.change = lambda sent, nth: sent | {"usage": usage}
    with pytest.raises(bb.BeliefBenchError, match="would pass token_budget=200"):
        chat_server(token_budget=200, workers=1).ask(questions(30))
    assert server.asked.total() < 10


def test_a_server_that_returns_some_of_the_samples_is_asked_for_the_rest(server, chat_server):
    server.change = lambda sent, nth: sent | {"choices": sent["choices"][:3]}
    ((*replies,),) = chat_server().ask([Request("chat", "test", None, which(), samples=8)])
    assert [body.get("n", 1) for body in server.bodies] == [8, 5, 2]
    assert len(replies) == 8
