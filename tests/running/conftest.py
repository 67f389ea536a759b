"""Pupils, what they were asked, and the rows of a pupil's run that nothing disturbed."""

from collections import Counter

import jax
import numpy as np
import pytest

import beliefbench as bb
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol

from .pupil import PROTOCOL, Pupil


@pytest.fixture
def make_pupil(tmp_path):
    """``make_pupil(**settings)``: pupils that all note down in one file what they are asked."""
    return lambda **settings: Pupil(tmp_path / "notes", **settings)


@pytest.fixture
def asked(tmp_path, flights):
    """``asked()``: how often each (user, stage) was asked since it was last called."""
    episodes = Episodes(flights, Protocol(**PROTOCOL))
    ids = np.asarray(jax.random.key_data(episodes.agent_keys("pupil")))
    user_of = {bytes(one).hex(): int(user) for one, user in zip(ids, episodes.users, strict=True)}

    def read() -> Counter[tuple[int, int]]:
        notes = tmp_path / "notes"
        lines = notes.read_text().splitlines() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return Counter((user_of[one], int(stage)) for stage, one in (line.split() for line in lines))

    return read


@pytest.fixture(scope="session")
def uninterrupted(flights, tmp_path_factory) -> bytes:
    """The bytes of rows.parquet of a pupil's run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    return (bb.run(flights, Pupil(folder / "notes"), results=folder, **PROTOCOL).folder / "rows.parquet").read_bytes()
