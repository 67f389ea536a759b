"""The parts of a leaderboard: metrics of 3.7 million answers, and the store of a run."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from beliefbench.running.store import ROWS, RunStore, as_rows
from beliefbench.scoring.heldout import HeldOut
from beliefbench.scoring.scores import score

USERS, STAGES, SETS = 6240, 6, 100  # 3,744,000 answers


@pytest.fixture(scope="module")
def answers() -> HeldOut:
    rng = np.random.default_rng(0)
    exact = rng.dirichlet(np.ones(3), (USERS, STAGES, SETS))
    probs = 0.8 * exact + 0.2 * rng.dirichlet(np.ones(3), (USERS, STAGES, SETS))
    truth = rng.integers(0, 3, (USERS, STAGES, SETS))
    return HeldOut(np.arange(USERS), probs, probs.argmax(axis=-1), truth, exact)


def test_metrics(benchmark, answers):
    benchmark.pedantic(score, args=(answers,), rounds=3)


@pytest.fixture(scope="module")
def rows(answers) -> pa.Table:
    """The rows of one stage of 624 users."""
    users = USERS // 10
    columns = {
        "user": np.repeat(np.arange(users), SETS),
        "stage": np.zeros(users * SETS, int),
        "question": np.tile(np.arange(SETS), users),
        "choice": answers.choice[:users, 0].ravel(),
        "truth": answers.truth[:users, 0].ravel(),
    }
    for option in range(3):
        columns[f"prob_{option}"] = answers.probs[:users, 0, :, option].ravel()
        columns[f"exact_{option}"] = answers.exact[:users, 0, :, option].ravel()
    given = {name: pa.array(value, type=ROWS.field(name).type) for name, value in columns.items()}
    return as_rows(pa.table(given))


def test_store_append(benchmark, rows, tmp_path):
    store = RunStore(tmp_path)
    numbers = iter(range(10**6))
    benchmark.pedantic(lambda: store.write_part(f"{next(numbers):07d}", rows, 1.0), rounds=20)


def test_store_scan(benchmark, rows, tmp_path):
    store = RunStore(tmp_path)
    for number in range(60):  # 3,744,000 rows
        store.write_part(f"{number:07d}", rows, 1.0)
    assert benchmark.pedantic(store.rows, rounds=3).num_rows == 60 * len(rows)
