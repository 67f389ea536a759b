"""Addresses of servers: what cannot be one is told before anything is asked."""

import pytest

import beliefbench as bb
from beliefbench.language.servers.endpoint import RetryPolicy


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("localhost:8000/v1", "set it to http://localhost:8000/v1, for"),
        ("127.0.0.1:8000", "set it to http://127.0.0.1:8000, for"),
        ("api.example.com/v1", "set it to http://api.example.com/v1, for"),
        ("ftp://example.com/v1", "does not begin with http"),
        ("me:secret@host/v1", "'host/v1', which does not"),
        ("http://", "names no server; set it to"),
        ("http:///v1", "names no server"),
        ("http://127.0.0.1 :8000/v1", "names no server"),
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


@pytest.mark.parametrize("path", ["", "/openai", "/api/proxy/"])
def test_a_path_without_a_version_is_told(server, monkeypatch, questions, chat_server, path):
    server.script = lambda question, nth: "404"
    monkeypatch.setenv("OPENAI_BASE_URL", server.address.removesuffix("/v1") + path)
    with pytest.raises(bb.BeliefBenchError, match=rf"most servers answer at http://127.0.0.1:\d+{path.rstrip('/')}/v1"):
        chat_server().ask(questions(1))


def test_slashes_at_the_end_and_white_space_around_a_key_are_left_out(server, monkeypatch, questions, chat_server, key):
    monkeypatch.setenv("OPENAI_BASE_URL", f" {server.address}// ")
    monkeypatch.setenv("OPENAI_API_KEY", f" {key}\n")
    assert len(chat_server().ask(questions(2))) == 2
    assert server.keys == {f"Bearer {key}"}


@pytest.mark.parametrize("wrong", ["sk-\u00e9", "sk-a\nb", "sk-a\tb"])
def test_what_can_be_no_key_is_told_at_once_and_not_shown(server, monkeypatch, chat_server, wrong):
    monkeypatch.setenv("OPENAI_API_KEY", wrong)
    with pytest.raises(bb.UsageError, match="OPENAI_API_KEY has characters that no key has") as raised:
        chat_server()
    assert wrong not in str(raised.value)


def test_why_there_is_no_connection_is_told(server, monkeypatch, questions, chat_server):
    monkeypatch.setenv("OPENAI_BASE_URL", server.address.replace("http:", "https:"))
    with pytest.raises(bb.BeliefBenchError, match=r"no server answers at https://.*; start it, or .* \(\[SSL"):
        chat_server().ask(questions(1))
    assert not server.asked


def test_a_proxy_is_told(server, monkeypatch, questions, chat_server):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(bb.BeliefBenchError, match="through the proxy of HTTP_PROXY or ALL_PROXY; start it"):
        chat_server().ask(questions(1))
    monkeypatch.setenv("HTTP_PROXY", "ftp://127.0.0.1:9")
    with pytest.raises(bb.BeliefBenchError, match=r"no connection to .* through the proxy of .* can be made: "):
        chat_server().ask(questions(1))


def test_a_run_that_another_server_answered_is_reused_with_a_warning(server, monkeypatch, call):
    """The same name may stand for another model there."""
    words = ("run", "--domain", "flights-2", "--agent", "endpoint:small,unusable=count", "--results", "results")
    small = ("--users", "1", "--rounds", "0", "--heldout", "1")
    for _ in range(2):
        status, _, err = call(*words, *small)
        assert (status, "answers of the server" in err) == (0, False), err
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:secret@127.0.0.1:9/v1")
    status, _, err = call(*words, *small)
    assert status == 0
    assert f"has answers of the server {server.address}. If another model" in err
    assert "secret" not in err
