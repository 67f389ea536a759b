"""Columns of the further tables of a leaderboard: how an agent updates, and what the skill model says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from beliefbench.intervals import MANY, NEAR, SKEWED, SOME
from beliefbench.leaderboard.row import Row
from beliefbench.skill.counts import MIN_USERS

NONE = "-"
NEAR_NOTE = (
    f"below {SKEWED:.0%} and above {1 - SKEWED:.0%} with fewer than {SOME}, and below {NEAR:.0%} and above "
    f"{1 - NEAR:.0%} with fewer than {MANY}"
)
"""Where there is no interval of an accuracy, after "with fewer than `FEWEST` users, "."""
FLAG = "!"


class Column(NamedTuple):
    """A header, and a row's cell under it."""

    header: str
    cell: Callable[[Row], str]


def percent(value: Any) -> str:
    """Return a share in percent.

    >>> percent(0.5), percent(-0.0001), percent(None)
    ('50.0', '0.0', '-')
    """
    return NONE if value is None else f"{round(100 * value, 1) + 0.0:.1f}"


def number(value: Any, digits: int = 3) -> str:
    """Return a number, never as -0.

    >>> number(-0.0001), number(None)
    ('0.000', '-')
    """
    return NONE if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def _of_stage(name: str, back: int = 1) -> Callable[[Row], str]:
    """Return a further metric after the last round, or ``back`` rounds from the end, with its interval."""

    def cell(row: Row) -> str:
        one = row.diagnostics[-back] if len(row.diagnostics) >= back else {}
        if one.get(name) is None:
            return NONE
        if one[f"{name}_lo"] is None:
            return number(one[name], 2)
        ends = (number(one[f"{name}{end}"], 2) for end in ("_lo", "_hi"))
        return f"{number(one[name], 2)} ({' to '.join(ends)})"

    return cell


def _calibration(name: str) -> Callable[[Row], str]:
    return lambda row: number(row.diagnostics[-1][name])


def _skill(cell: Callable[[Any], str]) -> Callable[[Row], str]:
    return lambda row: NONE if row.skill is None else cell(row.skill)


def _ends(low: float, high: float) -> str:
    return f"{low}-{high}" if low != high else f"{low}"


UPDATING = (
    Column("gap closed", _of_stage("gap_closed")),
    Column("update slope", _of_stage("update_slope")),
    Column("martingale", _of_stage("martingale_score", back=2)),
)
"""After the last round; the martingale score is of the step to it."""
CALIBRATION = (
    Column("ECE, %", lambda row: percent(row.final["ece"])),
    Column("ECE null, %", lambda row: percent(row.diagnostics[-1]["ece_null"])),
    Column("miscalibration", _calibration("miscalibration")),
    Column("discrimination", _calibration("discrimination")),
    Column("uncertainty", _calibration("uncertainty")),
)
SKILL = (
    Column("acc (95%)", _skill(lambda skill: _interval(skill.accuracy[-1]))),
    Column("rank", _skill(lambda skill: _ends(*skill.rank))),
    Column("P(best)", _skill(lambda skill: number(skill.best, 2))),
    Column("gain", _skill(lambda skill: percent(skill.gain and skill.gain.value))),
    Column("P(plateau)", _skill(lambda skill: number(skill.plateau, 2))),
    Column("R-hat", _skill(lambda skill: number(skill.rhat))),
    Column("ESS", _skill(lambda skill: f"{min(skill.ess_bulk, skill.ess_tail):.0f}")),
    Column("sound", _skill(lambda skill: f"{FLAG} {'; '.join(skill.problems)}" if skill.problems else "yes")),
)
UPDATING_NOTE = (
    "gap closed: share of the gap between chance and the exact answer that the agent closes. update slope: below 1 "
    "the agent changes its probabilities too little in the last round, above 1 too much. martingale: below 0, "
    "probabilities that were high before the last round fall in it. In brackets: 95% intervals, where there are "
    "enough users. ECE null: a calibrated agent has a smaller ECE 95 times in 100. The Brier score of the chosen "
    "option is miscalibration - discrimination + uncertainty (CORP)."
)
SKILL_NOTE = (
    "Skill model: it estimates the accuracy after the last round from all runs together. rank: 95% interval. "
    "P(best): the probability that the agent is the best of those that do not see the users' true preferences. gain: "
    "accuracy after the last round minus accuracy after the first, in points. P(plateau): the probability that the "
    "gain is below 2. sound: R-hat < 1.01, bulk and tail ESS > 400, no divergences, by ArviZ. ESS is "
    f"the smaller of the two. Runs with fewer than {MIN_USERS} users are left out."
)


def _interval(estimate: Any) -> str:
    return f"{percent(estimate.value)} ({percent(estimate.low)}-{percent(estimate.high)})"
