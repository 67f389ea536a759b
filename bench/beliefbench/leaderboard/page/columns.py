"""The columns of the page's ranking: what stands in them, by what they are sorted, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import getdoc
from typing import Any

from beliefbench.leaderboard.forms.cells import duration
from beliefbench.leaderboard.page.styles import NONE, TO, number, percent
from beliefbench.leaderboard.row import Row
from beliefbench.scoring.metrics import METRICS
from beliefbench.scoring.reliability import Corp, ece_null
from beliefbench.scoring.updating import UPDATING
from beliefbench.skill.counts import MIN_USERS
from beliefbench.skill.summary import ESS, PARETO_K, RHAT, SMALL_GAIN


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, smaller text below it, what it is sorted by, and whether it is a warning."""

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
    """``"low"`` or ``"high"``: which end stands first when it is first sorted."""


@dataclass(frozen=True)
class Section:
    """Columns under a common head; ``more``: those that are shown where they are asked for."""

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
                    lambda row: Cell(
                        f"{percent(row.final['accuracy_lo'])}{TO}{percent(row.final['accuracy_hi'])}",
                        row.final["accuracy_lo"],
                    ),
                    "Where the accuracy after the last round lies, were other users drawn: in 95 of 100 draws the "
                    "interval holds it. By Student's t over users, whose answers belong together.",
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
                    "How much of the way from guessing to the exact answer it has gone, on the same questions.",
                    updating["gap_closed"],
                    "high",
                ),
                Column(
                    "ECE, %",
                    _ece,
                    "How far its probabilities are from how often it is right. Below it: what a calibrated agent that "
                    "is as sure would stay below, 95 times in 100; more than that is marked.",
                    f"{metrics['ece']} The null: {definition(ece_null)}",
                    "low",
                ),
                Column(
                    "KL exact",
                    _final("kl_exact"),
                    "How far its probabilities are from the exact ones, in nats an answer.",
                    metrics["kl_exact"],
                    "low",
                ),
                *(_best_and_fit() if fitted else []),
            ],
        ),
        Section(
            "Probabilities",
            [
                Column("log score", _final("log_score"), "How surprised it is by what users want.",
                       metrics["log_score"], "low"),
                Column("Brier", _final("brier"), "Squared distance of its probabilities from what users want.",
                       metrics["brier"], "low"),
                Column("miscal.", _further("miscalibration"), "Miscalibration: what it would gain if its "
                       "probabilities were relabelled as well as can be, in no worse an order.", corp, "low"),
                Column("discrim.", _further("discrimination"), "Discrimination: how well its probabilities tell "
                       "questions that it answers right from others.", corp, "high"),
            ],
            more=True,
        ),
        Section(
            "Against the exact answer",
            [
                Column("agree, %", _final("agreement", percent), "How often it names what the exact answer names.",
                       metrics["agreement"], "high"),
                Column("update slope", lambda row: _estimate(row.diagnostics[-1], "update_slope", number),
                       "How far it moves with the last round where the exact answer moves by 1. Below 1 it learns too "
                       "little from a choice, above 1 too much.", updating["update_slope"], "high"),
                Column("martingale", _martingale, "Whether its next move can be foretold from where it stands, before "
                       "the last round: 0 where beliefs are coherent, negative where they are too sure.",
                       updating["martingale_score"], "high"),
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
            "How likely it is that no other agent here is better, by the skill model. Agents that are given the true "
            "preferences do not count.",
            "",
            "high",
        ),
        Column(
            "fit",
            _fit,
            f"Whether the skill model's fit can be trusted for this agent: every R-hat below {RHAT}, every "
            f"effective sample size above {ESS}, no divergences, every Pareto k below {PARETO_K}. "
            f"Runs of fewer than {MIN_USERS} users are left out of the model.",
        ),
    ]


def _skill_sections() -> list[Section]:
    return [
        Section(
            "Learning",
            [
                Column("gain after 1, points", _gain, "Accuracy gained from round 1 to the last, by the skill model.",
                       "", "high"),
                Column("P(plateau), %", _skill("plateau", percent),
                       f"How likely it is that it gains less than {100 * SMALL_GAIN:.0f} points after round 1: "
                       "that it stays on a plateau.", "", "low"),
            ],
            more=True,
        ),
        Section(
            "Diagnostics of the fit",
            [
                Column("R-hat", _skill("rhat", number),
                       "How well four chains of the sampler agree: the largest over rounds, 1 is ideal.", "", "low"),
                Column("ESS bulk", _skill("ess_bulk", _whole),
                       "How many independent draws the posterior mean rests on: the smallest over rounds.", "", "high"),
                Column("ESS tail", _skill("ess_tail", _whole),
                       "The same for the ends of the interval.", "", "high"),
                Column("Pareto k", _skill("pareto_k", number),
                       "Whether leaving one user out could be reckoned without fitting anew: the largest over users.",
                       "", "low"),
            ],
            more=True,
        ),
    ]  # fmt: skip


def definition(about: Any) -> str:
    """Return what a docstring says before its parameters and examples.

    >>> definition(METRICS["coverage"])
    'Share of sets that got a usable answer. Range [0, 1], higher is better.'
    """
    doc = (getdoc(about) or "").split(">>>")[0].split("\nParameters\n")[0]
    return " ".join(doc.split()).replace("`", "")


def _cost(group: list[Row], metrics: dict[str, str]) -> list[Column]:
    found = [
        Column("usable, %", _final("coverage", percent), "Coverage: how many answers could be used.",
               metrics["coverage"], "high"),
        Column("time", lambda row: Cell(NONE if row.seconds is None else duration(row.seconds), row.seconds),
               "Time spent in answers, in all sittings.", "", "low"),
    ]  # fmt: skip
    if any(row.tokens is not None for row in group):
        tokens = Column(
            "tokens",
            lambda row: Cell(NONE if row.tokens is None else f"{row.tokens:,}", row.tokens),
            "Tokens read and written; a server counts the conversation with each question, a model on this machine "
            "reads it once and does not count it.",
            "",
            "low",
        )
        found.insert(1, tokens)
    return found


def rank(row: Row) -> Cell:
    """Return a row's rank, with its 95% interval where the skill model has one."""
    place = row.fields["rank"]
    if row.skill is None:
        return Cell(str(place), place)
    low, high = row.skill.rank
    return Cell(str(place), place, f"{low}" if low == high else f"{low}{TO}{high}")


def _accuracy(stage: int) -> Callable[[Row], Cell]:
    return lambda row: Cell(percent(row.rounds[stage]["accuracy"]), row.rounds[stage]["accuracy"])


def _final(name: str, show: Callable[[float | None], str] = number) -> Callable[[Row], Cell]:
    return lambda row: Cell(show(row.final[name]), row.final[name])


def _further(name: str) -> Callable[[Row], Cell]:
    return lambda row: Cell(number(row.diagnostics[-1][name]), row.diagnostics[-1][name])


def _estimate(fields: dict[str, Any], name: str, show: Callable[..., str]) -> Cell:
    value, low, high = (fields[f"{name}{end}"] for end in ("", "_lo", "_hi"))
    digits = 1 if show is percent else 2
    return Cell(show(value, digits), value, "" if value is None else f"{show(low, digits)} to {show(high, digits)}")


def _martingale(row: Row) -> Cell:
    stages = [one for one in row.diagnostics if one["martingale_score"] is not None]
    return _estimate(stages[-1] if stages else row.diagnostics[-1], "martingale_score", number)


def _ece(row: Row) -> Cell:
    value, null = row.final["ece"], row.diagnostics[-1]["ece_null"]
    if value is None or null is None:
        return Cell(percent(value), value)
    return Cell(percent(value), value, f"null {percent(null)}", value > null)


def _gain(row: Row) -> Cell:
    if row.skill is None or row.skill.gain is None:
        return Cell(NONE)
    gain = row.skill.gain
    return Cell(percent(gain.value), gain.value, f"{percent(gain.low)} to {percent(gain.high)}")


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
