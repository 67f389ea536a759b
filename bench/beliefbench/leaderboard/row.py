"""A row of the leaderboard: one agent on one domain, and all that is known of its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from beliefbench.publishing.reproductions import Claim
from beliefbench.publishing.several import SAME_PROBS
from beliefbench.publishing.signatures import Signer
from beliefbench.running.store import RunRecord, RunStore
from beliefbench.scoring.heldout import HeldOut, answers_of
from beliefbench.skill.counts import Counts

if TYPE_CHECKING:
    from beliefbench.skill.summary import Skill

ROW_FIELDS = (
    "domain",
    "domain_version",
    "agent",
    "users",
    "heldout",
    "seed",
    "agreement_rule",
    "probabilistic",
    "privileged",
    "rank",
    "rhat",
    "ess_bulk",
)
RUN_FIELDS = ("note", "tokens", "seconds", "intact", "reproduced", "flags", "doubt", "signed")
BELIEF_FIELDS = {
    "distance": "belief_distance",
    "accuracy": "belief_accuracy",
    "consistency": "belief_consistency",
    "coverage": "belief_coverage",
}
SKILL_FIELDS = ("skill_accuracy", "skill_lo", "skill_hi")
SKILL_RUN_FIELDS = ("rank_lo", "rank_hi", "best", "gain", "plateau", "ess_tail", "divergences", "problems")
UNMARKED = "not known to be intact"
DOUBTFUL = "doubtful: no rank"
BOUNDED = "of answers bounded"
"""In the note of a row, after a share: its server did not report the probability of every option."""
BOUNDED_NOTE = (
    "bounded: the server did not report every option's probability; an option that is missing has the largest "
    "probability that is possible."
)

Shown = TypeVar("Shown")


class Standing(IntEnum):
    """What a run may be called, by what is known of it here."""

    doubtful = -1
    """A check failed, or it is not what honest runs look like: `Row.doubt`."""
    unknown = 0
    intact = 1
    """Its files agree with each other: `Row.intact`."""
    claimed = 2
    """Intact, and a record says that somebody reproduced it; anybody can write such a record."""
    reproduced = 3
    """Intact, and such a record is signed with a key that the reader trusts."""


@dataclass(frozen=True)
class Row:
    """One agent on one domain: `ROW_FIELDS`, and `ROUND_FIELDS` after each round.

    ``agent`` in its fields is the same for all runs of an agent, and for no other agent (`leaderboard.naming`);
    ``label`` is the name of the run in its group, and no other run there has it. ``rank`` is None if it has fewer
    users than another row of its group: accuracies of different users have no order.
    ``group`` holds what two rows must share to be compared; ``population`` is how many users all of its runs draw from;
    ``note`` is the agent's own, with what else is to be known of the run; ``exact_answer`` says what the exact answer
    rests on, where that does not go without saying; ``folder`` is the run's. ``tokens`` and ``seconds`` are what all
    answers took, None if tokens are not counted; ``beliefs``: `beliefbench.scoring.beliefs.score_beliefs` where it
    states any; ``diagnostics``: `scoring.diagnostics.diagnostic_metrics`; ``counts`` is what the skill model knows of
    it, ``skill`` what it says; ``published``: whether it has evidence that fits its files; ``found_intact``: what
    `verify` found on this machine (`publishing.several.found_here`); ``claims``: the records of
    reproductions that fit it; ``signer``: who signed it;
    ``warnings``: what is to be said of it apart from the table;
    ``flags`` and ``probs``: as in `publishing.report.Report`; ``failed``: the checks of `verify` that it failed on this
    machine, a sentence each;
    ``digest``: `running.derived.run_digest` of its files, None if its rows were not read from them.
    """

    fields: dict[str, Any]
    label: str
    rounds: list[dict[str, Any]]
    group: tuple[Any, ...]
    population: int
    note: str | None
    exact_answer: str | None
    record: RunRecord
    folder: Path
    tokens: int | None
    seconds: float | None
    beliefs: list[Mapping[str, Any]] | None
    diagnostics: list[dict[str, Any]]
    counts: Counts
    published: bool
    found_intact: bool | None = None
    claims: tuple[Claim, ...] = ()
    signer: Signer | None = None
    warnings: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    probs: str | None = None
    digest: str | None = None
    skill: Skill | None = None

    @cached_property
    def memory(self) -> dict[str, Any]:
        """What was computed from its answers, by name, for whoever needs it again."""
        return {}

    @property
    def intact(self) -> bool:
        """Whether it is published, and `verify` found its files intact on this machine."""
        return self.published and self.found_intact is True

    @property
    def doubt(self) -> str:
        """Why it has no rank and counts for no mean and no other run; an empty text if it counts.

        Answers that two runs share are no doubt about the one that was reproduced by somebody trusted.
        """
        resolved = any(claim.trusted for claim in self.claims) and self.intact
        flags = [flag for flag in self.flags if not (resolved and flag.startswith(SAME_PROBS))]
        return ", ".join(
            [*(f"failed `verify` here: {one}" for one in self.failed), *(f"flagged: {flag}" for flag in flags)]
        )

    @property
    def standing(self) -> Standing:
        """What its run may be called."""
        if self.doubt:
            return Standing.doubtful
        if not self.intact:
            return Standing.unknown
        if not self.claims:
            return Standing.intact
        return Standing.reproduced if any(claim.trusted for claim in self.claims) else Standing.claimed

    @property
    def marks(self) -> list[Any]:
        """All that is said of it besides figures, as JSON values."""
        return [self.standing, self.reproduced, self.note, self.doubt, self.signed]

    @property
    def reproduced(self) -> str:
        """What the records of reproductions say, one sentence each; an empty text if the run is not intact."""
        return " ".join(claim.sentence() for claim in self.claims if self.intact)

    @property
    def signed(self) -> str | None:
        """Whose key signed it, in words; None if it is not signed."""
        return self.signer.words() if self.signer else None

    @property
    def flagged(self) -> str:
        """What is implausible in it, an empty text if nothing is."""
        return "; ".join(self.flags)

    @property
    def final(self) -> dict[str, Any]:
        """The metrics after the last round."""
        return self.rounds[-1]

    def named_beliefs(self) -> list[dict[str, Any]]:
        """Return `BELIEF_FIELDS` after each round, None if the agent states no beliefs."""
        none: dict[str, Any] = dict.fromkeys(BELIEF_FIELDS)
        rounds = [none] * len(self.rounds) if self.beliefs is None else self.beliefs
        return [{field: one[name] for name, field in BELIEF_FIELDS.items()} for one in rounds]

    def named_skill(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return `SKILL_RUN_FIELDS`, and `SKILL_FIELDS` after each round, None if the skill model has no estimate."""
        if self.skill is None:
            return dict.fromkeys(SKILL_RUN_FIELDS), [dict.fromkeys(SKILL_FIELDS) for _ in self.rounds]
        skill = self.skill
        said: dict[str, Any] = {"rank_lo": skill.rank[0], "rank_hi": skill.rank[1], "best": skill.best}
        said |= {"gain": skill.gain and skill.gain.value, "plateau": skill.plateau, "ess_tail": skill.ess_tail}
        said |= {"divergences": skill.divergences, "problems": "; ".join(skill.problems)}
        return said, [dict(zip(SKILL_FIELDS, one, strict=True)) for one in skill.accuracy]

    def answers(self) -> HeldOut:
        """Return its answers, read from its folder again."""
        return answers_of(self.record, RunStore(self.folder).rows())

    def as_json(self) -> dict[str, Any]:
        """Return the ROW of ``leaderboard --format json``."""
        said = {"intact": self.intact, "reproduced": [claim.as_json() for claim in self.claims if self.intact]}
        said |= {"flags": list(self.flags), "doubt": self.doubt or None}
        said["signed"] = self.signer and {"key": self.signer.key, "trusted_as": self.signer.name}
        return {**{name: self.fields[name] for name in ROW_FIELDS}, **said, "rounds": self.rounds}


def sound(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that count: those without `Row.doubt`."""
    return [row for row in rows if not row.doubt]


def block_of(standing: Standing) -> int:
    """Return in which block of a table a run stands: 0 intact, 1 not known to be intact, 2 doubtful."""
    return 2 if standing == Standing.doubtful else int(standing == Standing.unknown)


def blocks_of(
    rows: Sequence[Shown], standing: Callable[[Shown], Standing] = attrgetter("standing")
) -> list[tuple[str, list[Shown]]]:
    """Return rows as they are shown, in blocks with their headings: the intact ones, the others, and the doubtful ones.

    The first has no heading, unless it is doubtful.

    >>> blocks_of([0, 1, -1, 2], standing=Standing)
    [('', [1, 2]), ('not known to be intact', [0]), ('doubtful: no rank', [-1])]
    >>> blocks_of([0, 0], standing=Standing)
    [('', [0, 0])]
    """
    kinds = [[row for row in rows if block_of(standing(row)) == block] for block in range(3)]
    headings = ("", UNMARKED if kinds[0] else "", DOUBTFUL)
    return [(heading, kind) for heading, kind in zip(headings, kinds, strict=True) if kind]
