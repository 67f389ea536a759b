"""The answers of runs as one table: CSV or Parquet, a row an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from beliefbench.leaderboard.forms.formats import plain
from beliefbench.leaderboard.row import Row
from beliefbench.running.store import OWN_SET, RunStore

KEPT = (
    *("user", "stage", "question", "truth", "choice"),
    *(f"{kind}_{option}" for kind in ("prob", "exact") for option in range(3)),
    *("tokens", "seconds", "text"),
)
"""Of `beliefbench.running.store.ROWS`. Before them: domain, domain_version, seed, agent, run (its key)."""


def tables_of(rows: Sequence[Row]) -> Iterator[pa.Table]:
    """Yield the answers of each run. ``question`` is null for a round's own set, whose answer is the recommendation."""
    for row in rows:
        answers = RunStore(row.folder).rows().select(KEPT)
        question = answers["question"].to_pandas()
        own = pa.array(question, type=pa.int32(), mask=(question == OWN_SET).to_numpy())
        answers = answers.set_column(KEPT.index("question"), "question", own)
        about = {name: row.fields[name] for name in ("domain", "domain_version", "seed", "agent")}
        for name, value in reversed([*about.items(), ("run", row.record.key)]):
            kind = pa.int64() if isinstance(value, int) else pa.string()
            answers = answers.add_column(0, name, pa.repeat(pa.scalar(value, kind), answers.num_rows))
        yield answers


def write_parquet(rows: Sequence[Row], file: Path) -> None:
    """Write the answers of runs as Parquet, one row group a run."""
    writer = None
    try:
        for table in tables_of(rows):
            writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
            writer.write_table(table, row_group_size=table.num_rows)
    finally:
        if writer is not None:
            writer.close()


def write_csv(rows: Sequence[Row], file: Path) -> None:
    """Write the answers of runs as CSV. Text that a spreadsheet takes for a formula begins with an apostrophe."""
    with file.open("w", encoding="utf-8", errors="backslashreplace", newline="") as out:
        for number, table in enumerate(tables_of(rows)):
            frame = table.to_pandas(integer_object_nulls=True)
            for name in ("domain", "domain_version", "agent", "text"):
                frame[name] = frame[name].map(plain)
            frame.to_csv(out, index=False, header=number == 0)
