"""Pictures in small multiples: can probabilities be trusted, and do they move as far as the exact answer's?"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from beliefbench.intervals import Estimate, clustered_slope
from beliefbench.leaderboard.page.sheet import Sheet
from beliefbench.leaderboard.page.styles import (
    INK,
    MINUS,
    RULE,
    SHADE,
    Style,
    Styles,
    legend_labels,
    number,
    percent,
    styles_of,
)
from beliefbench.leaderboard.page.svg import SETTINGS
from beliefbench.leaderboard.row import Row
from beliefbench.scoring.metrics import of_option, usable_probs
from beliefbench.scoring.reliability import Diagram, confidence_of, diagram

POINTS = 40
"""A reliability curve is drawn through so many points at most."""
BARS = 20
MAX_STAGES = 6
DOTS, BINS, ACROSS = 200, 12, 5
WRAP, LINES, TITLE = 13, 4, 26
"""Columns of an agent's name beside its panels, and lines; columns of a name above a panel."""


@matplotlib.rc_context(SETTINGS)
def reliability(group: Sequence[Row], styles: Styles | None = None) -> Figure | None:
    """Draw reliability diagrams: agents below each other, rounds beside each other.

    The share right at each probability of the chosen option, by PAV
    (`beliefbench.scoring.reliability.diagram`), against the diagonal; below it, where the answers lie.
    """
    stating = _stating(group, styles, WRAP * (LINES - 1))
    if not stating:
        return None
    rounds = [one["round"] for one in group[0].rounds]
    stages = _shown_stages(len(rounds))
    sheet = Sheet.of(len(stages), len(stating), left=1.22, top=0.26, bottom=0.42)
    for column, stage in enumerate(stages):
        seen = f"after round {rounds[stage]}" if stage else "before round 1"
        sheet.write(column, 0, 0.5, 1.07, seen, ha="center", va="bottom", size=9)
        sheet.ticks(column, len(stating) - 1, ("0", "50%", "100%"), labels_left=column == 0)
    for place, (row, label, style) in enumerate(stating):
        sheet.write(0, place, -0.36, 0.5, "\n".join(wrap(label, WRAP)[:LINES]), ha="right", va="center", size=9)
        if place + 1 < len(stating):
            sheet.ticks(0, place, ("0", "50%", "100%"), labels_left=True, labels_below=False)
        for column, (stage, found) in enumerate(zip(stages, _shown_of(row).diagrams, strict=True)):
            sheet.frame(column, place)
            _reliable(sheet, column, place, found, style)
            ece, null = row.rounds[stage]["ece"], row.diagnostics[stage]["ece_null"]
            above = "" if null is None else f" {'>' if ece > null else '≤'} {percent(null)}"
            sheet.write(column, place, 0.05, 0.95, f"ECE {percent(ece)}{above}", va="top", size=7.5)
    sheet.write(0, 0, -0.05, 1.07, "share right", ha="right", va="bottom", size=8.5)
    sheet.below("stated probability of the chosen option")
    return sheet.figure


def _reliable(sheet: Sheet, column: int, place: int, found: Diagram, style: Style) -> None:
    mass, edges = np.histogram(found.confidence, bins=BARS, range=(0, 1), weights=found.answers)
    heights = 0.2 * mass / mass.max()
    some = np.flatnonzero(mass)
    shown = slice(some[0], some[-1] + 1)
    at, top = np.repeat(edges[some[0] : some[-1] + 2], 2)[1:-1], np.repeat(heights[shown], 2)
    sheet.fill(column, place, at, np.zeros(len(at)), top, SHADE, 0.45)
    at = found.confidence
    if len(at) > POINTS:
        at = np.linspace(at[0], at[-1], POINTS)
    share = np.interp(at, found.confidence, found.share)
    sheet.line(column, place, at, share, style.colour, 1.8, "o" if len(at) < 4 else "")


@matplotlib.rc_context(SETTINGS)
def update_scatter(group: Sequence[Row], styles: Styles | None = None) -> Figure | None:
    """Draw the agent's changes of P(what the user wants) from round to round against the exact answer's.

    For each agent some answers as dots, means in bins of as many answers each, the middle 80% shaded, and the
    least-squares line over all rounds, whose slope is `beliefbench.scoring.updating.update_slope` for all rounds at
    once.
    """
    stating = _stating(group, styles, TITLE) if len(group[0].rounds) > 1 else []
    if not stating:
        return None
    columns = min(ACROSS, len(stating))
    rows = -(-len(stating) // columns)
    sheet = Sheet.of(columns, rows, left=0.55, top=0.34, bottom=0.42, apart=0.46)
    for panel, (row, label, style) in enumerate(stating):
        column, place = panel % columns, panel // columns
        sheet.frame(column, place)
        for ends in (((0, 1), (0.5, 0.5)), ((0.5, 0.5), (0, 1))):
            sheet.line(column, place, np.array(ends[0]), np.array(ends[1]), RULE, 0.7)
        last = panel + columns >= len(stating)
        sheet.ticks(column, place, (f"{MINUS}100", "0", "+100"), labels_left=column == 0, labels_below=last)
        sheet.write(column, place, 0.5, 1.17, label, ha="center", va="bottom", size=8.5)
        updates = _shown_of(row).updates
        assert updates is not None
        _updating(sheet, column, place, updates, style)
    sheet.below("change of the exact P(what the user wants), percentage points")
    sheet.axes.text(-0.42, sheet.low / 2 + 0.5, "change of the agent's", ha="center", va="center", rotation=90, size=9)
    return sheet.figure


def _updating(sheet: Sheet, column: int, place: int, found: _Updates, style: Style) -> None:
    sheet.dots(column, place, (1 + found.some[0]) / 2, (1 + found.some[1]) / 2, style.colour)
    at = (1 + found.at) / 2
    sheet.fill(column, place, at, (1 + found.low) / 2, (1 + found.high) / 2, style.colour, 0.2)
    sheet.line(column, place, at, (1 + found.means) / 2, INK, 0, "o")
    if found.slope is None:
        return
    line = np.clip(found.mean[1] + found.slope.value * (found.ends - found.mean[0]), -1, 1)
    sheet.line(column, place, (1 + found.ends) / 2, (1 + line) / 2, style.colour, 2)
    value, low, high = (number(one, 2) for one in found.slope)
    said = f"slope {value}" if found.slope.low is None else f"slope {value} ({low} to {high})"
    sheet.write(column, place, 0.5, 1.04, said, ha="center", va="bottom", size=7.5)


class _Updates(NamedTuple):
    """Changes of P(what the user wants), of the exact answer (x) and the agent (y).

    some: x and y of some answers; at, means, low, high: in bins of as many answers, the means of x and of y, and the
    middle 80% of y; mean: of x and of y; ends: the least and the largest x; slope: of the least-squares line.
    """

    some: tuple[np.ndarray, np.ndarray]
    at: np.ndarray
    means: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mean: tuple[float, float]
    ends: np.ndarray
    slope: Estimate | None

    @classmethod
    def of(cls, exact: np.ndarray, ours: np.ndarray) -> _Updates:
        """Measure changes, float[users, rounds, sets]."""
        users = len(ours)
        x, y = exact.ravel(), ours.ravel()
        some = np.random.default_rng(0).choice(len(x), min(DOTS, len(x)), replace=False)
        order = np.argsort(x, kind="stable")
        bins = [part for part in np.array_split(order, BINS) if len(part)]
        quantiles = np.array([np.quantile(y[part], [0.1, 0.9]) for part in bins])
        return cls(
            (x[some], y[some]),
            np.array([x[part].mean() for part in bins]),
            np.array([y[part].mean() for part in bins]),
            quantiles[:, 0],
            quantiles[:, 1],
            (x.mean(), y.mean()),
            np.array([x.min(), x.max()]),
            clustered_slope(exact.reshape(users, -1), ours.reshape(users, -1)),
        )


class _Shown(NamedTuple):
    """What the panels of a run show: a reliability diagram for each of `_shown_stages`, and its updates, if there are
    any."""

    diagrams: list[Diagram]
    updates: _Updates | None


def _shown_of(row: Row) -> _Shown:
    """Return what the panels of a row show. Its answers are read once, and not held: they may be many."""
    if "panels" not in row.memory:
        answers = row.answers()
        probs = usable_probs(answers.probs, answers.choice)
        found = confidence_of(answers.probs, answers.choice, answers.truth)
        assert probs is not None
        assert found is not None
        confidence, right = found
        stages = _shown_stages(answers.choice.shape[1])
        diagrams = [diagram(confidence[:, stage], right[:, stage]) for stage in stages]
        exact, ours = (np.diff(of_option(kind, answers.truth), axis=1) for kind in (answers.exact, probs))
        row.memory["panels"] = _Shown(diagrams, _Updates.of(exact, ours) if ours.size else None)
    shown: _Shown = row.memory["panels"]
    return shown


def _shown_stages(stages: int) -> np.ndarray:
    return np.unique(np.linspace(0, stages - 1, min(MAX_STAGES, stages)).round().astype(int))


def _stating(group: Sequence[Row], styles: Styles | None, width: int) -> list[tuple[Row, str, Style]]:
    """Return the rows that state probabilities, with the label, in so many columns, and the style of each."""
    known = styles_of(row.label for row in group) if styles is None else styles
    return [
        (row, label, known[row.label])
        for row, label in zip(group, legend_labels(group, width), strict=True)
        if row.fields["probabilistic"]
    ]
