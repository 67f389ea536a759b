"""What becomes of questions to a server that fails in all ways, and of a process that is stopped."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.language.servers.answers_cache import AnswersCache
from beliefbench.language.servers.completions import Request
from beliefbench.language.servers.endpoint import ChatServer, RetryPolicy


@pytest.mark.slow
def test_every_question_is_answered_once_whatever_goes_wrong(make, flights, server, tmp_path):
    """32 users; two tries in five go wrong, in one of seven ways. Runs are repeated until one is finished."""
    wrong = ("429 0.05", "500", "503", "half", "wrong JSON", "no JSON", "hang")
    weights = (0.26, 0.2, 0.2, 0.12, 0.1, 0.1, 0.02)

    acts = set()

    def script(question: str, nth: int) -> str:
        rng = np.random.default_rng([int(question[:8], 16), nth])
        acts.add(act := "answer" if rng.random() < 0.6 else str(rng.choice(wrong, p=weights)))
        return act

    server.script = script
    settings = {"users": 32, "rounds": 1, "heldout": 2, "results": tmp_path / "results"}
    for _ in range(20):
        try:
            done = bb.run(
                flights, make(RetryPolicy(tries=6, first=0.02, longest=0.1), timeout="2", workers="16"), **settings
            )
            break
        except bb.BeliefBenchError as error:
            assert "all answers so far are stored, and running the same again" in str(error)  # noqa: PT017
    rows = done.rows().to_pandas()
    assert acts == {"answer", *wrong}
    assert len(rows) == 32 * (2 + 1 + 2)
    assert (rows["choice"] >= 0).all()
    assert set(server.answered.values()) == {1}
    assert server.answered.keys() == server.asked.keys()
    assert len(server.answered) == 2 + 32 + 32 * 2  # at stage 0 the held-out questions are the same for everyone
    assert (rows["tokens"] == 57).all()
    assert all("logprobs" in body for body in server.bodies)

    # And each row holds what the server said to that question.
    expected = np.sort([0.6, 0.3, 0.1]) / 1.0
    np.testing.assert_allclose(np.sort(rows[["prob_0", "prob_1", "prob_2"]], axis=1), np.tile(expected, (len(rows), 1)))
    named = rows["text"].str.extract(r"Flight (\d)")[0].astype(int) - 1
    assert (named == rows["choice"]).all()


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        ("no logprobs", "no usable log-probabilities of .test. .the answer has none.; use probabilities=samples"),
        ("401", "refused the key .* set OPENAI_API_KEY"),
        ("402", "has no money left"),
        ("403", "refused access .* set OPENAI_API_KEY"),
        ("404", "has no model 'test'"),
        ("400", "too long for 'test'"),
        ("422", "refused a question"),
    ],
)
def test_what_will_not_pass_is_one_sentence_at_once(make, server, sets, act, sentence, predict):
    server.script = lambda question, nth: act
    with pytest.raises(bb.BeliefBenchError, match=sentence) as raised:
        predict(make(workers="1"), sets)
    assert raised.value.exit_status == 1
    assert "\n" not in str(raised.value)
    assert server.asked.total() == 1
    server.script = lambda question, nth: "answer"
    assert (predict(make(), sets).choice >= 0).all()  # nothing was kept of the error


def test_no_server_is_one_sentence_at_once(monkeypatch, questions, chat_server):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    began = time.monotonic()
    with pytest.raises(bb.BeliefBenchError, match=r"no server answers at http://127.0.0.1:9/v1; start it"):
        chat_server(RetryPolicy()).ask(questions(3))
    assert time.monotonic() - began < 5


def test_a_server_that_goes_away_is_waited_for(server, questions, chat_server):
    asker = chat_server(workers=1)
    asker.ask(questions(1))
    server.shutdown()
    server.server_close()
    with pytest.raises(
        bb.BeliefBenchError, match=r"failed 4 times \(the connection broke\); all answers so far are stored"
    ):
        asker.ask(questions(2))


def test_the_wait_is_within_its_bound_and_as_asked(server, questions, chat_server):
    """Every try is turned away with an hour to wait, which the bound cuts: 4 tries, 3 pauses of 0.4 s each."""
    server.script = lambda question, nth: "429 3600"
    asker = chat_server(RetryPolicy(tries=4, first=0.01, longest=0.4), workers=1)
    began = time.monotonic()
    with pytest.raises(bb.BeliefBenchError, match=r"failed 4 times \(status 429: try again"):
        asker.ask(questions(1))
    assert 1.2 <= time.monotonic() - began < 1.2 + 4 * asker.timeout
    assert len(server.times) == 4
    assert (np.diff(server.times) >= 0.39).all()


def test_one_failure_does_not_keep_the_others_waiting(server, questions, chat_server):
    """Workers that pause are woken by a failure that will not pass."""
    server.script = lambda question, nth: {1: "answer", 4: "401"}.get(server.asked.total(), "429 30")
    began = time.monotonic()
    with pytest.raises(bb.BeliefBenchError, match="refused the key"):
        chat_server(RetryPolicy(longest=60), workers=4).ask(questions(5))
    assert time.monotonic() - began < 10


def test_requests_are_bounded_and_a_second_run_goes_on(server, questions, chat_server):
    with pytest.raises(bb.BeliefBenchError, match=r"^10 requests and 570 tokens were spent, .* max_requests=10"):
        chat_server(max_requests=10).ask(questions(15))
    assert server.asked.total() == 10
    assert len(chat_server(max_requests=5).ask(questions(15))) == 15
    assert set(server.asked.values()) == {1}


def test_tokens_are_bounded(server, questions, chat_server):
    """The server counts 57 tokens an answer: 17 answers are 969 tokens, and an 18th would be more than 1,000."""
    asker = chat_server(token_budget=1000, workers=1)
    with pytest.raises(bb.BeliefBenchError, match=r"969 tokens were spent, .* would pass token_budget=1000"):
        asker.ask(questions(40))
    assert server.answered.total() == 17


def test_it_can_be_asked_where_an_event_loop_runs(server, questions, chat_server):
    async def notebook():
        return chat_server().ask(questions(2))

    assert len(asyncio.run(notebook())) == 2


CHILD = """
import sys
from pathlib import Path
from beliefbench.language.servers.answers_cache import AnswersCache
from beliefbench.language.servers.budget import Budget
from beliefbench.language.servers.completions import Request, chat
from beliefbench.language.servers.endpoint import ChatServer
said = [[{"role": "user", "content": f"Which? {number}"}] for number in range(60)]
requests = [Request("chat", "test", None, chat(one, temperature=0, answer_tokens=8)) for one in said]
print(len(ChatServer(AnswersCache(Path(sys.argv[1])), Budget(), workers=4).ask(requests)))
"""


def kept(folder: Path, server: ChatServer, requests: list[Request]) -> int:
    cache = AnswersCache(folder)
    return sum(cache.get(server.answer_key(request)) is not None for request in requests)


@pytest.mark.parametrize("stop", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.reference)])
def test_a_stopped_process_leaves_what_was_answered(server, tmp_path, stop, questions, chat_server):
    """It is stopped when 30 questions were answered, and the server is silent; nothing of the 30 is asked again."""
    server.script = lambda question, nth: "answer" if server.answered.total() < 30 else "hang"
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    child = subprocess.Popen(command, env=os.environ, stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while kept(tmp_path, chat_server(), questions(60)) < 30:
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


def test_the_key_is_nowhere(make, flights, server, sets, tmp_path, caplog, key):
    """Not even where the server repeats it."""
    caplog.set_level(logging.DEBUG)
    said = []
    for act in ("answer", "401", "429", "500", "404", "422"):
        server.script = lambda question, nth, act=act: act
        agent = make(revision=act)
        try:
            bb.run(flights, agent, users=1, rounds=0, heldout=1, results=tmp_path / "results")
        except bb.BeliefBenchError as error:
            said += [str(error), repr(error), traceback.format_exc()]
        said += [repr(agent), repr(vars(agent)), repr(vars(agent.model.server)), json.dumps(agent.identity())]
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {file.name for file in files} > {"answers.sqlite", "rows.parquet", "run.json"}
    assert len(said) == 5 * 3 + 6 * 4
    assert caplog.text
    for text in (*said, caplog.text, *(file.read_bytes().decode(errors="ignore") for file in files)):
        assert key not in text
