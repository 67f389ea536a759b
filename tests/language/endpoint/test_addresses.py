"""Addresses of servers: what cannot be one is told before anything is asked."""

import pytest

import beliefbench as bb
from beliefbench.language.endpoint import RetryPolicy


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
