"""Agents of one name are as many agents as they have identities: in the skill model, and in the overview.

    .venv/bin/pytest -m reference tests/leaderboard/test_pooling.py --report FILE

writes the figures of docs/reliability.md.
"""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.leaderboard.overview import gap_closed, overview_of
from beliefbench.leaderboard.ranking import Leaderboard, read_leaderboard

pytestmark = [pytest.mark.reference, pytest.mark.timeout(900)]
DOMAINS = ("flights-2", "flights-3", "flights-5")


class Guesser:
    """Names options at random. ``number`` tells it from others of its name."""

    version, probabilistic, privileged = "1", False, False

    def __init__(self, number: int, name: str = "guesser") -> None:
        self.number, self.name = number, name

    def identity(self) -> dict[str, int]:
        return {"number": self.number}

    def begin(self, brief, keys, truth=None) -> None:
        return None

    def predict(self, state, options) -> bb.Prediction:
        seed = crc32(np.ascontiguousarray(options, float).tobytes())
        return bb.Prediction(np.random.default_rng([self.number, seed]).integers(3, size=options.shape[:2]))

    def observe(self, state, options, recommended, chosen) -> None:
        return None


def guessed(results: Path, numbers: range, names: list[str]) -> Leaderboard:
    for domain in DOMAINS:
        for number, name in zip(numbers, names, strict=True):
            bb.run(domain, Guesser(number, name), users=24, rounds=2, heldout=10, results=results)
    return read_leaderboard(results)


@pytest.fixture(scope="module")
def six(tmp_path_factory) -> Leaderboard:
    return guessed(tmp_path_factory.mktemp("six"), range(6), ["guesser"] * 6)


def test_six_guessers_of_one_name_are_six_agents_of_the_overview(six, record_property):
    """Before, the overview took the best of them on each domain."""
    agents = overview_of(six.groups())
    assert sorted(one.agent for one in agents) == [f"guesser (number {number})" for number in range(6)]
    assert all(one.everywhere and len(one.rows) == len(DOMAINS) for one in agents)
    best = [max(row.diagnostics[-1]["gap_closed"] for row in group) for group in six.groups()]
    closed = [gap_closed(one) for one in agents]
    record_property("the most gap that one of six guessers closes, %", f"{100 * max(closed):.1f}")
    record_property("the best of them on each domain, %", f"{100 * np.mean(best):.1f}")
    assert max(closed) < np.mean(best)


def test_two_chance_agents_of_one_name_are_compared_as_two_of_two_names(six, tmp_path_factory, record_property):
    """The same answers under one name and under two: the same posterior, but for the sampler's error."""
    figures = []
    for name, other in (("guesser", "guesser"), ("guesser", "guesser-1")):
        results = tmp_path_factory.mktemp("two")
        board = guessed(results, range(2), [name, other]).with_skill(results)
        (first, second) = (
            [row.skill for group in board.groups() for row in group if row.record.identity.agent["number"] == number]
            for number in range(2)
        )
        assert len(first) == len(second) == len(DOMAINS)
        figures.append([np.mean([one.best for one in of]) for of in (first, second)])
    record_property("P(best) of two chance agents of one name, mean over domains", f"{figures[0][0]:.2f}")
    record_property("P(best) of the same answers under two names", f"{figures[1][0]:.2f}")
    assert figures[0] == pytest.approx(figures[1], abs=0.05)
    assert 0.1 < figures[0][0] < 0.9
