"""Runs on disk: ``<results>/<domain>/<agent>/<key>/`` with ``run.json`` and ``rows.parquet``.

Until a run is finished, its answers are in ``parts/``: one file for the users that were asked together at one stage.
Finishing a run sorts them into ``rows.parquet``. Every write is atomic: a file is complete, or it does not exist. The
contents of ``rows.parquet`` depend on the run's identity alone, not on the time, the machine, or the number of
sessions.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field

from beliefbench.errors import BeliefBenchError, UsageError, first_line, first_problem
from beliefbench.folders import file_name, write_atomically
from beliefbench.running.files import DamagedFileError, check_ranges, is_plain, read_bytes, read_parquet, read_schema
from beliefbench.running.packing import all_different, unpack_from

SCHEMA: Literal[1] = 1
OWN_SET = -1  # the `question` of a round's own set, whose answer is the recommendation
BOUNDED = ConfigDict(str_max_length=2**13)  # names, versions, notes, SPECs

BELIEFS = pa.list_(pa.list_(pa.float64()))
ROWS = pa.schema(
    [
        pa.field("user", pa.int32(), nullable=False),
        pa.field("stage", pa.int16(), nullable=False),
        pa.field("question", pa.int32(), nullable=False),
        pa.field("truth", pa.int8(), nullable=False),
        pa.field("choice", pa.int8(), nullable=False),
        *[pa.field(f"prob_{option}", pa.float64()) for option in range(3)],
        *[pa.field(f"exact_{option}", pa.float64()) for option in range(3)],
        pa.field("tokens", pa.int32()),
        pa.field("text", pa.string()),
        pa.field("seconds", pa.float64()),
        pa.field("bounded", pa.bool_()),
        pa.field("by_beliefs", pa.int8()),
        pa.field("beliefs", BELIEFS),
        pa.field("exact_beliefs", BELIEFS),
    ]
)
"""The columns of an answer; null if there is none.

prob_*: the agent's probabilities. exact_*: the exact probabilities, for held-out sets. bounded: True if the probability
of some option is only an upper bound. by_beliefs: the option that the agent's stated beliefs imply, -1 if they cannot
be used. beliefs, exact_beliefs: the stated and the exact beliefs, [scales][levels]; they belong to a stage, and are
stored with its first answer.
"""


class AgentRecord(BaseModel):
    """An agent in run.json."""

    model_config = BOUNDED
    name: str
    version: str
    probabilistic: bool
    privileged: bool
    note: str | None = None


class DomainIdentity(BaseModel):
    """What identifies a domain's numbers."""

    model_config = BOUNDED
    name: str
    version: str
    parameters: dict[str, Any]


class RunIdentity(BaseModel):
    """Everything that a run's rows depend on; ``agent`` has the values of the agent's `identity()`."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal[1] = Field(alias="schema")
    domain: DomainIdentity
    agent: dict[str, Any]
    seed: int = Field(ge=0, lt=2**32)
    users: int = Field(ge=1, lt=2**23)
    rounds: int = Field(ge=0, lt=2**15)
    heldout: int = Field(ge=1, lt=2**24 - 1)
    stopping: dict[str, Any] | None

    @property
    def rows_per_user(self) -> int:
        """The number of rows per user in a finished run: all held-out answers, and one recommendation per round."""
        return (self.rounds + 1) * self.heldout + self.rounds

    def json_values(self) -> dict[str, Any]:
        """Return the identity as the JSON values that `run_key` hashes."""
        return self.model_dump(by_alias=True)


class Session(BaseModel):
    """One session of a run: when it started (ISO 8601, UTC), the versions, the machine, and the code."""

    model_config = BOUNDED
    started: str
    versions: dict[str, str]
    machine: dict[str, str]
    code: dict[str, str] = {}  # of the domain and the agent: `beliefbench.plugins.code.code_of`


class RunRecord(Session):
    """The contents of run.json: what was run, and the first session. Times are ISO 8601 in UTC."""

    schema_version: Literal[1]
    key: str
    identity: RunIdentity
    agent: AgentRecord
    resumed: list[Session] = []
    """Later sessions, if the run was stopped and continued."""
    finished: str | None = None
    seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Time spent in the agent's answers, over all sessions; None until finished."""
    spec: str | None = None
    """The agent's SPEC; None if it was given as an object."""
    asked: int | None = Field(default=None, ge=1, lt=2**23)
    """The number of users asked, if the run has a stopping rule; None until finished, or without such a rule."""


def run_key(identity: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an identity's canonical JSON, 64 hexadecimal digits.

    >>> run_key({"b": 1, "a": 2}) == run_key({"a": 2, "b": 1})
    True
    """
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def run_folder(results: Path, domain: str, agent: str, key: str) -> Path:
    """Return the folder of a run, below a folder of results, with names as in `beliefbench.folders.file_name`.

    >>> run_folder(Path("results"), "flights", "prompted:smollm2", "0123456789abcdef0").as_posix()
    'results/flights/prompted-smollm2/0123456789abcdef'
    """
    return results / file_name(domain) / file_name(agent) / key[:16]


def prepare_results(results: Path) -> None:
    """Make the results folder, or raise `UsageError` if it cannot hold results."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        probe = results / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"results folder '{results}' is a file or lies below one; name a folder.") from error
    except OSError as error:
        raise UsageError(f"results folder '{results}' cannot be written ({error.strerror}); name another.") from error


class RunStore:
    """The folder of one run, locked by one process at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows_file = folder / "rows.parquet"
        self.parts = folder / "parts"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder against other processes; a killed process holds no lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        is_plain(self.folder / ".lock")  # to lock a link would make its target empty
        try:
            lock.acquire(timeout=0.2)  # `is_held` locks it for a moment
        except Timeout as error:
            raise BeliefBenchError(f"another process is working in {self.folder}; wait for it to end.") from error
        try:
            yield
        finally:
            lock.release()  # the file stays: deleting it could let two in, one by the old file and one by a new one

    def is_held(self) -> bool:
        """Return whether another process works in the folder now."""
        try:
            with self.held() if (self.folder / ".lock").exists() else nullcontext():
                return False
        except (OSError, BeliefBenchError) as error:  # an OSError: a folder that nobody can write to
            return not isinstance(error, OSError)

    def record(self) -> RunRecord | None:
        """Return run.json's contents, or None if there is none."""
        file = self.folder / "run.json"
        if not is_plain(file):
            return None
        try:
            record = RunRecord.model_validate_json(read_bytes(file))
            run_key(record.identity.json_values())  # raises ValueError for NaN
            return record
        except ValueError as error:
            said = f"{file} is not a run record that this version reads ({first_problem(error)})."
            raise DamagedFileError(said) from error

    def write_record(self, record: RunRecord) -> None:
        """Write run.json."""
        write_atomically(self.folder / "run.json", (record.model_dump_json(indent=2, by_alias=True) + "\n").encode())

    def write_part(self, name: str, rows: pa.Table, seconds: float, counts: Mapping[str, int] | None = None) -> None:
        """Add the answers of some users at one stage; ``seconds`` is the time they took, ``counts`` what the agent's
        note counts in them."""
        self.parts.mkdir(exist_ok=True)
        about = {"seconds": str(seconds), "counts": json.dumps(dict(counts or {}))}
        _write_table(self.parts / f"{name}.parquet", rows.replace_schema_metadata(about))

    def rows(self) -> pa.Table:
        """Return all answers so far.

        Raises
        ------
        DamagedFileError
            If a file cannot be read; the error names the first one.
        """
        if self.rows_file.exists():
            return _read_table(self.rows_file)
        tables = [_read_table(part) for part in self._part_files()]
        return pa.concat_tables(tables) if tables else ROWS.empty_table()

    def finish(self, record: RunRecord) -> RunRecord:
        """Sort all parts into rows.parquet, mark the run finished, and return its record."""
        seconds = 0.0
        for part in self._part_files():
            seconds += float((read_schema(part).metadata or {}).get(b"seconds", b"0"))
        if not self.rows_file.exists():
            rows = self.rows().replace_schema_metadata(None)
            order = [("user", "ascending"), ("stage", "ascending"), ("question", "ascending")]
            _write_table(self.rows_file, rows.sort_by(order))
        done = record.model_copy(update={"seconds": round(seconds, 3)})
        self.write_record(done)
        shutil.rmtree(self.parts, ignore_errors=True)
        return done

    def quarantine_damaged(self, whole: Collection[int]) -> list[Path]:
        """Rename files that cannot be read to ``*.damaged``, so that they are made again; return them.

        ``whole``: the possible numbers of rows of a complete rows.parquet.
        """
        damaged = []
        for file in [*self._part_files(), *([self.rows_file] if self.rows_file.exists() else [])]:
            try:
                table = _read_table(file)
            except DamagedFileError:
                damaged.append(file)
                continue
            if file == self.rows_file and (table.num_rows not in whole or not all_different(table)):
                damaged.append(file)
        try:
            self.record()
        except DamagedFileError:
            damaged.append(self.folder / "run.json")
        for file in damaged:
            file.rename(self.folder / f"{file.name}.damaged")
        return damaged

    def _part_files(self) -> list[Path]:
        return sorted(self.parts.glob("*.parquet"))


def find_runs(results: Path) -> list[RunStore]:
    """Return the runs below a folder, in the order of their paths."""
    return [RunStore(file.parent) for file in sorted(results.rglob("run.json"))]


def as_rows(table: pa.Table) -> pa.Table:
    """Return a table with all columns of `ROWS`. Nullable columns that are missing are filled with nulls: earlier
    versions had fewer columns."""
    for field in ROWS:
        if field.nullable and field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(ROWS.names).cast(ROWS)


def _read_table(file: Path) -> pa.Table:
    packed = read_parquet(file)
    try:
        rows = as_rows(unpack_from(packed, file))
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise DamagedFileError(f"{file} cannot be read ({first_line(error)}).") from error
    check_ranges(rows, file)
    return rows


def _write_table(file: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    write_atomically(file, sink.getvalue().to_pybytes())
