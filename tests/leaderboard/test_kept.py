"""A leaderboard from what was kept is the one that is computed anew."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from beliefbench.leaderboard import reading
from beliefbench.leaderboard.forms.formats import to_json
from beliefbench.leaderboard.ranking import read_leaderboard
from beliefbench.running import derived

from .conftest import made


@pytest.fixture
def results(tmp_path):
    made(tmp_path / "results", "one", [[3, 7], [4, 8], [5, 5]])
    made(tmp_path / "results", "two", [[1, 2], [3, 4], [5, 9]], probs=None)
    return tmp_path / "results"


@pytest.fixture
def computed(monkeypatch):
    """The folders whose rows were read."""
    found = []
    anew = reading.measured
    monkeypatch.setattr(reading, "measured", lambda *run: found.append(run[1]) or anew(*run))
    return found


def shown(results) -> str:
    return to_json(read_leaderboard(results))


def test_a_second_reading_has_the_same_figures_and_computes_nothing(results, computed):
    first, second = read_leaderboard(results), read_leaderboard(results)
    assert len(computed) == 2
    assert to_json(first) == to_json(second)
    for one, other in zip(first.rows, second.rows, strict=True):
        assert one.diagnostics == other.diagnostics
        assert [part.dtype for part in (one.counts.users, one.counts.right, one.counts.exact)] == [
            part.dtype for part in (other.counts.users, other.counts.right, other.counts.exact)
        ]
        np.testing.assert_array_equal(one.counts.exact, other.counts.exact)


def test_a_damaged_cache_is_computed_again(results, computed):
    first = shown(results)
    for file in derived._folder().iterdir():
        file.write_bytes(file.read_bytes()[:100])
    assert shown(results) == first
    assert len(computed) == 4


def test_an_edited_row_is_computed_again(results, computed):
    before = read_leaderboard(results)
    file = before.rows[0].folder / "rows.parquet"
    rows = pq.read_table(file, partitioning=None)
    at = rows.column_names.index("choice")
    pq.write_table(rows.set_column(at, rows.schema.field(at), [rows["truth"].combine_chunks()]), file)
    after = read_leaderboard(results)
    assert len(computed) == 3
    assert {row.folder: row.final["accuracy"] for row in after.rows}[before.rows[0].folder] == 1
