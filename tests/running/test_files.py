"""What is read of a Parquet file, to the byte of each bound."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beliefbench.running import files
from beliefbench.running.files import DamagedFileError, read_bytes, read_parquet


@pytest.fixture
def allow(monkeypatch):
    """Let a file have a number of bytes of text; what its columns unpack to is not bounded."""

    def bounded(file, most: int) -> None:
        monkeypatch.setattr(files, "WIDTHS", dict.fromkeys(files.WIDTHS, 0))
        monkeypatch.setattr(files, "RATIO", 3)
        monkeypatch.setattr(files, "UNPACKED", most - 3 * file.stat().st_size)

    return bounded


def test_text_is_counted_by_the_byte_once_for_each_row(tmp_path, allow):
    file = tmp_path / "rows.parquet"
    texts = ["ä" * 500] * 900 + [None, ""] + ["ab"] * 50  # 1,000 bytes each, and 2 each
    pq.write_table(pa.table({"text": texts}), file, row_group_size=200)
    size = 900 * 1000 + 50 * 2
    allow(file, size)
    assert read_parquet(file)["text"].to_pylist() == texts
    allow(file, size - 1)
    with pytest.raises(DamagedFileError, match=rf"900,100 bytes of text; expected {size - 1:,} at most"):
        read_parquet(file)


NUMBERS = [1, 2, 3]
TIMES = [datetime(2026, 1, day) for day in NUMBERS]


@pytest.mark.parametrize(
    ("column", "width", "values"),
    [
        (pa.array(NUMBERS, pa.int64()), 8, 3),
        (pa.array(NUMBERS, pa.int32()), 4, 3),
        (pa.array(NUMBERS, pa.int8()), 4, 3),
        (pa.array(NUMBERS, pa.float64()), 8, 3),
        (pa.array(NUMBERS, pa.float32()), 4, 3),
        (pa.array([True, False, None]), 1, 3),
        (pa.array(["a", "b", None]), 8, 3),
        (pa.array(TIMES), 12, 3),
        (pa.array(np.float16(NUMBERS)), 2, 3),
        (pa.array([[1.0, 2.0], [], [3.0] * 7]), 8, 10),  # of an empty list, one value is told
    ],
    ids=lambda one: str(getattr(one, "type", one)),
)
def test_what_a_file_unpacks_to_is_bounded_by_its_size(tmp_path, monkeypatch, column, width, values):
    """Its size as it says, and the width of its values in memory."""
    file = tmp_path / "rows.parquet"
    times = pa.types.is_timestamp(column.type)
    pq.write_table(pa.table({"column": column}), file, row_group_size=2, use_deprecated_int96_timestamps=times)
    about = pq.read_metadata(file)
    size = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups)) + width * values
    monkeypatch.setattr(files, "UNPACKED", size - 64 * file.stat().st_size)
    assert read_parquet(file)["column"].to_pylist() == column.to_pylist()
    monkeypatch.setattr(files, "UNPACKED", size - 1 - 64 * file.stat().st_size)
    with pytest.raises(DamagedFileError, match=f"unpacks to {size:,} bytes; expected {size - 1:,} at most"):
        read_parquet(file)


@pytest.mark.parametrize(("columns", "groups"), [(files.COLUMNS, 1), (1, files.ROW_GROUPS)])
def test_a_file_has_so_many_columns_and_groups_and_no_more(tmp_path, columns, groups):
    file = tmp_path / "rows.parquet"
    for more in (0, 1):
        names = [str(number) for number in range(columns + more * (groups == 1))]
        rows = groups + more * (columns == 1)
        pq.write_table(pa.table({name: list(range(rows)) for name in names}), file, row_group_size=1)
        if more:
            with pytest.raises(DamagedFileError, match=f"it has {len(names):,} columns and {rows:,} row groups"):
                read_parquet(file)
        else:
            assert read_parquet(file).num_rows == rows


def test_bytes_are_read_up_to_a_bound(tmp_path):
    file = tmp_path / "run.json"
    file.write_bytes(b"12345")
    assert read_bytes(file, 5) == b"12345"
    with pytest.raises(DamagedFileError, match="has 5 bytes; expected 4 at most"):
        read_bytes(file, 4)
    with pytest.raises(DamagedFileError, match="is missing"):
        read_bytes(tmp_path / "other.json")
