"""The evidence of a published run: digests of its files, its metrics, and the command that repeats it."""

from __future__ import annotations

import hashlib
import math
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from beliefbench.checking.results import CheckFailedError
from beliefbench.errors import BeliefBenchError, first_problem
from beliefbench.plugins.settings import as_spec
from beliefbench.running.files import DamagedFileError, is_plain, read_bytes, read_schema
from beliefbench.running.packing import EXACT_NAME, exact_file, exact_file_of
from beliefbench.running.store import RunRecord, RunStore
from beliefbench.scoring.heldout import answers_of
from beliefbench.scoring.scores import score, score_beliefs_of_run

FILE = "evidence.json"
LARGEST_FILE = 2**28
"""Bytes of the largest file of a published run that is read; `beliefbench publish` writes 2 MB at most."""
INTERVALS = ("accuracy_lo", "accuracy_hi")
"""What evidence does not state: an interval says how precise a metric is, by a method that a later version may mend.
Evidence of older versions holds intervals, which are not compared."""
SAME = 1e-9  # metrics that differ by less are the same, summed in another order


class Evidence(BaseModel):
    """The contents of evidence.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    files: dict[str, str]
    """SHA-256 of each file of the run, by its path from the run's folder."""
    answers: int
    """The number of rows."""
    rounds: list[dict[str, float | None]]
    """The metrics after each round, computed from the published rows (`recomputed`), without `INTERVALS`."""
    command: str
    """The command that repeats the run."""
    beliefbench: str
    """The version that published it."""

    def as_bytes(self) -> bytes:
        """Return the file's contents."""
        return (self.model_dump_json(indent=2) + "\n").encode()


def evidence_of(record: RunRecord, rows: pa.Table, files: Mapping[str, bytes]) -> Evidence:
    """Return the evidence for a run, given its record, its rows as they are read back, and the contents of its
    files."""
    return Evidence(
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        answers=rows.num_rows,
        rounds=recomputed(record, rows),
        command=command_of(record),
        beliefbench=version("beliefbench"),
    )


def read_evidence(folder: Path) -> Evidence | None:
    """Return the evidence in a run's folder, or None if there is none; raise `DamagedFileError` if it is damaged."""
    file = folder / FILE
    if not is_plain(file):
        return None
    try:
        return Evidence.model_validate_json(read_bytes(file))
    except ValidationError as error:
        raise DamagedFileError(f"{file} is not evidence that this version reads ({first_problem(error)}).") from error


def is_unchanged(folder: Path) -> bool:
    """Return True if a run is published, its files match its evidence, and so do the recomputed metrics.

    This is cheap and needs no domain. It shows that nobody edited the run since somebody made its evidence, which
    anybody can do: use `beliefbench.publishing.verify.verify_run`.

    >>> is_unchanged(Path("nowhere"))
    False
    """
    try:
        record = RunStore(folder).record()
        if record is None or not (folder / FILE).exists():
            return False
        rows = RunStore(folder).rows()
        return attested(folder, rows.num_rows, recomputed(record, rows))
    except (BeliefBenchError, OSError):
        return False


def attested(folder: Path, answers: int, rounds: Sequence[Mapping[str, Any]]) -> bool:
    """Return True if a run `is_unchanged`, given its number of rows and their metrics (`metrics_of`)."""
    try:
        evidence = read_evidence(folder)
        if evidence is None:
            return False
        check_files(folder, evidence)
        check_metrics(evidence, answers, rounds)
    except (BeliefBenchError, CheckFailedError, OSError):
        return False
    return True


def check_files(folder: Path, evidence: Evidence) -> str:
    """Return a sentence if a run's files match its evidence; raise `CheckFailedError` otherwise."""
    _check_named(evidence, "run.json", "rows.parquet")
    for name, digest in evidence.files.items():
        if not re.fullmatch(rf"run\.json|rows\.parquet|\.\./\.\./{EXACT_NAME}", name):
            raise CheckFailedError(f"{FILE} lists {name[:80]!r}, which is no file of a run; nothing of it was opened.")
        if not is_plain(folder / name):
            raise CheckFailedError(f"{name} is missing.")
        if hashlib.sha256(read_bytes(folder / name, LARGEST_FILE)).hexdigest() != digest:
            raise CheckFailedError(f"{name} was changed: its SHA-256 is not the one in {FILE}.")
    exact = exact_file_of(read_schema(folder / "rows.parquet"))
    if exact is not None:
        _check_named(evidence, relative(exact_file(folder, exact), folder))
    return f"{', '.join(Path(name).name for name in evidence.files)} match {FILE}."


def check_metrics(evidence: Evidence, answers: int, found: Sequence[Mapping[str, Any]]) -> str:
    """Return a sentence if the recomputed metrics match the evidence; raise `CheckFailedError` otherwise."""
    if len(found) != len(evidence.rounds) or evidence.answers != answers:
        raise CheckFailedError(
            f"{FILE} has {evidence.answers:,} rows and {len(evidence.rounds)} stages; the run has others."
        )
    for stage, (said, one) in enumerate(zip(evidence.rounds, found, strict=True)):
        for name, value in said.items():
            if name in INTERVALS:
                continue
            if name not in one or not _same(value, one[name]):
                raise CheckFailedError(f"{name[:80]} after round {stage} is {one.get(name)}; {FILE} says {value}.")
    return f"the metrics of {len(found)} stages, recomputed from the rows, match {FILE}."


def recomputed(record: RunRecord, rows: pa.Table) -> list[dict[str, Any]]:
    """Return the metrics after each round of a finished run, from its rows."""
    answers = answers_of(record, rows)
    return metrics_of(score(answers), score_beliefs_of_run(rows, answers.choice.shape))


def metrics_of(
    rounds: Sequence[Mapping[str, Any]], beliefs: Sequence[Mapping[str, Any]] | None
) -> list[dict[str, Any]]:
    """Return metrics with the names in the evidence: metrics of answers, and metrics of stated beliefs as
    ``belief_...``.

    >>> metrics_of([{"round": 0, "accuracy": 0.5}], [{"coverage": 1.0}])
    [{'round': 0, 'accuracy': 0.5, 'belief_coverage': 1.0}]
    """
    kept = [{name: value for name, value in one.items() if name not in INTERVALS} for one in rounds]
    return [
        {**one, **{f"belief_{name}": value for name, value in stated.items()}}
        for one, stated in zip(kept, beliefs or [{}] * len(rounds), strict=True)
    ]


def command_of(record: RunRecord) -> str:
    """Return the command that repeats a run. It uses the agent's name if the run has no SPEC."""
    identity = record.identity
    command = ["beliefbench", "run", "--domain", identity.domain.name, "--agent", spec_of(record)]
    for name in ("users", "rounds", "heldout", "seed"):
        command += [f"--{name}", str(getattr(identity, name))]
    for key, option in (("width", "--until-width"), ("users", "--sample")):
        if identity.stopping and key in identity.stopping:
            command += [option, str(identity.stopping[key])]
    return shlex.join(command)


def spec_of(record: RunRecord) -> str:
    """Return the SPEC of a run's agent: as it was given, or the agent's name if it was an object."""
    return record.spec or as_spec(record.agent.name)


def relative(file: Path, folder: Path) -> str:
    """Return a file's path from a folder, as evidence names it.

    >>> relative(Path("out/flights/exact.parquet"), Path("out/flights/bayesian/0123"))
    '../../exact.parquet'
    """
    return Path(os.path.relpath(file, folder)).as_posix()


def _check_named(evidence: Evidence, *names: str) -> None:
    missing = [name for name in names if name not in evidence.files]
    if missing:
        raise CheckFailedError(f"{FILE} does not list {', '.join(missing)}.")


def _same(said: float | None, found: float | None) -> bool:
    if said is None or found is None:
        return said is found
    return math.isclose(said, found, rel_tol=0, abs_tol=SAME)
