"""Pictures in small multiples: can probabilities be trusted, and do they move as far as the exact answer's?

All panels of a picture are drawn into one coordinate system, each a unit square: sixty systems of axes would take
Matplotlib seconds, and the SVG hundreds of kilobytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from beliefbench.intervals import clustered_slope
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

GAP = 0.16
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

    The share right at each probability of the chosen option, by PAV, with its 95% band
    (`beliefbench.scoring.reliability.diagram`), against the diagonal; below it, where the answers lie.
    """
    stating = _stating(group, styles, WRAP * (LINES - 1))
    if not stating:
        return None
    rounds = [one["round"] for one in group[0].rounds]
    stages = np.unique(np.linspace(0, len(rounds) - 1, min(MAX_STAGES, len(rounds))).round().astype(int))
    sheet = Sheet.of(len(stages), len(stating), left=1.22, top=0.26, bottom=0.42)
    for column, stage in enumerate(stages):
        seen = f"after round {rounds[stage]}" if stage else "before round 1"
        sheet.write(column, 0, 0.5, 1.07, seen, ha="center", va="bottom", size=9)
        sheet.ticks(column, len(stating) - 1, ("0", "50%", "100%"), labels_left=column == 0)
    for place, (row, label, style) in enumerate(stating):
        sheet.write(0, place, -0.36, 0.5, "\n".join(wrap(label, WRAP)[:LINES]), ha="right", va="center", size=9)
        if place + 1 < len(stating):
            sheet.ticks(0, place, ("0", "50%", "100%"), labels_left=True, labels_below=False)
        answers = row.answers()
        found = confidence_of(answers.probs, answers.choice, answers.truth)
        assert found is not None
        for column, stage in enumerate(stages):
            sheet.frame(column, place)
            _reliable(sheet, column, place, diagram(found[0][:, stage], found[1][:, stage]), style)
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
    share, low, high = (np.interp(at, found.confidence, values) for values in (found.share, found.low, found.high))
    if len(at) == 1:
        sheet.line(column, place, np.repeat(at, 2), np.concatenate([low, high]), style.colour, 1.2)
    else:
        sheet.fill(column, place, at, low, high, style.colour, 0.22)
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
        _updates(sheet, column, place, row, style)
    sheet.below("change of the exact P(what the user wants), percentage points")
    sheet.axes.text(-0.42, sheet.low / 2 + 0.5, "change of the agent's", ha="center", va="center", rotation=90, size=9)
    return sheet.figure


def _updates(sheet: Sheet, column: int, place: int, row: Row, style: Style) -> None:
    answers = row.answers()
    probs = usable_probs(answers.probs, answers.choice)
    assert probs is not None
    ours, exact = (np.diff(of_option(kind, answers.truth), axis=1) for kind in (probs, answers.exact))
    users = len(ours)
    slope = clustered_slope(exact.reshape(users, -1), ours.reshape(users, -1))
    x, y = exact.ravel(), ours.ravel()
    some = np.random.default_rng(0).choice(len(x), min(DOTS, len(x)), replace=False)
    sheet.dots(column, place, (1 + x[some]) / 2, (1 + y[some]) / 2, style.colour)
    order = np.argsort(x, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    at = np.array([x[part].mean() for part in bins])
    ends = np.array([np.quantile(y[part], [0.1, 0.9]) for part in bins])
    sheet.fill(column, place, (1 + at) / 2, (1 + ends[:, 0]) / 2, (1 + ends[:, 1]) / 2, style.colour, 0.2)
    means = np.array([y[part].mean() for part in bins])
    sheet.line(column, place, (1 + at) / 2, (1 + means) / 2, INK, 0, "o")
    if slope is None:
        return
    across = np.array([x.min(), x.max()])
    line = np.clip(y.mean() + slope.value * (across - x.mean()), -1, 1)
    sheet.line(column, place, (1 + across) / 2, (1 + line) / 2, style.colour, 2)
    value, low, high = (number(one, 2) for one in slope)
    said = f"slope {value} ({low} to {high})"
    sheet.write(column, place, 0.5, 1.04, said, ha="center", va="bottom", size=7.5)


class Sheet(NamedTuple):
    """Panels in rows and columns, unit squares in one system of axes; the first row is at the top."""

    figure: Figure
    axes: Axes
    columns: int
    low: float
    apart: float

    @classmethod
    def of(cls, columns: int, rows: int, left: float, top: float, bottom: float, apart: float = GAP) -> Sheet:
        """Return an empty sheet with so much room around the panels, in panels."""
        low = -(rows - 1) * (1 + apart)
        across, down = left + columns * (1 + GAP), 1 + top + bottom - low
        inch = min(1.9, 9.2 / across)
        figure = Figure(figsize=(across * inch, down * inch))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(-left, across - left)
        axes.set_ylim(low - bottom, 1 + top)
        return cls(figure, axes, columns, low, apart)

    def corner(self, column: int, row: int) -> tuple[float, float]:
        """Return where a panel's lower left corner is."""
        return column * (1 + GAP), -row * (1 + self.apart)

    def frame(self, column: int, row: int) -> None:
        """Draw a panel's edge and its diagonal."""
        self.line(column, row, np.array([0, 1, 1, 0, 0]), np.array([0, 0, 1, 1, 0]), RULE, 0.8)
        self.line(column, row, np.array([0, 1]), np.array([0, 1]), SHADE, 0.9, dash=(0, (3, 2)))

    def line(
        self,
        column: int,
        row: int,
        x: np.ndarray,
        y: np.ndarray,
        colour: str,
        width: float,
        mark: str = "",
        dash: object = "-",
    ) -> None:
        """Draw a line in a panel."""
        left, low = self.corner(column, row)
        self.axes.plot(
            left + x,
            low + y,
            color=colour,
            linewidth=width,
            linestyle=dash if width else "",
            marker=mark,
            markersize=3,
            clip_on=False,
        )

    def fill(
        self, column: int, row: int, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, alpha: float
    ) -> None:
        """Fill what lies between two curves in a panel."""
        left, base = self.corner(column, row)
        across, down = np.concatenate([x, x[::-1]]), np.concatenate([low, high[::-1]])
        self.axes.fill(left + across, base + down, color=colour, alpha=alpha, linewidth=0, clip_on=False)

    def dots(self, column: int, row: int, x: np.ndarray, y: np.ndarray, colour: str) -> None:
        """Draw dots in a panel, all as one path: short strokes whose ends are round."""
        left, low = self.corner(column, row)
        points = np.repeat(np.stack([left + x, low + y], axis=1), 2, axis=0)
        points[1::2, 0] += 0.004
        path = Path(points, np.tile([Path.MOVETO, Path.LINETO], len(x)))
        path.should_simplify = False
        dots = PathPatch(path, edgecolor=colour, linewidth=1.8, capstyle="round", alpha=0.35, fill=False, clip_on=False)
        self.axes.add_patch(dots)

    def below(self, text: str) -> None:
        """Write below all panels."""
        middle = (self.columns * (1 + GAP) - GAP) / 2
        self.axes.text(middle, self.low - 0.24, text, color=INK, ha="center", va="top", size=9)

    def write(self, column: int, row: int, x: float, y: float, text: str, **how: object) -> None:
        """Write in or beside a panel."""
        left, low = self.corner(column, row)
        self.axes.text(left + x, low + y, text, color=INK, **how)  # type: ignore[arg-type]

    def ticks(
        self, column: int, row: int, labels: Sequence[str], *, labels_left: bool, labels_below: bool = True
    ) -> None:
        """Label both ends and the middle of a panel's edges."""
        for place, align, label in zip((0, 0.5, 1), ("left", "center", "right"), labels, strict=True):
            if labels_below:
                self.write(column, row, place, -0.04, label, ha=align, va="top", size=7.5)
            if labels_left:
                self.write(column, row, -0.05, place, label, ha="right", va="center", size=7.5)


def _stating(group: Sequence[Row], styles: Styles | None, width: int) -> list[tuple[Row, str, Style]]:
    """Return the rows that state probabilities, with the label, in so many columns, and the style of each."""
    known = styles_of(row.label for row in group) if styles is None else styles
    return [
        (row, label, known[row.label])
        for row, label in zip(group, legend_labels(group, width), strict=True)
        if row.fields["probabilistic"]
    ]
