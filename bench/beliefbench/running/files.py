"""Reading the files of runs, which anybody may have made: regular files only, no more than what they can honestly
hold, and no answer that is out of range."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beliefbench.errors import BeliefBenchError, first_line

LARGEST_JSON = 2**22
"""Bytes of the largest run.json or evidence.json that is read."""
LARGEST_ROWS = 2**32
"""Bytes of the largest rows.parquet that is read."""
UNPACKED, RATIO = 2**28, 64
"""A Parquet file may unpack to ``UNPACKED`` bytes, and to ``RATIO`` bytes for each of its own."""
COLUMNS, ROW_GROUPS = 64, 4096
"""The most columns and row groups of a Parquet file that is read."""
WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 8}
"""Bytes of a value in memory, by its physical type."""
SUM = 2e-3  # of 1: 16-bit floats of earlier versions

RANGES = {
    "user": (0, 2**23 - 1),
    "stage": (0, 2**15 - 1),
    "question": (-1, 2**24 - 2),
    "truth": (0, 2),
    "choice": (-1, 2),
    "by_beliefs": (-1, 2),
    "tokens": (0, 2**31 - 1),
    "seconds": (0.0, 1e9),
}
"""The least and the largest value of each column of answers; null where there is none."""


class DamagedFileError(BeliefBenchError):
    """A file of a run cannot be read."""


def is_plain(file: Path) -> bool:
    """Return True if there is a regular file, which is not a link; False if there is nothing.

    Raises
    ------
    BeliefBenchError
        If it is a link: it may lead anywhere.
    DamagedFileError
        If it is anything else. Opening a pipe would wait for ever.

    >>> is_plain(Path("nowhere"))
    False
    """
    try:
        mode = file.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISLNK(mode):
        raise BeliefBenchError(f"{file} is a link; put the file itself in its place.")
    if not stat.S_ISREG(mode):
        raise DamagedFileError(f"{file} is not a regular file.")
    return True


def read_bytes(file: Path, most: int = LARGEST_JSON) -> bytes:
    """Return the contents of a plain file of at most ``most`` bytes; raise as `is_plain`."""
    _check_size(file, most)
    return file.read_bytes()


def _check_size(file: Path, most: int) -> None:
    if not is_plain(file):
        raise DamagedFileError(f"{file} is missing.")
    if (size := file.stat().st_size) > most:
        raise DamagedFileError(f"{file} has {size:,} bytes; expected {most:,} at most.")


def read_schema(file: Path) -> pa.Schema:
    """Return the schema of a Parquet file; raise `DamagedFileError` if it has none, or as `is_plain`."""
    return _opened(file).schema_arrow


def read_parquet(file: Path) -> pa.Table:
    """Return a Parquet file as a table, when its metadata are within bounds and its checksums are right.

    Raises
    ------
    DamagedFileError
        If it cannot be read, or is not within bounds.
    """
    parquet = _opened(file)
    try:
        table = parquet.read()
        return _with_text(table, _allowed(file), file)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise _unreadable(file, error) from error
    except OSError as error:
        if error.errno:
            raise  # the file may be sound: it is the system that could not read it
        raise _unreadable(file, error) from error


def check_ranges(rows: pa.Table, file: Path) -> None:
    """Raise `DamagedFileError` if rows hold a value that no answer has, or probabilities that do not sum to 1."""
    for name, (least, most) in RANGES.items():
        values = rows[name].drop_null().to_numpy()
        if len(values) and not (values.min() >= least and values.max() <= most):  # so written, NaN is refused too
            raise DamagedFileError(
                f"{file}: {name} is between {values.min()} and {values.max()}; expected {least} to {most}."
            )
    for kind in ("prob", "exact"):
        # Column by column: over an axis of three, NumPy's own functions take ten times as long.
        first, second, third = (rows[f"{kind}_{option}"].to_numpy() for option in range(3))
        least = np.minimum(np.minimum(first, second), third)  # NaN if one of them is
        sound = (least >= 0) & (abs(first + second + third - 1) <= SUM)
        if not sound.all():
            wrong = ~sound & ~(np.isnan(first) & np.isnan(second) & np.isnan(third))
            if wrong.any():
                what = "probabilities" if kind == "prob" else "exact probabilities"
                raise DamagedFileError(
                    f"{file}: the {what} of {wrong.sum():,} answers do not sum to 1, or are below 0."
                )


def _opened(file: Path) -> pq.ParquetFile:
    """Return a Parquet file whose metadata are within bounds; nothing else of it is read."""
    _check_size(file, LARGEST_ROWS)
    try:
        about = pq.read_metadata(file)
        # Text as a dictionary: one long text in a million rows is then one text in memory.
        text = [name for name in about.schema.names if name == "text"]
        parquet = pq.ParquetFile(file, metadata=about, read_dictionary=text, page_checksum_verification=True)
        if about.num_columns > COLUMNS or about.num_row_groups > ROW_GROUPS:
            raise ValueError(f"it has {about.num_columns:,} columns and {about.num_row_groups:,} row groups")
        size = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
        for number in range(about.num_columns):
            size += _values(parquet, number) * WIDTHS.get(about.schema.column(number).physical_type, 2)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise _unreadable(file, error) from error
    except OSError as error:
        if error.errno:
            raise
        raise _unreadable(file, error) from error
    if size > (most := _allowed(file)):
        raise DamagedFileError(f"{file} unpacks to {size:,} bytes; expected {most:,} at most for a file of its size.")
    return parquet


def _values(parquet: pq.ParquetFile, number: int) -> int:
    """Return the number of values in a column: the number of rows, unless it holds lists."""
    about = parquet.metadata
    path = about.schema.column(number).path
    if "." not in path:
        return int(about.num_rows)
    # The metadata of a damaged column end the process if nothing else has read the column before.
    parquet.scan_contents([path], batch_size=4096)
    return sum(about.row_group(group).column(number).num_values for group in range(about.num_row_groups))


def _with_text(table: pa.Table, most: int, file: Path) -> pa.Table:
    """Return a table with ``text`` as text, unless it would have more than ``most`` bytes."""
    if "text" not in table.column_names or not pa.types.is_dictionary(table.schema.field("text").type):
        return table
    size = 0
    for chunk in table["text"].chunks:
        lengths = pc.binary_length(chunk.dictionary).fill_null(0)
        size += pc.sum(lengths.take(chunk.indices)).as_py() or 0
    if size > most:
        raise DamagedFileError(f"{file} has {size:,} bytes of text; expected {most:,} at most for a file of its size.")
    place = table.column_names.index("text")
    return table.set_column(place, "text", table["text"].cast(pa.string()))


def _allowed(file: Path) -> int:
    return UNPACKED + RATIO * file.stat().st_size


def _unreadable(file: Path, error: Exception) -> DamagedFileError:
    return DamagedFileError(f"{file} cannot be read ({first_line(error)}).")
