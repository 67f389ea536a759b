"""Teaching data of a few users."""

from __future__ import annotations

from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.teaching.interactions import TeachingTask
from beliefbench.teaching.records import write_records


@pytest.fixture
def make_data(tmp_path):
    """Writes teaching data of a few users who care about two features of a flight."""

    def make(teacher="posterior", whole=False, users=4, interactions=2) -> Path:
        file = tmp_path / f"{teacher}.jsonl"
        course = TeachingTask(bb.load_domain("flights-2"), teacher, users=users, interactions=interactions, rounds=2)
        write_records(course, file, whole)
        return file

    return make
