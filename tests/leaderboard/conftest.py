"""Runs made by hand, and what the leaderboard makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beliefbench.running import store
from beliefbench.running.store import OWN_SET, ROWS, AgentRecord, RunRecord, RunStore, run_folder, run_key

EXACT = np.array([0.5, 0.3, 0.2])
"""The exact predictive of every set here: option 1 is best."""


def made(
    results: Path,
    agent: str,
    right: list[list[int]],
    *,
    sets: int = 10,
    probs: tuple[float, float, float] | None = (0.8, 0.1, 0.1),
    privileged: bool = False,
    note: str | None = None,
    finished: str | None = "2026-01-01T00:00:00+00:00",
    population: int | None = None,
    spec: str | None = None,
    settings: dict[str, object] | None = None,
    **identity: object,
) -> Path:
    """Write a finished run in which user u at stage s got ``right[u][s]`` of the sets right, and return its folder.

    The agent always names option 0, with ``probs``; the truth is option 0 where it is right and 1 where it is not. Each
    stage but the last has an answer to the round's own set, always right, that must count for nothing. The users are
    a sample of ``population``, or all. ``settings`` are more of the agent's identity.
    """
    lines = []
    stages = len(right[0])
    for user, hits in enumerate(right):
        for stage, count in enumerate(hits):
            for question in [*range(sets), *([OWN_SET] if stage + 1 < stages else [])]:
                hit = question == OWN_SET or question < count
                line = {"user": user, "stage": stage, "question": question, "truth": 0 if hit else 1, "choice": 0}
                line |= {f"prob_{k}": None if probs is None else probs[k] for k in range(3)}
                lines.append(line | {f"exact_{k}": None if question == OWN_SET else EXACT[k] for k in range(3)})
    identity = {
        "schema": 1,
        "domain": {"name": "toys", "version": "1", "parameters": {}},
        "agent": {"name": agent, "version": "1", **(settings or {})},
        **{"users": len(right), "rounds": stages - 1, "heldout": sets, "seed": 0, "stopping": None},
        **({"users": population, "stopping": {"rule": "sample", "users": len(right)}} if population else {}),
        **identity,
    }
    key = run_key(identity)
    run = RunStore(run_folder(results, identity["domain"]["name"], agent, key))
    run.folder.mkdir(parents=True)
    run.write_record(
        RunRecord(
            schema_version=1,
            key=key,
            identity=identity,
            agent=AgentRecord(
                name=agent, version="1", probabilistic=probs is not None, privileged=privileged, note=note
            ),
            versions={},
            machine={},
            started="2026-01-01T00:00:00+00:00",
            finished=finished,
            asked=len(right) if population else None,
            spec=spec,
        )
    )
    rng = np.random.default_rng(0)  # rows are found whatever their order
    table = store.pa.Table.from_pylist([lines[at] for at in rng.permutation(len(lines))], schema=ROWS)
    store.pq.write_table(table, run.folder / "rows.parquet")
    return run.folder


@pytest.fixture(scope="session")
def make_run():
    return made


@pytest.fixture
def three_runs(tmp_path: Path) -> Path:
    made(tmp_path, "hand", [[3, 8], [5, 6], [4, 7]])
    made(tmp_path, "oracle", [[9, 9], [9, 10], [10, 10]], privileged=True)
    made(tmp_path, "chooses", [[1, 2], [2, 2], [2, 2]], probs=None, note="4-bit weights")
    return tmp_path
