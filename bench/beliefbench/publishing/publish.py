"""``beliefbench publish``: packs finished runs, with the evidence that `beliefbench.publishing.verify` needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beliefbench.checking.results import CheckFailedError
from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.folders import write_atomically
from beliefbench.publishing.answers import check_answers
from beliefbench.publishing.evidence import FILE, evidence_of, is_unchanged, relative
from beliefbench.publishing.layout import Layout
from beliefbench.publishing.signatures import sign
from beliefbench.running.files import DamagedFileError, is_plain, read_bytes, read_parquet
from beliefbench.running.packing import (
    EXACT,
    LARGEST_EXACT,
    TOLERANCE,
    exact_file,
    numbers_of,
    pack_exact,
    pack_rows,
    to_parquet,
    unpack_probs,
    unpack_rows,
)
from beliefbench.running.store import (
    RunRecord,
    RunStore,
    as_rows,
    find_runs,
    prepare_results,
    run_folder,
    run_key,
)

LARGEST = 2_000_000
"""The maximum size in bytes of the files of a run, and of its exact answers."""


@dataclass(frozen=True)
class Published:
    """A published run: its folder, the size of its own files in bytes, and whether it is new."""

    folder: Path
    size: int
    anew: bool


def publish_all(run: Path, out: Path, echo: Callable[[str], None], key: Path | None = None) -> bool:
    """Publish the run in a folder, or all finished runs below it. ``echo`` reports each, ``key`` is the SSH key that
    signs their evidence. Return True if all were published.

    Raises
    ------
    UsageError
        If there is no run, or ``out`` cannot hold results.
    """
    stores = [store for store in find_runs(run) if not store.folder.resolve().is_relative_to(out.resolve())]
    if not stores:
        raise UsageError(f"there is no run in '{run}'; name a folder that `beliefbench run` has made.")
    failed = False
    for store in stores:
        try:
            record = store.record()
            if record is not None and record.finished is None and store.folder != run:
                echo(f"{store.folder} is not finished and left out; run it again to continue it.")
                continue
            done = publish(store.folder, out)
            if key is not None:
                sign(done.folder / FILE, key)
        except BeliefBenchError as error:
            echo(f"error: {error}")
            failed = True
            continue
        echo(f"{'published' if done.anew else 'was published already'}: {done.folder} ({done.size / 1e6:.2f} MB)")
    return not failed


def publish(run: Path, out: Path) -> Published:
    """Pack a finished run into ``<out>/<domain>/<agent>/<key>/``; do nothing if it is there already.

    Raises
    ------
    BeliefBenchError
        If it is not finished or not complete, has more than 2 MB, or ``out`` has something else in its place.

    >>> import beliefbench as bb, tempfile
    >>> done = bb.run("flights", "random", users=3, rounds=1, heldout=4, results=tempfile.mkdtemp())
    >>> published = publish(done.folder, Path(tempfile.mkdtemp()))
    >>> sorted(file.name for file in published.folder.iterdir()), published.anew
    (['evidence.json', 'rows.parquet', 'run.json'], True)
    """
    store = RunStore(run)
    record = store.record()
    if record is None or record.finished is None or not store.rows_file.exists():
        raise BeliefBenchError(f"the run in {run} is not finished; run it again to continue it.")
    _check_identity(run, record)
    rows = store.rows()
    try:
        Layout.of(record, rows).check(rows)
        check_answers(record, rows)
    except CheckFailedError as broken:
        raise BeliefBenchError(f"{run / 'rows.parquet'}: {broken} Only complete runs can be published.") from broken
    prepare_results(out)
    folder = run_folder(out, record.identity.domain.name, record.agent.name, record.key)
    if not folder.resolve().is_relative_to(out.resolve()):
        raise BeliefBenchError(f"{folder} is a link that leaves {out}; remove the link to publish this run.")
    exact = exact_file(folder, exact_name(record))
    packed = pack_rows(rows, exact.name)
    files = {"run.json": read_bytes(run / "run.json"), "rows.parquet": to_parquet(packed)}
    shared = _shared_exact(exact, pack_exact(rows))
    back = as_rows(unpack_rows(packed, pq.read_table(pa.BufferReader(shared))))
    evidence = evidence_of(record, back, {**files, relative(exact, folder): shared}).as_bytes()
    size = sum(map(len, files.values())) + len(evidence)
    for what, taken in ((run, size), (exact, len(shared))):
        if taken > LARGEST:
            raise BeliefBenchError(
                f"{what} takes {taken / 1e6:.2f} MB packed, and a published run may take 2; run fewer users."
            )
    if any(is_plain(folder / name) for name in ("run.json", "rows.parquet", FILE)):
        _check_same(folder, files["run.json"], packed)
        if is_unchanged(folder):
            return Published(folder, sum(file.stat().st_size for file in folder.iterdir()), anew=False)
    folder.mkdir(parents=True, exist_ok=True)
    if not exact.exists():
        write_atomically(exact, shared)
    # The record last: without it, there is no run in the folder.
    for name, content in {"rows.parquet": files["rows.parquet"], FILE: evidence, "run.json": files["run.json"]}.items():
        write_atomically(folder / name, content)
    return Published(folder, size, anew=True)


def _check_identity(run: Path, record: RunRecord) -> None:
    """Raise `BeliefBenchError` if the key of a run, which becomes a path, is not that of its identity."""
    if record.key != run_key(record.identity.json_values()) or record.agent.name != record.identity.agent.get("name"):
        raise BeliefBenchError(
            f"{run / 'run.json'} was edited: its key or its agent's name is not that of its identity; run it again."
        )


def exact_name(record: RunRecord) -> str:
    """Return the name of the file that holds the exact answers of a run, the same for every agent."""
    asked = {**record.identity.json_values(), "agent": None, "asked": record.asked}
    return f"exact-{run_key(asked)[:16]}.parquet"


def _shared_exact(file: Path, exact: pa.Table) -> bytes:
    """Return the contents of the file with the exact answers: the existing contents, if they are equal to within
    rounding."""
    if not is_plain(file):
        return to_parquet(exact)
    content = read_bytes(file, LARGEST_EXACT)
    try:
        there = read_parquet(file)
        same = np.array_equal(numbers_of(there), numbers_of(exact)) and (_gap(there, exact) <= 2 * TOLERANCE)
    except (DamagedFileError, KeyError, ValueError) as error:
        raise DamagedFileError(f"{file} cannot be read; remove it, and publish its runs again.") from error
    if not same:
        raise BeliefBenchError(
            f"{file} has other exact answers than this run; `beliefbench verify` says which are wrong."
        )
    return content


def _gap(one: pa.Table, other: pa.Table) -> float:
    """Return the largest difference between the probabilities of two tables of exact answers."""
    one_probs, other_probs = (
        unpack_probs(np.stack([table[name].to_numpy() for name in EXACT], axis=-1)) for table in (one, other)
    )
    return float(abs(one_probs - other_probs).max())


def _check_same(folder: Path, run_json: bytes, packed: pa.Table) -> None:
    """Raise `BeliefBenchError` if a folder contains anything but a run's record and packed rows, or, where publishing
    was broken off, its rows."""
    try:
        same = read_parquet(folder / "rows.parquet").equals(packed)
        if is_plain(folder / "run.json"):
            same = same and read_bytes(folder / "run.json") == run_json
    except (BeliefBenchError, OSError):
        same = False
    if not same:
        raise BeliefBenchError(f"{folder} contains something else than this run; remove it to publish this one.")
