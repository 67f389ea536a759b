"""Checking one run by recomputing its contents, and listing the checks that are not possible here."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from beliefbench.checking.results import CheckFailedError, CheckResult
from beliefbench.domain import Domain
from beliefbench.errors import BeliefBenchError
from beliefbench.plugins.names import load_domain
from beliefbench.plugins.reach import Reach
from beliefbench.publishing.answers import check_answers
from beliefbench.publishing.evidence import (
    FILE,
    Evidence,
    check_files,
    check_metrics,
    command_of,
    read_evidence,
    recomputed,
    spec_of,
)
from beliefbench.publishing.layout import Layout
from beliefbench.publishing.plausibility import accuracy_flag, digest_of_probs, equals_exact, time_flag
from beliefbench.publishing.publish import exact_name
from beliefbench.publishing.report import ASKED_AGAIN, Report
from beliefbench.publishing.reproductions import read_attested
from beliefbench.running.files import is_plain, read_schema
from beliefbench.running.packing import exact_file_of
from beliefbench.running.store import RunRecord, RunStore, run_folder, run_key
from beliefbench.scoring.heldout import answers_of

if TYPE_CHECKING:
    from beliefbench.publishing.recompute import Recomputed


def verify_run(
    folder: Path,
    rerun: int = 0,
    seed: int | None = None,
    allow: Collection[Reach] = (),
    trusted: Path | None = None,
) -> Report:
    """Return the report on the run in a folder.

    Parameters
    ----------
    rerun
        The number of users for whom the agent is asked again.
    seed
        The seed for the choice of these users; None: a random seed that nobody can predict.
    allow
        What the SPECs in the run may reach for. By default nothing: no path, no download, no code of a model.
    trusted
        Your file of trusted keys (`publishing.signatures`); None: all keys are unknown.

    >>> import beliefbench as bb, tempfile
    >>> done = bb.run("flights", "random", users=3, rounds=1, heldout=4, results=tempfile.mkdtemp())
    >>> report = verify_run(done.folder)
    >>> report.passed, report.left_out
    (True, ['no evidence for its files: there is no evidence.json, because it is not published.'])
    """
    report = check_run(folder, rerun, seed, allow)
    add_attested(report, trusted)
    return report


def add_attested(report: Report, trusted: Path | None) -> None:
    """Add to a report who signed its run, and who says that they reproduced it. A wrong signature is a failed check,
    and so is a record that does not fit the run."""
    record = RunStore(report.folder).record() if report.key else None
    if record is None:
        return
    report.signer, report.claims, wrong = read_attested(report.folder, record, report.files, trusted)
    report.findings += [CheckResult(name, False, said) for name, said in wrong.items()]


def check_run(folder: Path, rerun: int = 0, seed: int | None = None, allow: Collection[Reach] = ()) -> Report:
    """Return the report on the run in a folder without the records of reproductions; parameters as in `verify_run`."""
    report = Report(folder)
    store = RunStore(folder)
    record = report.read("run.json", partial(_record, store))
    evidence = report.read(FILE, partial(read_evidence, folder))
    if evidence is not None:
        if report.holds("files", partial(check_files, folder, evidence)):
            report.files = evidence.files
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
    report.key, report.agent = record.key, spec_of(record)
    report.holds("key", partial(_check_key, folder, record))
    rows = report.read("rows.parquet", store.rows)
    if rows is None or not report.holds("rows", partial(_check_rows, record, rows)):
        report.left_out.append("nothing was recomputed, because its rows are not complete.")
        return report
    report.holds("answers", partial(check_answers, record, rows))
    if evidence is not None:
        report.holds("metrics", partial(_check_evidence, folder, evidence, record, rows))
    if flag := time_flag(record, rows.num_rows, pa.compute.sum(rows["tokens"]).as_py()):
        report.flags.append(flag)
    _recompute(report, record, rows, rerun, secrets.randbelow(2**32) if seed is None else seed, allow)
    return report


def _recompute(
    report: Report, record: RunRecord, rows: pa.Table, rerun: int, seed: int, allow: Collection[Reach]
) -> None:
    from beliefbench.publishing.declared import (
        CannotAskError,
        check_choices,
        check_declared,
        job_of,
        refuse_domain_beyond,
    )
    from beliefbench.publishing.recompute import Recomputed  # loads JAX
    from beliefbench.publishing.rerun import check_rerun

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
    for check, attempt in (("SPEC", partial(check_declared, run, allow)), ("choices", partial(check_choices, run))):
        report.holds_if_possible(check, attempt, CannotAskError)
    _add_flags(report, run, allow)
    if not rerun:
        return
    try:
        job = job_of(run, allow)
    except CannotAskError as error:
        report.left_out.append(str(error))
        return
    report.holds(ASKED_AGAIN, partial(check_rerun, run, job, rerun, seed))


def _add_flags(report: Report, run: Recomputed, allow: Collection[Reach]) -> None:
    """Add to a report what is implausible in the answers of its run."""
    from beliefbench.publishing.declared import CannotAskError, job_of

    answers = answers_of(run.record, run.rows)
    report.probs = digest_of_probs(answers)
    as_model = run.domain.user_model is run.domain.model and run.domain.recorded is None
    if as_model and not run.record.agent.privileged and (flag := accuracy_flag(answers)):
        report.flags.append(flag)
    if equals_exact(answers):
        try:
            exact = getattr(job_of(run, allow).agent, "exact", False)
        except CannotAskError:
            exact = False
        if exact:
            report.probs = None  # all agents that compute the exact answer have the same
        else:
            report.flags.append("its probabilities equal the exact ones to the last digit")


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
