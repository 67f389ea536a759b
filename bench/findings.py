"""What checks found: one plain sentence each, with the figures behind it, and the record that they are kept in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from bench.errors import BeliefBenchError
from bench.provenance import installed_versions, now


@dataclass(frozen=True)
class Finding:
    """What one check found, in a plain sentence, with the figures behind it where there are any.

    >>> Finding("identity", True, "identity() is canonical JSON.").line()
    'ok    identity: identity() is canonical JSON.'
    """

    check: str
    passed: bool
    detail: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def line(self) -> str:
        """Return the finding as one line of a report."""
        return f"{'ok  ' if self.passed else 'FAIL'}  {self.check}: {self.detail}"


class BrokenError(Exception):
    """Raised inside a check with the sentence that says what is broken, and the figures behind it."""

    def __init__(self, detail: str, numbers: Mapping[str, float] | None = None) -> None:
        super().__init__(detail)
        self.numbers = numbers or {}


def in_short(error: BaseException) -> str:
    """Return what was raised in one line without a full stop, however much it says.

    >>> in_short(ValueError("no weights.\\nLook for them."))
    'ValueError: no weights'
    """
    return f"{type(error).__name__}: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, without a full stop.

    >>> first_line(ValueError("no weights.\\nLook for them."))
    'no weights'
    """
    return (str(error).strip() or "no message").splitlines()[0].rstrip(".")


def find(check: str, attempt: Callable[[], str | tuple[str, Mapping[str, float]]]) -> Finding:
    """Return the finding of a check: ``attempt`` returns what holds, and raises where it does not.

    >>> find("division", lambda: str(1 / 0)).detail
    'raised ZeroDivisionError: division by zero.'
    """
    try:
        held = attempt()
    except BrokenError as broken:
        return Finding(check, False, str(broken), broken.numbers)
    except BeliefBenchError as error:
        return Finding(check, False, str(error))
    except Exception as error:  # a stranger's plugin may raise anything, and every other check is still to be heard
        return Finding(check, False, f"raised {in_short(error)}.")
    return Finding(check, True, held) if isinstance(held, str) else Finding(check, True, *held)


class Evidence(BaseModel, frozen=True):
    """What was checked, of what, and what was found: a record that lies beside the results it vouches for."""

    schema_version: int = 1
    kind: Literal["domain", "agent"]
    identity: dict[str, Any]
    findings: tuple[Finding, ...]
    left_out: tuple[str, ...] = ()
    """What could not be checked and why, a sentence each; no failure."""
    seeds: dict[str, int] = {}
    versions: dict[str, str]
    date: str
    """ISO 8601, UTC."""

    @property
    def passed(self) -> bool:
        """True where nothing that was checked failed."""
        return all(finding.passed for finding in self.findings)


def evidence(
    kind: Literal["domain", "agent"],
    identity: Mapping[str, Any],
    findings: list[Finding],
    *,
    left_out: tuple[str, ...] = (),
    seeds: Mapping[str, int] | None = None,
) -> Evidence:
    """Return findings as evidence of today, with the versions of what is installed.

    >>> evidence("agent", {"name": "random"}, [Finding("identity", True, "identity() is canonical JSON.")]).passed
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
