"""A server on this machine that answers by a script: well, badly, late, or not at all; and what asks it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jax
import numpy as np
import pytest

import beliefbench as bb
from beliefbench.agents.endpoint import endpoint
from beliefbench.language.servers.answers_cache import AnswersCache
from beliefbench.language.servers.budget import Budget
from beliefbench.language.servers.completions import Request, chat
from beliefbench.language.servers.endpoint import ChatServer, RetryPolicy
from beliefbench.language.servers.limits import limits_of

KEY = "sk-secret-0123456789"
HASTE = RetryPolicy(tries=4, first=0.02, longest=0.1)


class Server(ThreadingHTTPServer):
    """Acts on each request as ``script(question, nth)`` says, nth from 1: "answer", or what is wrong.

    A question is known by the hash of what is asked; for samples it is one however often it is asked. ``refuse(body)``
    returns a status and an error for a body that the server does not take, and ``change(sent, nth)`` returns what is
    sent in place of a good completion, to the nth request that was not refused.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: Callable[[str, int], str] = lambda question, nth: "answer"
        self.refuse: Callable[[dict], tuple[int, Any] | None] = lambda body: None
        self.change: Callable[[dict, int], Any] = lambda sent, nth: sent
        self.taken = 0
        self.says: Callable[[str], str] = lambda question: f"The best option is Flight {int(question, 16) % 3 + 1}."
        self.asked, self.answered = Counter(), Counter()
        self.bodies: list[dict] = []
        self.times: list[float] = []
        self.keys: set[str | None] = set()
        self.released = threading.Event()
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def completion(self, question: str, body: dict) -> dict:
        choices = []
        for number in range(body.get("n", 1)):
            text = self.says(question)
            message = {"role": "assistant", "content": text}
            choices.append({"index": number, "message": message, "finish_reason": "stop"})
            if body.get("logprobs"):
                choices[-1]["logprobs"] = {"content": written(text)}
        usage = {"prompt_tokens": 50, "completion_tokens": 7 * len(choices)}
        return {"id": "1", "choices": choices, "usage": usage}


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        with self.server.lock:
            self.server.asked[question] += 1
            self.server.bodies.append(body)
            self.server.times.append(time.monotonic())
            self.server.keys.add(self.headers["Authorization"])
            act = self.server.script(question, self.server.asked[question])
            refused = self.server.refuse(body)
            self.server.taken += refused is None
            good = self.server.completion(question, body)
            good = self.server.change(good, self.server.taken)
        if refused:
            self.send(*refused)
        elif act == "answer":
            with self.server.lock:
                self.server.answered[question] += 1
            self.send(200, good)
        elif act == "no logprobs":
            del good["choices"][0]["logprobs"]
            self.send(200, good)
        elif act == "hang":
            self.server.released.wait(30)
            self.close_connection = True
        elif act == "half":
            self.send(200, good, cut=True)
        elif act == "wrong JSON":
            self.send(200, {"error": {"message": "upstream failed"}})
        elif act == "no JSON":
            self.send(200, None)
        else:
            status, _, retry_after = act.partition(" ")
            said = ERRORS.get(status, "try again") + f" Your key is {KEY}."
            self.send(int(status), {"error": {"message": said, "code": None}}, retry_after)

    def send(self, status: int, sent: Any, retry_after: str = "", cut: bool = False) -> None:
        content = b"<html>" if sent is None else sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if sent is None else "application/json")
        self.send_header("Content-Length", str(len(content)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = cut

    def log_message(self, *args: object) -> None:
        """Keep the tests' output clean."""


ERRORS = {
    "400": "This model's maximum context length is 4096 tokens, but you asked for 5000.",
    "401": "Incorrect API key provided.",
    "404": "The model does not exist.",
}


def written(text: str) -> list[dict]:
    """The tokens of a text, cut before each space; where one holds a number: 0.6 for it, 0.3 for the next option's."""
    tokens = [word if at == 0 else f" {word}" for at, word in enumerate(text.split(" "))]
    found = []
    for token in tokens:
        top = [{"token": token, "logprob": float(np.log(0.6))}]
        if (number := token.strip(" .")).isdigit():
            top.append({"token": f" {int(number) % 3 + 1}", "logprob": float(np.log(0.3))})
        found.append({**top[0], "bytes": list(token.encode()), "top_logprobs": top})
    return found


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[Server]:
    limits_of.cache_clear()  # a port may be used twice
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("OPENAI_BASE_URL", made.address)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    yield made
    made.released.set()
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def make(flights, server, tmp_path):
    """Makes agents as the SPEC does, with less patience."""

    def made(patience=HASTE, **settings):
        agent = endpoint(flights, "test", **{"cache": str(tmp_path / "cache"), "timeout": "5", **settings})
        agent.model.server.patience = patience
        return agent

    return made


@pytest.fixture(scope="session")
def serving(tmp_path_factory):
    """``with serving(command, ready, **environment) as address``: a real server, asked for a path until it is there."""

    @contextmanager
    def started(command: list[str], ready: str, **environment: str) -> Iterator[str]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = tmp_path_factory.mktemp("log") / "server"
        with log.open("w") as out:
            server = subprocess.Popen(
                [*command, "--port", str(port)], env={**os.environ, **environment}, stdout=out, stderr=out
            )
            try:
                until = time.monotonic() + 120
                while True:
                    try:
                        urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}", timeout=5)
                        break
                    except OSError:
                        assert server.poll() is None, log.read_text()
                        assert time.monotonic() < until, log.read_text()
                        time.sleep(0.1)
                yield f"http://127.0.0.1:{port}/v1"
            finally:
                server.terminate()
                server.wait(30)

    return started


@pytest.fixture
def key() -> str:
    """What must stand nowhere; the server repeats it in its errors."""
    return KEY


@pytest.fixture
def questions():
    """``questions(count)``: that many different ones."""

    def made(count: int) -> list[Request]:
        said = ([{"role": "user", "content": f"Which? {number}"}] for number in range(count))
        return [Request("chat", "test", None, chat(one, temperature=0, answer_tokens=8)) for one in said]

    return made


@pytest.fixture
def chat_server(tmp_path):
    """Makes what asks the server that the environment names."""

    def made(patience: RetryPolicy = HASTE, **settings) -> ChatServer:
        budget = Budget(settings.pop("max_requests", None), settings.pop("token_budget", None))
        return ChatServer(AnswersCache(tmp_path / "cache"), budget, patience=patience, **{"timeout": 5.0, **settings})

    return made


@pytest.fixture
def keys():
    return lambda users: jax.random.split(jax.random.key(0), users)


@pytest.fixture
def predict(flights, keys):
    """``predict(agent, sets)``: what it answers to users whom it has just met."""
    return lambda agent, sets: agent.predict(agent.begin(bb.Brief.of(flights), keys(len(sets))), sets)


@pytest.fixture
def sets(simulator) -> np.ndarray:
    return simulator.options(np.random.default_rng(0), 2, 3)
