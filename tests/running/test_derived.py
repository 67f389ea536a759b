"""What follows from runs is kept, and never shown for other files or other code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from beliefbench.running import derived
from beliefbench.running.derived import code_digest, keep, key_of, recalled, remove_least_used, run_digest


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.undo()  # the folder of the other tests
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return derived._folder()


def test_what_is_kept_comes_back_to_the_last_bit(folder):
    values = {"sum": 0.1 + 0.2, "tiny": 5e-324, "none": None, "text": "ä模型", "rounds": [1, 2.5]}
    keep(key_of("example"), values)
    assert recalled(key_of("example")) == values
    assert recalled(key_of("another")) is None


@pytest.mark.parametrize("damage", [b"", b"{}", b"x" * 64 + b"\n1", None])
def test_a_damaged_entry_counts_as_none(folder, damage):
    key = key_of("example")
    keep(key, [1, 2, 3])
    content = (folder / key).read_bytes()
    (folder / key).write_bytes(content[:-2] if damage is None else damage)
    assert recalled(key) is None


def test_an_entry_under_the_key_of_another_counts_as_none(folder):
    keep(key_of("example"), 1)
    (folder / key_of("example")).rename(folder / key_of("another"))
    assert recalled(key_of("another")) is None


def test_other_code_and_other_versions_have_other_keys(folder, monkeypatch):
    keep(key_of("example"), 1)
    monkeypatch.setattr(derived, "_versions", lambda: {"numpy": "0"})
    code_digest.cache_clear()
    try:
        assert recalled(key_of("example")) is None
    finally:
        code_digest.cache_clear()


def test_every_file_of_a_run_counts(tmp_path):
    run = tmp_path / "toys" / "agent" / "0123"
    run.mkdir(parents=True)
    seen = [run_digest(run)]
    for file in (
        run / "run.json",
        run / "rows.parquet",
        run / "evidence.json",
        tmp_path / "toys" / f"exact-{0:016}.parquet",
    ):
        for content in (b"a", b"b"):
            file.write_bytes(content)
            seen.append(run_digest(run))
    assert len(set(seen)) == len(seen)


def test_the_least_recently_used_are_removed_first(folder, monkeypatch):
    keys = [key_of("example", number=number) for number in range(3)]
    for number, key in enumerate(keys):
        keep(key, "x" * 100)
        os.utime(folder / key, (number, number))
    assert recalled(keys[0])  # and is now used last
    monkeypatch.setattr(derived, "LARGEST", 400)
    remove_least_used()
    assert [recalled(key) is not None for key in keys] == [True, False, True]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    keep(key_of("example"), 1)
    assert recalled(key_of("example")) is None
    remove_least_used()


KEEPING = """
import sys
from beliefbench.running.derived import keep, key_of, recalled
for _ in range(200):
    keep(key_of("example"), sys.argv[1] * 10_000)
    assert set(recalled(key_of("example"))) in ({"a"}, {"b"})
"""


def test_two_processes_at_once_leave_whole_entries(folder):
    processes = [subprocess.Popen([sys.executable, "-c", KEEPING, one]) for one in "ab"]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(list(folder.iterdir())) == 1
