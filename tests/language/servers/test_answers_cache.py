"""Answers on disk: what was put is there, whoever else writes, and however the writer ends."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.language.servers.answers_cache import AnswersCache
from beliefbench.language.servers.completions import Request, chat
from beliefbench.language.servers.limits import ServerLimits

WRITER = """
import sys
from pathlib import Path
from beliefbench.language.servers.answers_cache import AnswersCache
folder, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
cache = AnswersCache(folder)
for number in range(count):
    cache.put(f"{name}-{number}", name * 1000)
    print(number, flush=True)
"""


def writer(folder, name: str, count: int) -> subprocess.Popen:
    command = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    writers = [writer(tmp_path, name, 100) for name in "abc"]
    for one in writers:
        one.communicate(timeout=60)
        assert one.returncode == 0
    cache = AnswersCache(tmp_path)
    assert all(cache.get(f"{name}-{number}") == name * 1000 for name in "abc" for number in range(100))


def test_what_was_put_outlives_a_kill(tmp_path):
    """The process says what it has put; all of that is there after it was killed in the middle of its work."""
    doomed = writer(tmp_path, "a", 1_000_000)
    doomed.stdout.readline()
    time.sleep(0.3)
    os.kill(doomed.pid, signal.SIGKILL)
    said, _ = doomed.communicate(timeout=60)
    cache = AnswersCache(tmp_path)
    last = len(said.splitlines())
    assert last > 10
    assert all(cache.get(f"a-{number}") == "a" * 1000 for number in range(last))


def test_threads_share_one_cache_and_the_first_answer_stays(tmp_path):
    cache = AnswersCache(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: cache.put("one", str(number)), range(50)))
    first = cache.get("one")
    cache.put("one", "later")
    assert AnswersCache(tmp_path).get("one") == first != "later"


def test_keys_tell_apart_all_that_answers_depend_on():
    said = chat([{"role": "user", "content": "Which?"}], temperature=0.0, answer_tokens=8)
    other = chat([{"role": "user", "content": "Which one?"}], temperature=0.0, answer_tokens=8)

    def key(kind="chat", model="a", revision=None, parameters=said, server="http://one/v1", sample=0, **sent):
        request = Request(kind, model, revision, parameters)
        return request.answer_key(server, {**ServerLimits().body(request), **sent}, sample)

    changes = [
        {},
        {"model": "b"},
        {"revision": "2"},
        {"sample": 1},
        {"kind": "decision"},
        {"parameters": other},
        {"parameters": said | {"temperature": 1.0}},
        {"parameters": said | {"logprobs": True}},
        {"server": "http://another/v1"},
        {"top_logprobs": 5},  # what the server is sent in place of what was asked
    ]
    assert len({key(**change) for change in changes}) == len(changes)
    assert key(parameters=dict(reversed(said.items()))) == key()
    assert key(n=8) == key()  # how many are asked at a time decides none of them


def test_a_damaged_file_and_a_folder_that_cannot_be_are_said(tmp_path):
    (tmp_path / "answers.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(BeliefBenchError, match=r"answers.sqlite' cannot be used \(.*\); move that file away"):
        AnswersCache(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cache=FOLDER"):
        AnswersCache(tmp_path / "file" / "below")


@pytest.mark.parametrize("stored", [b"\xff\xfe\x00", 3, 2.5])
def test_what_is_no_text_is_no_answer_and_can_be_replaced(tmp_path, stored):
    cache = AnswersCache(tmp_path)
    with sqlite3.connect(cache.file) as raw:
        raw.execute("INSERT INTO answers VALUES ('one', CAST(? AS BLOB))", (stored,))
        raw.execute("INSERT INTO answers VALUES ('two', ?)", ("\xff",))
    cache.drop("one")
    cache.put("one", "answer")
    assert (cache.get("one"), cache.get("two")) == ("answer", "\xff")
