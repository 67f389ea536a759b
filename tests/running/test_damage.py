"""Random damage to the rows of a local run is noticed, and ends no process."""

from __future__ import annotations

import random
from collections import Counter

import pytest

import beliefbench as bb
from beliefbench.running.store import RunStore


@pytest.mark.parametrize("damages", [150, pytest.param(1500, marks=pytest.mark.reference)])
def test_no_random_damage_passes_with_changed_data(tmp_path, record_property, damages):
    """1, 4 or 64 bytes of a file of 7 kB become others. Some end the process unless pyarrow is asked with care."""
    done = bb.run("flights-2", "random", users=8, rounds=2, heldout=8, results=tmp_path)
    file, sound = done.folder / "rows.parquet", done.rows()
    content, rng, found = file.read_bytes(), random.Random(0), Counter[str]()
    for _ in range(damages):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 1, 4, 64])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        file.write_bytes(damaged)
        try:
            found["same" if RunStore(done.folder).rows().equals(sound) else "changed"] += 1
        except bb.BeliefBenchError:
            found["refused"] += 1
    record_property("damages", dict(found))
    assert found["changed"] == 0
    assert found.total() == damages
