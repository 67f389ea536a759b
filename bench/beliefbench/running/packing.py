"""Rows in 16 bits: the format of published runs, and how to read it.

Of an answer's three probabilities the smaller ones are stored as 16-bit floats, and the largest is null: it is 1 minus
the others, shared equally if several are largest. So probabilities sum to 1, ties stay ties, and rounding makes no new
ties. No probability changes by more than `TOLERANCE`.

The exact answers are the same for every agent, and as large as everything else. They are stored once in the domain's
folder, in a file that the rows name in their metadata.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beliefbench.running.files import is_plain, read_bytes, read_parquet

TOLERANCE = 2.0**-11
"""The largest change of a probability by packing: two steps of a 16-bit float below 1/2."""
TIE = 1e-9  # probabilities this close to the largest tie with it, as in `beliefbench.scoring.metrics.agreement`

OPTIONS = range(3)
PROBS, EXACT = ([f"{kind}_{option}" for option in OPTIONS] for kind in ("prob", "exact"))
KEYS = ["user", "stage", "question"]
DROPPED = ["text", "seconds"]
BELIEFS = pa.list_(pa.list_(pa.float16()))
EXACT_FILE = b"exact_answers"
EXACT_NAME = r"exact-[0-9a-f]{16}\.parquet"
LARGEST_EXACT = 2**27
"""Bytes of the largest file of exact answers that is read; `beliefbench publish` writes 2 MB at most."""


def pack_probs(probs: np.ndarray) -> np.ndarray:
    """Return probabilities, float[answers, 3], as they are stored: float16[answers, 3], NaN for the largest.

    >>> pack_probs(np.array([[0.25, 0.5, 0.25], [0.4, 0.4, 0.2]])).tolist()
    [[0.25, nan, 0.25], [nan, nan, 0.199951171875]]
    """
    best = probs >= probs.max(axis=-1, keepdims=True) - TIE
    kept = np.where(best, 0, probs).astype(np.float16)
    close = ~best & (kept >= _left(kept, best) - TIE)  # rounding would make a tie of it, or more
    kept = np.where(close, np.nextafter(kept, np.float16(0)), kept)
    return np.where(best, np.float16(np.nan), kept)


def unpack_probs(kept: np.ndarray) -> np.ndarray:
    """Return the probabilities, float64[answers, 3], of what `pack_probs` gave.

    >>> unpack_probs(pack_probs(np.array([[0.25, 0.5, 0.25], [1 / 3, 1 / 3, 1 / 3]]))).round(4).tolist()
    [[0.25, 0.5, 0.25], [0.3333, 0.3333, 0.3333]]
    """
    best = np.isnan(kept)
    smaller = np.where(best, 0, kept)
    return np.where(best, _left(smaller, best), smaller)


def _left(smaller: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Return the probability that remains for each of the largest, float64[answers, 1]."""
    # Column by column: over an axis of three, NumPy's own sum takes ten times as long.
    taken, ties = (
        sum(values[..., option] for option in OPTIONS) for values in (smaller.astype(float), best.astype(int))
    )
    return ((1 - taken) / np.maximum(ties, 1))[..., None]


def pack_rows(rows: pa.Table, exact_file: str) -> pa.Table:
    """Return a run's rows as they are published; ``exact_file`` is the name of the file of their exact answers.

    The agent's text, the time of each answer, and columns that contain only nulls are left out.
    """
    rows = in_order(rows)
    columns = {name: rows[name] for name in rows.column_names if name not in (*PROBS, *EXACT, *DROPPED)}
    columns = {name: column for name, column in columns.items() if column.null_count < len(column)}
    probs = _options(rows, PROBS)
    if not np.isnan(probs).all():
        usable = ~np.isnan(probs).any(axis=-1)
        columns |= _columns(PROBS, pack_probs(probs), usable)
    for name in ("beliefs", "exact_beliefs"):
        if name in columns:
            columns[name] = columns[name].cast(BELIEFS)
    return pa.table(columns).replace_schema_metadata({EXACT_FILE: exact_file})


def pack_exact(rows: pa.Table) -> pa.Table:
    """Return the exact answers in a run's rows, as they are published."""
    rows = in_order(rows.filter(pa.compute.is_valid(rows[EXACT[0]])))
    kept = pack_probs(_options(rows, EXACT))
    return pa.table({name: rows[name] for name in KEYS} | _columns(EXACT, kept, np.ones(len(kept), bool)))


def exact_file_of(rows: pa.Schema) -> str | None:
    """Return the name of the file of the exact answers of rows, given their schema; None if they are not packed.

    Raises
    ------
    ValueError
        If the name in the metadata is not the name of such a file.
    """
    name = (rows.metadata or {}).get(EXACT_FILE)
    if name is not None and not re.fullmatch(EXACT_NAME, name.decode(errors="replace")):
        raise ValueError(f"it names {name.decode(errors='replace')!r} as the file of its exact answers")
    return None if name is None else name.decode()


def exact_file(folder: Path, name: str) -> Path:
    """Return the file with the exact answers of the run in a folder ``<results>/<domain>/<agent>/<key>``.

    >>> exact_file(Path("out/flights/bayesian/0123"), "exact-4567.parquet").as_posix()
    'out/flights/exact-4567.parquet'
    """
    return folder.parent.parent / name


def unpack_from(rows: pa.Table, file: Path) -> pa.Table:
    """Return the rows of a file that was read as a table; rows of a run that is not published are returned unchanged.

    Raises
    ------
    ValueError
        If the file with the exact answers is missing.
    """
    name = exact_file_of(rows.schema)
    if name is None:
        return rows
    exact = exact_file(file.parent, name)
    if not is_plain(exact):
        raise ValueError(
            f"its exact answers are in {exact}, which is missing; move that file too, unless these rows belong to "
            "another run"
        )
    return _with_exact(rows, *_read_exact(exact, read_bytes(exact, LARGEST_EXACT)))


def unpack_rows(rows: pa.Table, exact: pa.Table) -> pa.Table:
    """Return the columns of `beliefbench.running.store.ROWS` that published rows and their exact answers hold, in 64
    bits.

    Raises
    ------
    ValueError
        If they were not made by `pack_rows` and `pack_exact`.
    """
    return _with_exact(rows, *_exact_answers(exact))


@lru_cache(maxsize=2)
def _read_exact(file: Path, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return the `_exact_answers` in a file, whose bytes are ``content``: all runs of a domain share them."""
    return _exact_answers(read_parquet(file))


def _exact_answers(exact: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the `row_numbers` of exact answers in ascending order, int64[answers], and their probabilities,
    float64[answers, 3]."""
    _check_types(exact, KEYS, EXACT)
    known, answers = numbers_of(exact), unpack_probs(_options(exact, EXACT))
    order = np.argsort(known)
    return known[order], answers[order]


def _with_exact(rows: pa.Table, known: np.ndarray, answers: np.ndarray) -> pa.Table:
    """Return published rows with the columns of their probabilities and exact answers (`_exact_answers`)."""
    _check_types(rows, [*KEYS, "choice"], [name for name in PROBS if PROBS[0] in rows.column_names])
    if PROBS[0] in rows.column_names:
        usable = rows["choice"].to_numpy() >= 0
        probs = unpack_probs(_options(rows, PROBS))
        for option, name in enumerate(PROBS):
            column = pa.array(probs[:, option], mask=~usable)
            rows = rows.set_column(rows.column_names.index(name), name, column)
    wanted = numbers_of(rows)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    unknown = known[at] != wanted
    for option, name in enumerate(EXACT):
        rows = rows.append_column(name, pa.array(answers[at, option], mask=unknown))
    return rows


def row_numbers(user: np.ndarray, stage: np.ndarray, question: np.ndarray) -> np.ndarray:
    """Return a unique number for each user, stage and question, int64[rows], in the order of rows.

    >>> row_numbers(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([5, -1, 0])).argsort().tolist()
    [0, 1, 2]
    """
    return (user.astype(np.int64) << 40) + (stage.astype(np.int64) << 24) + question + 1


def numbers_of(rows: pa.Table) -> np.ndarray:
    """Return the `row_numbers` of rows."""
    return row_numbers(*(rows[name].to_numpy() for name in KEYS))


def all_different(rows: pa.Table) -> bool:
    """Return True if no two rows have the same user, stage and question."""
    return len(np.unique(numbers_of(rows))) == rows.num_rows


def in_order(rows: pa.Table) -> pa.Table:
    """Return rows by user, stage and question; those of a finished run are in this order already.

    >>> in_order(pa.table({"user": [1, 0], "stage": [0, 0], "question": [0, 0]}))["user"].to_pylist()
    [0, 1]
    """
    larger, equal = np.zeros(max(rows.num_rows - 1, 0), bool), np.ones(max(rows.num_rows - 1, 0), bool)
    for name in KEYS:
        values = rows[name].to_numpy()
        larger |= equal & (values[1:] > values[:-1])
        equal &= values[1:] == values[:-1]
    return rows if larger.all() else rows.sort_by([(name, "ascending") for name in KEYS])


def to_parquet(table: pa.Table) -> bytes:
    """Return a packed table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    halves = [field.name for field in table.schema if field.type == pa.float16()]
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=22,
        row_group_size=max(1, table.num_rows),
        use_dictionary=False,
        use_byte_stream_split=halves,
    )
    return sink.getvalue().to_pybytes()


def _check_types(table: pa.Table, integers: list[str], halves: list[str]) -> None:
    """Raise ValueError if a table without such columns was packed by something else."""
    for name in (*integers, *halves):
        column = table[name]
        whole = pa.types.is_integer(column.type) and column.null_count == 0
        if not (whole if name in integers else pa.types.is_float16(column.type)) or not table.num_rows:
            raise ValueError(f"column {name} holds {column.type}, {column.null_count} of {len(column)} null")


def _options(rows: pa.Table, names: list[str]) -> np.ndarray:
    """Return three columns as float[rows, 3], NaN if they are null."""
    return np.stack([rows[name].to_numpy() for name in names], axis=-1)


def _columns(names: list[str], kept: np.ndarray, usable: np.ndarray) -> dict[str, pa.Array]:
    null = np.isnan(kept) | ~usable[:, None]
    return {name: pa.array(kept[:, option], mask=null[:, option]) for option, name in enumerate(names)}
