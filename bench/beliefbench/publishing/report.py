"""The report on a run: its findings, and the two words that follow from them, *intact* and *reproduced*."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from beliefbench.checking.results import CheckResult, run_check
from beliefbench.errors import cut, printable
from beliefbench.publishing.reproductions import Claim
from beliefbench.publishing.signatures import Signer

Made = TypeVar("Made")
LONGEST = 160
"""Characters of what a table says of a failed check."""
ASKED_AGAIN = "agent"
"""The check that asks the agent again."""
INTACT = "intact: its files, metrics and seed agree with each other. Anybody can make such files with any answers."


def failure(check: str, detail: str) -> str:
    """Return what a table shows of a failed check."""
    return printable(cut(f"{check}: {detail}", LONGEST))


@dataclass
class Report:
    """The report on the run in a folder.

    ``left_out``: checks that were not possible, a sentence each; these are no failures. ``claims``: the records beside
    the run that say that somebody asked its agent again.
    ``signer``: who signed its evidence.
    """

    folder: Path
    findings: list[CheckResult] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    key: str | None = None
    domain: str | None = None
    """The name of the domain that its contents were recomputed with; None if they were not."""
    agent: str | None = None
    """The SPEC of its agent."""
    files: Mapping[str, str] | None = None
    """The SHA-256 of each file of the run, as its evidence has them; None if it is not published."""
    flags: list[str] = field(default_factory=list)
    """What honest runs do not look like (`publishing.plausibility`); these are no failures."""
    probs: str | None = None
    """`plausibility.digest_of_probs`."""
    signer: Signer | None = None
    claims: list[Claim] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """True if no check failed."""
        return all(result.passed for result in self.findings)

    @property
    def intact(self) -> bool:
        """True if the run is published, everything that follows from its seed was recomputed, and no check failed."""
        return self.passed and self.files is not None and self.domain is not None

    @property
    def asked_again(self) -> CheckResult | None:
        """The finding that the agent, asked again here, gave the same answers; None if it was not asked, or did not."""
        return next((one for one in self.findings if one.check == ASKED_AGAIN and one.passed), None)

    def lines(self) -> list[str]:
        """Return the report, a line a finding; below them what the run may be called."""
        lines = [str(self.folder)]
        lines += [f"  {result.line()}" for result in self.findings]
        lines += [f"  --    {one}" for one in self.left_out]
        lines += [f"  flag  {one}." for one in self.flags]
        if self.intact:
            lines.append(f"  {INTACT}")
            if again := self.asked_again:
                lines.append(f"  reproduced: here and now, {again.detail} This shows nothing of times and machines.")
            lines += [f"  {claim.sentence()}" for claim in self.claims]
            lines.append(f"  signed with {self.signer.words()}." if self.signer else "  not signed.")
        return [printable(line) for line in lines]  # a line break in a name would begin a line of its own

    def found(self) -> dict[str, Any]:
        """Return what a table shows of the report, as JSON values."""
        failed = [failure(one.check, one.detail) for one in self.findings if not one.passed]
        return {"intact": self.intact, "failed": failed, "flags": self.flags, "probs": self.probs}

    def holds(self, check: str, attempt: Callable[[], str | tuple[str, Mapping[str, float]]]) -> bool:
        """Run a check, record its finding, and return True if it passed."""
        self.findings.append(run_check(check, attempt))
        return self.findings[-1].passed

    def holds_if_possible(self, check: str, attempt: Callable[[], str], impossible: type[Exception]) -> None:
        """Run a check, and record its finding; or that it is not possible, if it raises ``impossible``."""
        why: list[str] = []

        def tried() -> str:
            try:
                return attempt()
            except impossible as error:
                why.append(str(error))
                return ""

        result = run_check(check, tried)
        if why:
            self.left_out += why
        else:
            self.findings.append(result)

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
