"""``beliefbench verify``: the reports on all runs below a folder, and what is kept of them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from beliefbench.checking.results import CheckResult
from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.plugins.code import code_of_name
from beliefbench.plugins.reach import Reach
from beliefbench.plugins.sources import add_plugin_folders, plugin_folders
from beliefbench.publishing.evidence import FILE
from beliefbench.publishing.report import ASKED_AGAIN, Report, failure
from beliefbench.publishing.reproductions import write_record
from beliefbench.publishing.verify import add_attested, check_run
from beliefbench.running.derived import answers_digest, keep, key_of, recalled, run_digest

FILES = ("run.json", "rows.parquet", FILE)
SAME_PROBS = "its probabilities equal to the last digit those of the run in"
FEW = 4  # domains that are verified sooner than other processes have started
MOST_WORKERS = 4  # a process may hold a GiB


def verify_all(
    root: Path,
    rerun: int = 0,
    seed: int | None = None,
    allow: Collection[Reach] = (),
    trusted: Path | None = None,
) -> Iterator[Report]:
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
    answered: dict[str, Path] = {}
    anew = (_checked(folder, rerun, seed, allow) for folder in folders)
    for report in anew if rerun or allow else _each_once(folders):
        add_attested(report, trusted)
        if report.key is not None and (first := met.setdefault(report.key, report.folder)) != report.folder:
            report.findings.append(CheckResult("duplicate", False, f"the same run is in {first}."))
        elif report.probs and (other := answered.setdefault(report.probs, report.folder)) != report.folder:
            report.flags.append(f"{SAME_PROBS} {other}")
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
    pool = ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=add_plugin_folders, initargs=(plugin_folders(),)
    )
    try:
        verified = {domain: pool.submit(_verify_several, by_domain[domain]) for domain in waiting}
        for domain, some in by_domain.items():
            yield from verified[domain].result() if domain in verified else map(_verify_once, some)
    finally:
        pool.shutdown(cancel_futures=True)


def _verify_several(folders: Sequence[Path]) -> list[Report]:
    return [_verify_once(folder) for folder in folders]


def _verify_once(folder: Path) -> Report:
    """Return the report on the run in a folder: as it is kept, if every check passed before on the same files."""
    kept = _kept(folder)
    if kept is not None:
        return _with_failed_rerun(kept)
    digest = run_digest(folder)
    report = _checked(folder)
    code = _code_of(report.domain, report.agent) if report.passed else None
    if code and run_digest(folder) == digest:
        passed = [[result.check, result.detail] for result in report.findings]
        said = {"findings": passed, "left_out": report.left_out, "key": report.key, "domain": report.domain}
        said |= {"agent": report.agent, "files": report.files, "flags": report.flags, "probs": report.probs}
        keep(_key("report", folder, digest), {**said, "code": code})
    return report


def _code_of(domain: str | None, agent: str | None) -> list[str] | None:
    """Return the digests of the code of a run's domain and agent; None if one is unknown."""
    if domain is None or agent is None:
        return None
    try:
        found = [code_of_name("domain", domain), code_of_name("agent", agent)]
    except BeliefBenchError:  # a SPEC that cannot be read
        return None
    return None if None in found else [one for one in found if one]


def _kept(folder: Path) -> Report | None:
    """Return the report that is kept on a run; None if there is none, or if the files of the run, or the code of its
    domain or agent, have changed."""
    kept = recalled(_key("report", folder, run_digest(folder)))
    if kept is None:
        return None
    code = kept.pop("code")
    findings = [CheckResult(check, True, detail) for check, detail in kept.pop("findings")]
    report = Report(folder, findings, **kept)
    return report if code == _code_of(report.domain, report.agent) else None


def _checked(folder: Path, rerun: int = 0, seed: int | None = None, allow: Collection[Reach] = ()) -> Report:
    """Return the report of `check_run`, and keep what a table shows of it, and that its agent gave other answers."""
    digest = run_digest(folder)
    report = check_run(folder, rerun, seed, allow)
    if run_digest(folder) == digest:
        without = [one for one in report.findings if one.check != ASKED_AGAIN]
        keep(_key("found", folder, digest), replace(report, findings=without).found())
        _remember_rerun(report)
    return _with_failed_rerun(report)


def _remember_rerun(report: Report) -> None:
    """Keep that an agent, asked again, gave other answers or none. Answers that are the same later take back only that
    it gave none: another call asks about other users."""
    asked = next((one for one in report.findings if one.check == ASKED_AGAIN), None)
    if asked is None:
        return
    key = _rerun_key(report.folder)
    before = recalled(key)
    if asked.passed:
        if before and not before["other_answers"]:
            keep(key, None)
    elif not (before and before["other_answers"]):
        of = {"domain": report.domain, "agent": report.agent, "code": _code_of(report.domain, report.agent)}
        keep(key, {**of, "detail": asked.detail, "other_answers": bool(asked.numbers)})


def _failed_rerun(folder: Path) -> str | None:
    """Return what was wrong when the agent of a run was asked again on this machine; None if nothing was, or if the
    run, or the code of its domain or agent, has changed since."""
    said = recalled(_rerun_key(folder))
    if said is None or said["code"] != _code_of(said["domain"], said["agent"]):
        return None
    return str(said["detail"])


def _with_failed_rerun(report: Report) -> Report:
    """Return a report with the finding of an earlier `verify --rerun`, if its agent failed and was not found to now."""
    detail = _failed_rerun(report.folder)
    if detail is not None and not any(one.check == ASKED_AGAIN and not one.passed for one in report.findings):
        earlier = f"{detail} An earlier `verify --rerun` on this machine found this, and nothing has changed since."
        report.findings.append(CheckResult(ASKED_AGAIN, False, earlier))
    return report


def _rerun_key(folder: Path) -> str:
    return key_of("rerun", run=answers_digest(folder))


def found_here(folder: Path, digest: str) -> dict[str, Any]:
    """Return what `verify_all` found of a run on this machine when it was last called (`Report.found`), and whether its
    agent failed when it was ever asked again; nothing if it was never called on files with this `run_digest`, or by
    another version.

    >>> found_here(Path("nowhere"), "0" * 64)
    {}
    """
    found: dict[str, Any] = recalled(_key("found", folder, digest)) or {}
    detail = _failed_rerun(folder)
    if detail is not None:
        found = {**found, "intact": False, "failed": [*found.get("failed", []), failure(ASKED_AGAIN, detail)]}
    return found


def _key(what: str, folder: Path, digest: str) -> str:
    return key_of(what, folder=str(folder.resolve()), run=digest)


def record_reproduction(report: Report, by: str, key: Path | None = None) -> str:
    """Write a record beside a run that is intact and whose agent gave the same answers again, signed with an SSH key if
    there is one; return a sentence."""
    again = report.asked_again
    if not report.intact or again is None or report.key is None or report.files is None:
        return f"no record was written beside {report.folder}: its agent did not give the same answers again here."
    return f"recorded in {write_record(report.folder, report.key, report.files, by, again.numbers, key)}."
