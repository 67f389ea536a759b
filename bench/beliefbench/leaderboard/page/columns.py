"""The columns of the page's ranking: their cells, how they are sorted, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import getdoc
from typing import Any

from beliefbench.intervals import FEWEST
from beliefbench.leaderboard.forms.cells import duration
from beliefbench.leaderboard.forms.columns import NEAR_NOTE
from beliefbench.leaderboard.page.styles import NONE, TO, interval, number, percent
from beliefbench.leaderboard.row import Row
from beliefbench.scoring.metrics import METRICS
from beliefbench.scoring.reliability import Corp, ece_null
from beliefbench.scoring.updating import UPDATING
from beliefbench.skill.counts import MIN_USERS
from beliefbench.skill.summary import ESS, RHAT, SMALL_GAIN


@dataclass(frozen=True)
class Cell:
    """The text of a cell, smaller text below it, the number that it is sorted by, and whether it is a warning."""

    text: str
    order: float | None = None
    detail: str = ""
    warns: bool = False


@dataclass(frozen=True)
class Column:
    """A column: its head, its cell in a row, and what it means, in plain words and as the metric's docstring has it."""

    head: str
    cell: Callable[[Row], Cell]
    meaning: str
    source: str = ""
    better: str = ""
    """``"low"`` or ``"high"``: which end comes first at the first click."""


@dataclass(frozen=True)
class Section:
    """Columns under a common head; ``more``: columns that *More columns* shows."""

    head: str
    columns: list[Column]
    more: bool = False


def sections(group: list[Row]) -> list[Section]:
    """Return the columns for rows that can be compared, after rank and agent.

    Columns of the skill model are left out if it says nothing of any row.
    """
    fitted = any(row.skill is not None for row in group)
    last = group[0].final["round"]
    metrics = {name: definition(metric) for name, metric in METRICS.items()}
    updating = {name: definition(metric) for name, metric in UPDATING.items()}
    corp = definition(Corp)
    return [
        Section(
            "Accuracy after round, %",
            [
                *[
                    Column(str(one["round"]), _accuracy(stage), "", "", "high")
                    for stage, one in enumerate(group[0].rounds)
                ],
                Column(
                    "95%",
                    lambda row: _ends(row.final, "accuracy"),
                    f"95% confidence interval of the accuracy after the last round, over users. There is none with "
                    f"fewer than {FEWEST} users, {NEAR_NOTE}.",
                    "",
                    "high",
                ),
            ],
        ),
        Section(
            f"After round {last}",
            [
                Column(
                    "gap closed, %",
                    lambda row: _estimate(row.diagnostics[-1], "gap_closed", percent),
                    "Share of the gap between chance and the exact answer that the agent closes, on the same "
                    "questions. Below it: the 95% interval.",
                    updating["gap_closed"],
                    "high",
                ),
                Column(
                    "ECE, %",
                    _ece,
                    "Expected calibration error: the difference between the agent's probabilities and the share of its "
                    "right answers. Below it: the ECE that a calibrated agent with the same probabilities stays below, "
                    "95 times in 100. A larger ECE is marked.",
                    f"{metrics['ece']} ECE null: {definition(ece_null)}",
                    "low",
                ),
                Column(
                    "KL exact",
                    _final("kl_exact"),
                    "KL divergence from the exact probabilities to the agent's, in nats per answer.",
                    metrics["kl_exact"],
                    "low",
                ),
                *(_best_and_fit() if fitted else []),
            ],
        ),
        Section(
            "Probabilities",
            [
                Column("log score", _final("log_score"), "-ln P(the option that the user wants), in nats per answer.",
                       metrics["log_score"], "low"),
                Column("Brier", _final("brier"), "Squared distance between the probabilities and the truth.",
                       metrics["brier"], "low"),
                Column("miscal.", _further("miscalibration"), "Miscalibration: how much recalibration would lower the "
                       "Brier score of the chosen option.", corp, "low"),
                Column("discrim.", _further("discrimination"), "Discrimination: how much the Brier score of the chosen "
                       "option gains because the agent tells easy questions from hard ones.", corp, "high"),
            ],
            more=True,
        ),
        Section(
            "Against the exact answer",
            [
                Column("95%, new sets", lambda row: _ends(row.diagnostics[-1], "new_sets"),
                       "95% interval of the accuracy after the last round for new users "
                       "and new held-out sets: all users have the same sets.", "", "high"),
                Column("agree, %", _final("agreement", percent), "Share of answers that name an option with the "
                       "largest exact probability.", metrics["agreement"], "high"),
                Column("update slope", lambda row: _estimate(row.diagnostics[-1], "update_slope", number),
                       "The agent's change in the last round, regressed on the exact answer's change. 1 is ideal. "
                       "Below 1 the agent changes its probabilities too little, above 1 too much.",
                       updating["update_slope"], "high"),
                Column("martingale", _martingale, "The change of a probability in the last round, regressed on the "
                       "probability before it. 0 is ideal. Below 0, high probabilities fall again: the agent is "
                       "over-confident.", updating["martingale_score"], "high"),
            ],
            more=True,
        ),
        *(_skill_sections() if fitted else []),
        Section("Cost", _cost(group, metrics), more=True),
    ]  # fmt: skip


def _best_and_fit() -> list[Column]:
    return [
        Column(
            "P(best), %",
            _skill("best", percent),
            "Skill model: the probability that this agent is the best of all agents that do not see the users' true "
            "preferences.",
            "",
            "high",
        ),
        Column(
            "fit",
            _fit,
            f"Skill model: sound if every R-hat of this row is below {RHAT} and every effective sample size above "
            f"{ESS}, and there are no divergences. Runs with fewer than {MIN_USERS} users are left out of the model.",
        ),
    ]


def _skill_sections() -> list[Section]:
    return [
        Section(
            "Learning",
            [
                Column("gain after 1, points", _gain,
                       "Skill model: accuracy after the last round minus accuracy after round 1.",
                       "", "high"),
                Column("P(plateau), %", _skill("plateau", percent),
                       f"Skill model: the probability that this gain is below {100 * SMALL_GAIN:.0f} points.", "",
                       "low"),
            ],
            more=True,
        ),
        Section(
            "Diagnostics of the fit",
            [
                Column("R-hat", _skill("rhat", number),
                       "Agreement of the four chains of the sampler: the largest value over rounds. 1 is ideal.",
                       "", "low"),
                Column("ESS bulk", _skill("ess_bulk", _whole),
                       "Effective sample size of the posterior mean: the smallest over rounds.", "", "high"),
                Column("ESS tail", _skill("ess_tail", _whole),
                       "Effective sample size of the ends of the interval: the smallest over rounds.", "", "high"),
            ],
            more=True,
        ),
    ]  # fmt: skip


def definition(about: Any) -> str:
    """Return what a docstring says before its parameters and examples.

    >>> definition(METRICS["coverage"])
    'Share of sets with a usable answer. Range [0, 1], higher is better.'
    """
    doc = (getdoc(about) or "").split(">>>")[0].split("\nParameters\n")[0]
    return " ".join(doc.split()).replace("`", "")


def _cost(group: list[Row], metrics: dict[str, str]) -> list[Column]:
    found = [
        Column("usable, %", _final("coverage", percent), "Coverage: share of answers that can be used.",
               metrics["coverage"], "high"),
        Column("time", lambda row: Cell(NONE if row.seconds is None else duration(row.seconds), row.seconds),
               "Time that all answers took, in all sessions.", "", "low"),
    ]  # fmt: skip
    if any(row.tokens is not None for row in group):
        tokens = Column(
            "tokens",
            lambda row: Cell(NONE if row.tokens is None else f"{row.tokens:,}", row.tokens),
            "Tokens read and written. A server counts the whole conversation with each question. A model on this "
            "machine reads the conversation once, and only the tokens of questions and answers are counted.",
            "",
            "low",
        )
        found.insert(1, tokens)
    return found


def rank(row: Row) -> Cell:
    """Return a row's rank, with its 95% interval where the skill model has one."""
    place = row.fields["rank"]
    shown = NONE if place is None else str(place)
    if row.skill is None:
        return Cell(shown, place)
    low, high = row.skill.rank
    return Cell(shown, place, f"{low}" if low == high else f"{low}{TO}{high}")


def _ends(fields: dict[str, Any], name: str) -> Cell:
    low, high = fields[f"{name}_lo"], fields[f"{name}_hi"]
    return Cell(interval(low, high), low)


def _accuracy(stage: int) -> Callable[[Row], Cell]:
    return lambda row: Cell(percent(row.rounds[stage]["accuracy"]), row.rounds[stage]["accuracy"])


def _final(name: str, show: Callable[[float | None], str] = number) -> Callable[[Row], Cell]:
    return lambda row: Cell(show(row.final[name]), row.final[name])


def _further(name: str) -> Callable[[Row], Cell]:
    return lambda row: Cell(number(row.diagnostics[-1][name]), row.diagnostics[-1][name])


def _estimate(fields: dict[str, Any], name: str, show: Callable[..., str]) -> Cell:
    value, low, high = (fields[f"{name}{end}"] for end in ("", "_lo", "_hi"))
    digits = 1 if show is percent else 2
    return Cell(show(value, digits), value, "" if low is None else f"{show(low, digits)} to {show(high, digits)}")


def _martingale(row: Row) -> Cell:
    stages = [one for one in row.diagnostics if one["martingale_score"] is not None]
    return _estimate(stages[-1] if stages else row.diagnostics[-1], "martingale_score", number)


def _ece(row: Row) -> Cell:
    value, null = row.final["ece"], row.diagnostics[-1]["ece_null"]
    if value is None or null is None:
        return Cell(percent(value), value)
    return Cell(percent(value), value, f"null {percent(null)}", value > null)


def _gain(row: Row) -> Cell:
    """The gain without its interval, which covers too often (docs/reliability.md)."""
    gain = row.skill and row.skill.gain
    return Cell(percent(gain.value), gain.value) if gain else Cell(NONE)


def _skill(name: str, show: Callable[[float | None], str]) -> Callable[[Row], Cell]:
    def cell(row: Row) -> Cell:
        value = None if row.skill is None else getattr(row.skill, name)
        return Cell(show(value), value)

    return cell


def _whole(value: float | None) -> str:
    return number(value, 0)


def _fit(row: Row) -> Cell:
    if row.skill is None:
        return Cell("too few users", None)
    if row.skill.problems:
        return Cell("not sound", 1, "; ".join(row.skill.problems), warns=True)
    return Cell("sound", 0)
