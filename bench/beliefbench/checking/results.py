"""Findings of checks: one sentence each, with its figures, and the record that stores them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from beliefbench.errors import BeliefBenchError, in_short, let_pass
from beliefbench.running.provenance import installed_versions, now


@dataclass(frozen=True)
class CheckResult:
    """The finding of one check: a sentence, and its figures if there are any.

    >>> CheckResult("identity", True, "identity() is canonical JSON.").line()
    'ok    identity: identity() is canonical JSON.'
    """

    check: str
    passed: bool
    detail: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def line(self) -> str:
        """Return the finding as one line of a report."""
        return f"{'ok  ' if self.passed else 'FAIL'}  {self.check}: {self.detail}"


class CheckFailedError(Exception):
    """Raised inside a check, with a sentence on what is broken, and its figures."""

    def __init__(self, detail: str, numbers: Mapping[str, float] | None = None) -> None:
        super().__init__(detail)
        self.numbers = numbers or {}


def run_check(check: str, attempt: Callable[[], str | tuple[str, Mapping[str, float]]]) -> CheckResult:
    """Return the finding of a check: ``attempt`` returns a sentence, or raises if the check fails.

    >>> run_check("division", lambda: str(1 / 0)).detail
    'raised ZeroDivisionError: division by zero.'
    """
    try:
        held = attempt()
    except CheckFailedError as broken:
        return CheckResult(check, False, str(broken), broken.numbers)
    except BeliefBenchError as error:
        return CheckResult(check, False, str(error))
    except BaseException as error:  # a plugin may raise anything, and the other checks still run
        let_pass(error)
        return CheckResult(check, False, f"raised {in_short(error)}.")
    return CheckResult(check, True, held) if isinstance(held, str) else CheckResult(check, True, *held)


class Evidence(BaseModel, frozen=True):
    """The record of a check: the subject, its version, and the findings."""

    schema_version: int = 1
    kind: Literal["domain", "agent"]
    identity: dict[str, Any]
    findings: tuple[CheckResult, ...]
    left_out: tuple[str, ...] = ()
    """Checks that were not possible, a sentence each; these are no failures."""
    seeds: dict[str, int] = {}
    versions: dict[str, str]
    date: str
    """ISO 8601, UTC."""

    @property
    def passed(self) -> bool:
        """True if no check failed."""
        return all(result.passed for result in self.findings)


def evidence(
    kind: Literal["domain", "agent"],
    identity: Mapping[str, Any],
    findings: list[CheckResult],
    *,
    left_out: tuple[str, ...] = (),
    seeds: Mapping[str, int] | None = None,
) -> Evidence:
    """Return findings as evidence, with today's date and the installed versions.

    >>> evidence("agent", {"name": "random"}, [CheckResult("identity", True, "identity() is canonical JSON.")]).passed
    True
    """
    return Evidence(
        kind=kind,
        identity=dict(identity),
        findings=tuple(findings),
        left_out=left_out,
        seeds=dict(seeds or {}),
        versions=installed_versions(),
        date=now(),
    )
