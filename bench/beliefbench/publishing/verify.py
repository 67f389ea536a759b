"""``beliefbench verify``: checks a run by recomputing its contents, and lists the checks that are not possible here."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from beliefbench.checking.results import CheckFailedError, CheckResult, run_check
from beliefbench.domain import Domain
from beliefbench.errors import BeliefBenchError, UsageError, printable
from beliefbench.plugins.code import code_of_name
from beliefbench.plugins.names import load_domain
from beliefbench.plugins.reach import Reach
from beliefbench.plugins.sources import add_plugin_folder, plugin_folders
from beliefbench.publishing.answers import check_answers
from beliefbench.publishing.evidence import (
    FILE,
    Evidence,
    check_files,
    check_metrics,
    command_of,
    read_evidence,
    recomputed,
)
from beliefbench.publishing.layout import Layout
from beliefbench.publishing.publish import exact_name
from beliefbench.running.derived import keep, key_of, recalled, run_digest
from beliefbench.running.files import is_plain, read_schema
from beliefbench.running.packing import exact_file_of
from beliefbench.running.store import RunRecord, RunStore, run_folder, run_key

Made = TypeVar("Made")
FILES = ("run.json", "rows.parquet", FILE)
FEW = 4  # domains that are verified sooner than other processes have started
MOST_WORKERS = 4  # a process may hold a GiB


@dataclass
class Report:
    """The report on the run in a folder.

    ``left_out``: checks that were not possible, a sentence each; these are no failures.
    """

    folder: Path
    findings: list[CheckResult] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    key: str | None = None
    domain: str | None = None
    """The name of the domain that its contents were recomputed with; None if they were not."""

    @property
    def passed(self) -> bool:
        """True if no check failed."""
        return all(result.passed for result in self.findings)

    def lines(self) -> list[str]:
        """Return the report, a line a finding."""
        lines = [str(self.folder)]
        lines += [f"  {result.line()}" for result in self.findings]
        lines += [f"  --    {one}" for one in self.left_out]
        return [printable(line) for line in lines]  # a line break in a name would begin a line of its own

    def holds(self, check: str, attempt: Callable[[], str]) -> bool:
        """Run a check, record its finding, and return True if it passed."""
        self.findings.append(run_check(check, attempt))
        return self.findings[-1].passed

    def read(self, check: str, attempt: Callable[[], Made | None]) -> Made | None:
        """Return what ``read`` returns. If it cannot be read, record a finding and return None. If there is nothing to
        read, return None."""
        got: list[Made | None] = []

        def keep() -> str:
            got.append(attempt())
            return ""

        result = run_check(check, keep)
        if not result.passed:
            self.findings.append(result)
        return got[0] if got else None


def verify_all(root: Path, rerun: int = 0, seed: int | None = None, allow: Collection[Reach] = ()) -> Iterator[Report]:
    """Yield the report of each run below a folder, or in it; parameters as in `verify_run`.

    Raises
    ------
    UsageError
        If there is no run.
    """
    folders = sorted({file.parent for name in FILES for file in root.rglob(name)})
    if not folders:
        raise UsageError(f"there is no run in '{root}'; name a folder that holds published or local runs.")
    met: dict[str, Path] = {}
    each = (verify_run(folder, rerun, seed, allow) for folder in folders) if rerun or allow else _each_once(folders)
    for report in each:
        if report.key is not None and (first := met.setdefault(report.key, report.folder)) != report.folder:
            report.findings.append(CheckResult("duplicate", False, f"the same run is in {first}."))
        yield report


def _each_once(folders: Sequence[Path]) -> Iterator[Report]:
    """Yield the report on the run in each folder, in their order; the runs of several domains at the same time."""
    by_domain = {domain: list(some) for domain, some in groupby(folders, lambda folder: folder.parent.parent)}
    waiting = [domain for domain, some in by_domain.items() if any(_kept(folder) is None for folder in some)]
    workers = min(os.cpu_count() or 1, MOST_WORKERS, len(waiting))
    if len(waiting) < FEW or workers == 1:
        yield from map(_verify_once, folders)
        return
    # Processes, since most of the time JAX traces in Python; not forked, since its threads would be lost.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_add_plugins, initargs=(plugin_folders(),))
    try:
        verified = {domain: pool.submit(_verify_several, by_domain[domain]) for domain in waiting}
        for domain, some in by_domain.items():
            yield from verified[domain].result() if domain in verified else map(_verify_once, some)
    finally:
        pool.shutdown(cancel_futures=True)


def _add_plugins(folders: Sequence[Path]) -> None:
    for folder in folders:
        add_plugin_folder(folder)


def _verify_several(folders: Sequence[Path]) -> list[Report]:
    return [_verify_once(folder) for folder in folders]


def _verify_once(folder: Path) -> Report:
    """Return the report on the run in a folder: as it is kept, if every check passed before on the same files."""
    kept = _kept(folder)
    if kept is not None:
        return kept
    digest = run_digest(folder)
    report = verify_run(folder)
    code = code_of_name("domain", report.domain) if report.passed and report.domain else None
    if code and run_digest(folder) == digest:
        passed = [[result.check, result.detail] for result in report.findings]
        said = {
            "findings": passed,
            "left_out": report.left_out,
            "key": report.key,
            "domain": report.domain,
            "code": code,
        }
        keep(_report_key(folder, digest), said)
    return report


def _kept(folder: Path) -> Report | None:
    """Return the report that is kept on a run; None if there is none, or if the files of the run, or the code of its
    domain, have changed."""
    kept = recalled(_report_key(folder, run_digest(folder)))
    if kept is None or kept["code"] != code_of_name("domain", kept["domain"]):
        return None
    findings = [CheckResult(check, True, detail) for check, detail in kept["findings"]]
    return Report(folder, findings, kept["left_out"], kept["key"], kept["domain"])


def _report_key(folder: Path, digest: str) -> str:
    return key_of("report", folder=[str(folder), str(folder.resolve())], run=digest)


def verify_run(folder: Path, rerun: int = 0, seed: int | None = None, allow: Collection[Reach] = ()) -> Report:
    """Return the report on the run in a folder.

    Parameters
    ----------
    rerun
        The number of users for whom the agent is asked again.
    seed
        The seed for the choice of these users; None: a random seed that nobody can predict.
    allow
        What the SPECs in the run may reach for. By default nothing: no path, no download, no code of a model.

    >>> import beliefbench as bb, tempfile
    >>> done = bb.run("flights", "random", users=3, rounds=1, heldout=4, results=tempfile.mkdtemp())
    >>> report = verify_run(done.folder)
    >>> report.passed, report.left_out
    (True, ['no evidence for its files: there is no evidence.json, because it is not published.'])
    """
    report = Report(folder)
    store = RunStore(folder)
    record = report.read("run.json", partial(_record, store))
    evidence = report.read(FILE, partial(read_evidence, folder))
    if evidence is not None:
        report.holds("files", partial(check_files, folder, evidence))
    elif not (folder / FILE).exists():
        packed = report.read("rows.parquet", partial(_packed, store))
        if packed:
            report.findings.append(
                CheckResult(FILE, False, "it is missing, and the rows are those of a published run.")
            )
        else:
            report.left_out.append(f"no evidence for its files: there is no {FILE}, because it is not published.")
    if record is None:
        return report
    report.key = record.key
    report.holds("key", partial(_check_key, folder, record))
    rows = report.read("rows.parquet", store.rows)
    if rows is None or not report.holds("rows", partial(_check_rows, record, rows)):
        report.left_out.append("nothing was recomputed, because its rows are not complete.")
        return report
    report.holds("answers", partial(check_answers, record, rows))
    if evidence is not None:
        report.holds("metrics", partial(_check_evidence, folder, evidence, record, rows))
    _recompute(report, record, rows, rerun, secrets.randbelow(2**32) if seed is None else seed, allow)
    return report


def _recompute(
    report: Report, record: RunRecord, rows: pa.Table, rerun: int, seed: int, allow: Collection[Reach]
) -> None:
    from beliefbench.publishing.recompute import Recomputed  # loads JAX
    from beliefbench.publishing.rerun import CannotAskError, check_rerun, job_of, refuse_domain_beyond

    name = record.identity.domain.name
    try:
        refuse_domain_beyond(allow, name)
        domain: Domain = load_domain(name)
    except BeliefBenchError as error:
        report.left_out.append(f"users, held-out sets and exact answers were not recomputed: {error}")
        return
    run = Recomputed(record, rows, domain)
    report.domain = name
    if not report.holds("domain", run.check_domain):
        report.left_out.append(f"users, held-out sets and exact answers were not recomputed: it is another {name}.")
        return
    if not report.holds("users", run.check_users):
        report.left_out.append("their option sets and the truth were not compared, because the users differ.")
        return
    report.holds("truth", run.check_truth)
    report.holds("exact answers", run.check_exact)
    report.holds("stopping", run.check_stopping)
    if not rerun:
        return
    try:
        job = job_of(run, allow)
    except CannotAskError as error:
        report.left_out.append(str(error))
        return
    report.holds("agent", partial(check_rerun, run, job, rerun, seed))


def _record(store: RunStore) -> RunRecord:
    record = store.record()
    if record is None:
        raise CheckFailedError("it is missing.")
    if record.finished is None or not store.rows_file.exists():
        raise CheckFailedError("the run is not finished, or its rows are missing.")
    return record


def _check_rows(record: RunRecord, rows: pa.Table) -> str:
    return Layout.of(record, rows).check(rows)


def _packed(store: RunStore) -> bool:
    return is_plain(store.rows_file) and exact_file_of(read_schema(store.rows_file)) is not None


def _check_key(folder: Path, record: RunRecord) -> str:
    key = run_key(record.identity.json_values())
    if record.key != key:
        raise CheckFailedError("run.json was edited: its key does not follow from its identity.")
    for name in ("name", "version"):
        if getattr(record.agent, name) != record.identity.agent.get(name):
            raise CheckFailedError(f"run.json was edited: its agent and its identity differ in the {name}.")
    root = folder.resolve().parents[2]
    expected = run_folder(root, record.identity.domain.name, record.agent.name, key)
    if folder.resolve() != expected:
        raise CheckFailedError(f"it is in the wrong folder; expected it in {expected.relative_to(root).as_posix()}.")
    return f"{key[:16]}, and its folder, follow from its identity."


def _check_evidence(folder: Path, evidence: Evidence, record: RunRecord, rows: pa.Table) -> str:
    named = exact_file_of(read_schema(folder / "rows.parquet"))
    if named not in (None, exact_name(record)):
        raise CheckFailedError(f"its rows name the exact answers {named}; expected {exact_name(record)}.")
    if evidence.command != command_of(record):
        raise CheckFailedError(f"{FILE} names another command than run.json: {command_of(record)}")
    return check_metrics(evidence, rows.num_rows, recomputed(record, rows))
