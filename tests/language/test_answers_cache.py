"""Answers on disk: what was put is there, whoever else writes, and however the writer ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.language.answers_cache import AnswersCache
from beliefbench.language.completions import Request, chat

WRITER = """
import sys
from pathlib import Path
from beliefbench.language.answers_cache import AnswersCache
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
    requests = [
        Request("chat", "a", None, said),
        Request("chat", "b", None, said),
        Request("chat", "a", "2", said),
        Request("chat", "a", None, said, sample=1),
        Request("decision", "a", None, said),
        Request("chat", "a", None, other),
        *(Request("chat", "a", None, said | change) for change in ({"temperature": 1.0}, {"logprobs": True})),
    ]
    assert len({request.key for request in requests}) == len(requests)
    assert Request("chat", "a", None, dict(reversed(said.items()))).key == requests[0].key


def test_a_damaged_file_and_a_folder_that_cannot_be_are_said(tmp_path):
    (tmp_path / "answers.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(BeliefBenchError, match=r"answers.sqlite' cannot be used \(.*\); move that file away"):
        AnswersCache(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cache=DIR"):
        AnswersCache(tmp_path / "file" / "below")
