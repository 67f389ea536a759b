"""The endpoint agent, against a server on this machine that answers by a script: well, badly, late, or not at all."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jax
import numpy as np
import pytest
from bench.agents.endpoint import endpoint

import bench
from bench.agent_contract import check_agent_contract
from bench.language import words
from bench.language.alternatives import options_of
from bench.language.answers_cache import AnswersCache
from bench.language.budget import Budget
from bench.language.completions import Request, chat
from bench.language.endpoint import ChatServer, Patience

KEY = "sk-secret-0123456789"
HASTE = Patience(tries=4, first=0.02, longest=0.1)


class Server(ThreadingHTTPServer):
    """Acts on each request as ``script(question, nth)`` says, nth from 1: "answer", or what is wrong.

    A question is known by the hash of what is asked and, for samples, is one however often it is asked.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: Callable[[str, int], str] = lambda question, nth: "answer"
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
        text = self.says(question)
        choice: dict = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        if body.get("logprobs"):
            choice["logprobs"] = {"content": written(text)}
        return {"id": "1", "choices": [choice], "usage": {"prompt_tokens": 50, "completion_tokens": 7}}


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
        good = self.server.completion(question, body)
        if act == "answer":
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
            self.send(200, {"error": {"message": "upstream"}})
        elif act == "no JSON":
            self.send(200, None)
        else:
            status, _, retry_after = act.partition(" ")
            said = ERRORS.get(status, "try again") + f" Your key is {KEY}."
            self.send(int(status), {"error": {"message": said, "code": None}}, retry_after)

    def send(self, status: int, sent: dict | None, retry_after: str = "", cut: bool = False) -> None:
        content = b"<html>" if sent is None else json.dumps(sent).encode()
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
        agent = endpoint(flights, "test", **{"cache": str(tmp_path / "cache"), "timeout": "1", **settings})
        agent.model.server.patience = patience
        return agent

    return made


def questions(count: int) -> list[Request]:
    said = ([{"role": "user", "content": f"Which? {number}"}] for number in range(count))
    return [Request("chat", "test", None, chat(one, temperature=0, answer_tokens=8)) for one in said]


def chat_server(tmp_path: Path, patience: Patience = HASTE, **settings) -> ChatServer:
    budget = Budget(settings.pop("max_requests", None), settings.pop("max_tokens", None))
    return ChatServer(AnswersCache(tmp_path / "cache"), budget, patience=patience, **{"timeout": 1.0, **settings})


def keys(users: int):
    return jax.random.split(jax.random.key(0), users)


def predict(agent, flights, sets: np.ndarray):
    return agent.predict(agent.begin(bench.Brief.of(flights), keys(len(sets))), sets)


@pytest.fixture
def sets(simulator) -> np.ndarray:
    return simulator.options(np.random.default_rng(0), 2, 3)


@pytest.mark.slow
def test_every_question_is_answered_once_whatever_goes_wrong(make, flights, server, tmp_path):
    """64 users; two tries in five go wrong, in one of seven ways. Runs are repeated until one is finished."""
    wrong = ("429 0.05", "500", "503", "half", "wrong JSON", "no JSON", "hang")
    weights = (0.26, 0.2, 0.2, 0.12, 0.1, 0.1, 0.02)

    acts = set()

    def script(question: str, nth: int) -> str:
        rng = np.random.default_rng([int(question[:8], 16), nth])
        acts.add(act := "answer" if rng.random() < 0.6 else str(rng.choice(wrong, p=weights)))
        return act

    server.script = script
    settings = {"users": 64, "rounds": 1, "heldout": 2, "results": tmp_path / "results"}
    for _ in range(20):
        try:
            done = bench.run(
                flights, make(Patience(tries=6, first=0.02, longest=0.1), timeout="2", workers="16"), **settings
            )
            break
        except bench.BeliefBenchError as error:
            assert "are kept, and running the same again asks the others" in str(error)  # noqa: PT017
    rows = done.rows().to_pandas()
    assert acts == {"answer", *wrong}
    assert len(rows) == 64 * (2 + 1 + 2)
    assert (rows["choice"] >= 0).all()
    assert set(server.answered.values()) == {1}
    assert server.answered.keys() == server.asked.keys()
    assert len(server.answered) == 2 + 64 + 64 * 2  # at stage 0 the held-out questions are the same for everyone
    assert (rows["tokens"] == 57).all()
    assert all("logprobs" in body for body in server.bodies)

    # And each row holds what the server said to that question.
    expected = np.sort([0.6, 0.3, 0.1]) / 1.0
    np.testing.assert_allclose(np.sort(rows[["prob_0", "prob_1", "prob_2"]], axis=1), np.tile(expected, (len(rows), 1)))
    named = rows["text"].str.extract(r"Flight (\d)")[0].astype(int) - 1
    assert (named == rows["choice"]).all()


def test_what_is_asked_is_the_papers_conversation(make, flights, server, sets):
    agent = make()
    state = agent.begin(bench.Brief.of(flights), keys(1))
    state = agent.observe(state, sets[:1, 0], np.array([2]), np.array([0]))
    agent.predict(state, sets[:1, 1:2])

    def text(options):
        return words.question("Flight", [flights.describe(option) for option in options])

    (body,) = server.bodies
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert [message["content"] for message in body["messages"]] == [
        words.opening("Flight", words.instructions("Flight", "for my trips")) + text(sets[0, 0]),
        "The best option is Flight 3.",
        words.opening("Flight", "Your option Flight 3 is incorrect. I prefer Flight 1.") + text(sets[0, 1]),
    ]
    told = {name: value for name, value in body.items() if name != "messages"}
    assert told == {"model": "test", "temperature": 0.0, "max_tokens": 32, "logprobs": True, "top_logprobs": 20}
    assert server.keys == {f"Bearer {KEY}"}


def test_it_keeps_the_agent_contract(make, flights, server):
    findings = check_agent_contract(make(), flights)
    assert not [finding for finding in findings if not finding.passed]


def test_an_option_that_is_not_listed_gets_its_bound_and_is_counted(make, flights, server, sets):
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
    answers = predict(agent, flights, sets[:1])
    np.testing.assert_allclose(answers.probs[0, 0], np.array([0.04, 0.8, 0.05]) / 0.89)
    assert answers.bounded.sum() == 3


def test_no_option_named_is_no_usable_answer(make, flights, server, sets):
    server.says = lambda question: "Flight 1 and Flight 2 are both good."
    for way in ("logprobs", "samples", "stated", "none"):
        answers = predict(make(probabilities=way), flights, sets[:1, :1])
        assert answers.choice.tolist() == [[-1]]
        assert server.says("")[:20] in answers.text[0, 0]


def test_samples_are_counted(make, flights, server, sets):
    said = iter(["Flight 1", "Flight 3", "The best option is Flight 3.", "no idea", "Flight 3", "Flight 3"])
    server.says = lambda question: next(said)
    agent = make(probabilities="samples", n="6", workers="1")
    answers = predict(agent, flights, sets[:1, :1])
    np.testing.assert_allclose(answers.probs[0, 0], np.array([1.5, 0.5, 4.5]) / 6.5)
    assert answers.choice.tolist() == [[2]]
    assert answers.tokens.tolist() == [[6 * 57]]
    assert list(server.asked.values()) == [6]
    assert server.bodies[0]["temperature"] == 1.0
    assert predict(agent, flights, sets[:1, :1]).probs.tolist() == answers.probs.tolist()
    assert list(server.asked.values()) == [6]


def test_stated_probabilities_are_asked_for_at_the_end(make, flights, server, sets):
    server.says = lambda question: '```json\n{"Flight 1": "20%", "Flight 2": "50%", "Flight 3": "30%"}\n```'
    agent = make(probabilities="stated")
    state = agent.begin(bench.Brief.of(flights), keys(1))
    state = agent.observe(state, sets[:1, 0], np.array([2]), np.array([2]))
    answers = agent.predict(state, sets[:1, :1])
    np.testing.assert_allclose(answers.probs[0, 0], [0.2, 0.5, 0.3])
    told = [message["content"] for message in server.bodies[0]["messages"]]
    assert told[-1].endswith(options_of("Flight").in_json)
    assert options_of("Flight").in_json not in told[0]


def test_beliefs_are_asked_for_a_question_a_feature(make, flights, server, sets):
    """It names level 3 at 0.6, and level 1 at 0.3; the three others share what is left, in equal parts."""
    server.says = lambda question: "Your preference is 3."
    answers = predict(make(beliefs="only"), flights, sets)
    assert server.asked.total() == 4  # two users who are told apart by nothing yet
    asked = [body["messages"][-1]["content"].split("\n\n")[1] for body in server.bodies]
    assert sorted(asked) == sorted(
        f"On a scale of 1 to 5, what is my preference for {one.label}?" for one in flights.features
    )
    expected = np.array([0.3, 0.1, 0.6, 0.1, 0.1]) / 1.2
    np.testing.assert_allclose(answers.beliefs, np.tile(expected, (2, 4, 1)))
    assert answers.seconds[:, 0].min() > 0
    assert (answers.seconds[:, 1:] == 0).all()


def test_thoughts_take_longer_answers(make, flights, server, sets):
    server.says = lambda question: "Flight 1 is cheap. The best option is Flight 2."
    answers = predict(make(think="yes"), flights, sets[:1, :1])
    assert answers.choice.tolist() == [[1]]
    assert server.bodies[0]["max_tokens"] == 512
    assert "Think step by step" in server.bodies[0]["messages"][-1]["content"]


def test_what_it_would_cost_is_told_without_asking(make, flights, server, sets):
    agent = make(probabilities="samples", n="5", workers="4", beliefs="yes")
    state = agent.begin(bench.Brief.of(flights), keys(2))
    cost = agent.cost(state, sets)
    assert not server.asked
    assert cost.requests == 5 * 2 * (3 + 4)
    assert cost.seconds == cost.requests / 4
    agent.predict(state, sets)
    read = sum(len(json.dumps(body["messages"])) for body in server.bodies)
    assert 0.8 < cost.tokens / (read / 4 + 32 * len(server.bodies)) * len(server.bodies) / cost.requests < 1.25


def test_an_agent_that_only_chooses_gives_no_probabilities(make, flights, server, sets):
    agent = make(probabilities="none")
    answers = predict(agent, flights, sets)
    assert not agent.probabilistic
    assert answers.probs is None
    assert "logprobs" not in server.bodies[0]
    assert answers.choice.tolist() == [[int(text[-2]) - 1 for text in row] for row in answers.text]


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        ("no logprobs", "no usable log-probabilities; use probabilities=samples or probabilities=stated"),
        ("401", "refused the key .* set OPENAI_API_KEY"),
        ("403", "refused the key .* set OPENAI_API_KEY"),
        ("404", "has no model 'test'"),
        ("400", "too long for 'test'"),
        ("422", "refused a question"),
    ],
)
def test_what_will_not_pass_is_one_sentence_at_once(make, flights, server, sets, act, sentence):
    server.script = lambda question, nth: act
    with pytest.raises(bench.BeliefBenchError, match=sentence) as raised:
        predict(make(workers="1"), flights, sets)
    assert raised.value.exit_status == 1
    assert "\n" not in str(raised.value)
    assert server.asked.total() == 1
    server.script = lambda question, nth: "answer"
    assert (predict(make(), flights, sets).choice >= 0).all()  # nothing was kept of the error


def test_no_server_is_one_sentence_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    began = time.monotonic()
    with pytest.raises(bench.BeliefBenchError, match=r"no server answers at http://127.0.0.1:9/v1; start it"):
        chat_server(tmp_path, Patience()).ask(questions(3))
    assert time.monotonic() - began < 5


def test_a_server_that_goes_away_is_waited_for(server, tmp_path):
    asker = chat_server(tmp_path, workers=1)
    asker.ask(questions(1))
    server.shutdown()
    server.server_close()
    with pytest.raises(bench.BeliefBenchError, match=r"failed 4 times \(the connection broke\); 0 of 1 questions"):
        asker.ask(questions(2))


def test_the_wait_is_within_its_bound_and_as_asked(server, tmp_path):
    """Every try is turned away with an hour to wait, which the bound cuts: 4 tries, 3 pauses of 0.4 s each."""
    server.script = lambda question, nth: "429 3600"
    asker = chat_server(tmp_path, Patience(tries=4, first=0.01, longest=0.4), workers=1)
    began = time.monotonic()
    with pytest.raises(bench.BeliefBenchError, match=r"failed 4 times \(status 429: try again"):
        asker.ask(questions(1))
    assert 1.2 <= time.monotonic() - began < 1.2 + 4 * asker.timeout
    assert len(server.times) == 4
    assert (np.diff(server.times) >= 0.39).all()


def test_one_failure_does_not_keep_the_others_waiting(server, tmp_path):
    """Workers that pause are woken by a failure that will not pass."""
    server.script = lambda question, nth: "401" if server.asked.total() == 4 else "429 30"
    began = time.monotonic()
    with pytest.raises(bench.BeliefBenchError, match="refused the key"):
        chat_server(tmp_path, Patience(longest=60), workers=4).ask(questions(4))
    assert time.monotonic() - began < 10


def test_requests_are_bounded_and_a_second_run_goes_on(server, tmp_path):
    with pytest.raises(bench.BeliefBenchError, match=r"^10 requests and 570 tokens were spent, .* max_requests=10"):
        chat_server(tmp_path, max_requests=10).ask(questions(15))
    assert server.asked.total() == 10
    assert len(chat_server(tmp_path, max_requests=5).ask(questions(15))) == 15
    assert set(server.asked.values()) == {1}


def test_tokens_are_bounded(server, tmp_path):
    """The server counts 57 tokens an answer: 17 answers are 969 tokens, and an 18th would be more than 1,000."""
    asker = chat_server(tmp_path, max_tokens=1000, workers=1)
    with pytest.raises(bench.BeliefBenchError, match=r"969 tokens were spent, .* would pass max_tokens=1000"):
        asker.ask(questions(40))
    assert server.answered.total() == 17


def test_it_can_be_asked_where_an_event_loop_runs(server, tmp_path):
    async def notebook():
        return chat_server(tmp_path).ask(questions(2))

    assert len(asyncio.run(notebook())) == 2


CHILD = """
import sys
from pathlib import Path
from bench.language.answers_cache import AnswersCache
from bench.language.budget import Budget
from bench.language.completions import Request, chat
from bench.language.endpoint import ChatServer
said = [[{"role": "user", "content": f"Which? {number}"}] for number in range(60)]
requests = [Request("chat", "test", None, chat(one, temperature=0, answer_tokens=8)) for one in said]
print(len(ChatServer(AnswersCache(Path(sys.argv[1])), Budget(), workers=4).ask(requests)))
"""


def kept(folder: Path) -> int:
    cache = AnswersCache(folder)
    return sum(cache.get(request.key) is not None for request in questions(60))


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_process_leaves_what_was_answered(server, tmp_path, stop):
    """It is stopped when 30 questions were answered, and the server is silent; nothing of the 30 is asked again."""
    server.script = lambda question, nth: "answer" if server.answered.total() < 30 else "hang"
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    child = subprocess.Popen(command, env=os.environ, stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while kept(tmp_path) < 30:
        assert time.monotonic() < until
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.05)
    began = time.monotonic()
    child.send_signal(stop)
    child.wait(30)
    assert time.monotonic() - began < 5
    server.script = lambda question, nth: "answer"
    done = subprocess.run(command, env=os.environ, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "60"
    assert len(server.answered) == 60
    assert set(server.answered.values()) == {1}


def test_the_key_is_nowhere(make, flights, server, sets, tmp_path, caplog):
    """Not even where the server repeats it."""
    caplog.set_level(logging.DEBUG)
    said = []
    for act in ("answer", "401", "429", "500", "404", "422"):
        server.script = lambda question, nth, act=act: act
        agent = make(revision=act)
        try:
            bench.run(flights, agent, users=1, rounds=0, heldout=1, results=tmp_path / "results")
        except bench.BeliefBenchError as error:
            said += [str(error), repr(error), traceback.format_exc()]
        said += [repr(agent), repr(vars(agent)), repr(vars(agent.model.server)), json.dumps(agent.identity())]
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {file.name for file in files} > {"answers.sqlite", "rows.parquet", "run.json"}
    assert len(said) == 5 * 3 + 6 * 4
    assert caplog.text
    for text in (*said, caplog.text, *(file.read_bytes().decode(errors="ignore") for file in files)):
        assert KEY not in text


def test_identity_is_what_answers_depend_on_and_not_how_they_travel(make):
    plain = dict(make().identity())
    assert plain == dict(make(workers="3", timeout="9", max_requests="5", max_tokens="7", cache="/tmp").identity())
    for change in (
        {"probabilities": "none"},
        {"probabilities": "samples"},
        {"revision": "2"},
        {"temperature": "0.5"},
        {"answer_tokens": "64"},
    ):
        assert dict(make(**change).identity()) != plain
    assert KEY not in json.dumps(plain)


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
        {"max_tokens": "1e6"},
        {"probabilities": "decision", "temperature": "1"},
        {"probabilities": "stated", "think": "yes"},
        {"history": "none"},
    ],
)
def test_what_cannot_be_is_a_usage_error(make, settings):
    with pytest.raises(bench.UsageError):
        make(**settings)


def test_no_server_named_and_missing_packages_are_said(flights, monkeypatch, tmp_path):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(bench.BeliefBenchError, match="set OPENAI_BASE_URL"):
        endpoint(flights, "test", cache=str(tmp_path))
    monkeypatch.setattr("bench.language.endpoint.find_spec", lambda name: None if name == "openai" else name)
    with pytest.raises(bench.BeliefBenchError, match=r"needs openai, .* pip install 'beliefbench\[endpoint\]'"):
        endpoint(flights, "test", cache=str(tmp_path))


def test_the_client_is_loaded_when_it_is_needed():
    code = "import bench.agents.endpoint, sys; print('openai' in sys.modules, 'tenacity' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
