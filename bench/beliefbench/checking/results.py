"""What checks found: one plain sentence each, with the figures behind it, and the record that they are kept in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from beliefbench.errors import BeliefBenchError, in_short
from beliefbench.running.provenance import installed_versions, now


@dataclass(frozen=True)
class CheckResult:
    """What one check found, in a plain sentence, with the figures behind it if there are any.

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
    """Raised inside a check with the sentence that says what is broken, and the figures behind it."""

    def __init__(self, detail: str, numbers: Mapping[str, float] | None = None) -> None:
        super().__init__(detail)
        self.numbers = numbers or {}


def run_check(check: str, attempt: Callable[[], str | tuple[str, Mapping[str, float]]]) -> CheckResult:
    """Return the finding of a check: ``attempt`` returns what holds, and raises if it does not.

    >>> run_check("division", lambda: str(1 / 0)).detail
    'raised ZeroDivisionError: division by zero.'
    """
    try:
        held = attempt()
    except CheckFailedError as broken:
        return CheckResult(check, False, str(broken), broken.numbers)
    except BeliefBenchError as error:
        return CheckResult(check, False, str(error))
    except Exception as error:  # a stranger's plugin may raise anything, and every other check is still to be heard
        return CheckResult(check, False, f"raised {in_short(error)}.")
    return CheckResult(check, True, held) if isinstance(held, str) else CheckResult(check, True, *held)


class Evidence(BaseModel, frozen=True):
    """What was checked, of what, and what was found: a record that lies beside the results it vouches for."""

    schema_version: int = 1
    kind: Literal["domain", "agent"]
    identity: dict[str, Any]
    findings: tuple[CheckResult, ...]
    left_out: tuple[str, ...] = ()
    """What could not be checked and why, a sentence each; no failure."""
    seeds: dict[str, int] = {}
    versions: dict[str, str]
    date: str
    """ISO 8601, UTC."""

    @property
    def passed(self) -> bool:
        """True if nothing that was checked failed."""
        return all(result.passed for result in self.findings)


def evidence(
    kind: Literal["domain", "agent"],
    identity: Mapping[str, Any],
    findings: list[CheckResult],
    *,
    left_out: tuple[str, ...] = (),
    seeds: Mapping[str, int] | None = None,
) -> Evidence:
    """Return findings as evidence of today, with the versions of what is installed.

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
