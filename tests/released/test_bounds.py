"""Imported files are bounded when they are read, and large ones say how far they are."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from beliefbench.errors import UsageError
from beliefbench.released.importing import import_path
from beliefbench.released.located import read_text

SAMPLE = Path(__file__).parent / "samples" / "flights.jsonl"


def sparse(file: Path) -> None:
    with file.open("wb") as out:
        out.truncate(2**31 + 1)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (os.mkfifo, "is not a regular file; name another file"),
        (Path.mkdir, r"cannot be read \(Is a directory\); name another file"),
        (sparse, r"has 2,147,483,649 bytes; expected 2,147,483,648 at most: split it"),
    ],
)
def test_what_is_no_file_or_too_large_is_refused(tmp_path, make, sentence):
    """Failed at 5f2b401: a pipe was waited for, and 2 GB were read into memory."""
    file = tmp_path / "flights.jsonl"
    make(file)
    with pytest.raises(UsageError, match=sentence):
        read_text(file)


@pytest.mark.parametrize("users", [2_500, pytest.param(200_000, marks=pytest.mark.reference)])
def test_many_users_are_read_with_progress(tmp_path, data_folder, users, record_property):
    """200,000 users, with ``-m reference``: what they take is recorded."""
    line = SAMPLE.read_text().splitlines()[0]
    (tmp_path / "flights.jsonl").write_text(f"{line}\n" * users)
    said: list[str] = []
    began = time.process_time()
    assert import_path(tmp_path / "flights.jsonl", lambda one: None, said.append) == ["released/flights"]
    record_property("users", users)
    record_property("seconds", round(time.process_time() - began))
    assert said[:2] == ["flights.jsonl: users read: 1,000", "flights.jsonl: users read: 2,000"]
    assert said[-1] == f"flights.jsonl: users compared: {users // 1000 * 1000:,}"
