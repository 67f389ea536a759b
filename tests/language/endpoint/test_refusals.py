"""A server's own words in errors, and addresses that are none."""

from __future__ import annotations

import pytest

import beliefbench as bb
from beliefbench.language.endpoint import RetryPolicy


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


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("localhost:8000/v1", "set it to http://localhost:8000/v1, for"),
        ("127.0.0.1:8000", "set it to http://127.0.0.1:8000, for"),
        ("api.example.com/v1", "set it to http://api.example.com/v1, for"),
        ("ftp://example.com/v1", "does not begin with http"),
        ("me:secret@host/v1", "'host/v1', which does not"),
        ("http://", "does not begin with http"),
        ("http://host:port/v1", "is no address"),
        ("http://localhost:8000/v1/chat/completions", "leave '/chat/completions' out"),
        ("http://localhost:8000/v1/models/", "leave '/models' out"),
    ],
)
def test_what_is_no_address_is_told_before_anything_is_asked(monkeypatch, chat_server, address, says):
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with pytest.raises(bb.UsageError, match=says) as raised:
        chat_server()
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("act", ["404", "no JSON"])
def test_an_address_without_a_path_is_told(server, monkeypatch, questions, chat_server, act):
    server.script = lambda question, nth: act
    monkeypatch.setenv("OPENAI_BASE_URL", server.address.removesuffix("/v1") + "/")
    with pytest.raises(bb.BeliefBenchError, match=r"most servers answer at http://127.0.0.1:\d+/v1, not at"):
        chat_server(RetryPolicy(2, 0.01, 0.02)).ask(questions(1))
