"""Pictures in small multiples: can probabilities be trusted, and do they move as far as the exact answer's?

All panels of a picture are drawn into one coordinate system, each a unit square: sixty systems of axes would take
Matplotlib seconds, and the SVG hundreds of kilobytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from bench.intervals import clustered_slope
from bench.metrics import usable_probs
from bench.page.styles import INK, RULE, SHADE, Style, Styles, labels_of, marked, percent, styles_of
from bench.reliability import Diagram, confidence_of, diagram
from bench.standings import Row

GAP = 0.16
POINTS = 40
"""A reliability curve is drawn through so many points at most."""
BARS = 20
MOST_STAGES = 6
DOTS, BINS, ACROSS = 200, 12, 5


def reliability(group: Sequence[Row], styles: Styles | None = None) -> Figure | None:
    """Draw reliability diagrams: agents below each other, rounds beside each other.

    The share right at each probability of the chosen option, by PAV, with its 95% band (`bench.reliability.diagram`),
    against the diagonal; below it, where the answers lie.
    """
    stating = _stating(group, styles)
    if not stating:
        return None
    rounds = [one["round"] for one in group[0].rounds]
    stages = np.unique(np.linspace(0, len(rounds) - 1, min(MOST_STAGES, len(rounds))).round().astype(int))
    sheet = Sheet.of(len(stages), len(stating), left=1.0, top=0.24, bottom=0.42)
    for column, stage in enumerate(stages):
        seen = "before round 1" if stage == 0 else f"after round {rounds[stage]}"
        sheet.write(column, 0, 0.5, 1.07, seen, ha="center", va="bottom", size=9)
        sheet.ticks(column, len(stating) - 1, ("0", "50%", "100%"), labels_left=column == 0)
    for place, (row, label, style) in enumerate(stating):
        sheet.write(0, place, -0.5, 0.5, "\n".join(wrap(label, 14)[:4]), ha="right", va="center", size=9)
        if place + 1 < len(stating):
            sheet.ticks(0, place, ("0", "50%", "100%"), labels_left=True, labels_below=False)
        answers = row.answers()
        found = confidence_of(answers.probs, answers.choice, answers.truth)
        assert found is not None
        for column, stage in enumerate(stages):
            sheet.frame(column, place)
            _reliable(sheet, column, place, diagram(found[0][:, stage], found[1][:, stage]), style)
            ece, null = row.rounds[stage]["ece"], row.further[stage]["ece_null"]
            above = "" if null is None else f" {'>' if ece > null else '≤'} {percent(null)}"
            sheet.write(column, place, 0.05, 0.95, f"ECE {percent(ece)}{above}", va="top", size=7.5)
    middle = sheet.columns * (1 + GAP) / 2
    sheet.axes.text(middle, sheet.low - 0.3, "stated probability of the chosen option", ha="center", va="top", size=9)
    sheet.axes.text(-0.36, sheet.low / 2 + 0.5, "share right", ha="center", va="center", rotation=90, size=9)
    return sheet.figure


def _reliable(sheet: Sheet, column: int, place: int, found: Diagram, style: Style) -> None:
    mass, edges = np.histogram(found.confidence, bins=BARS, range=(0, 1), weights=found.answers)
    heights = 0.2 * mass / mass.max()
    steps = np.stack([np.repeat(edges, 2)[1:-1], np.repeat(heights, 2)], axis=1)
    sheet.fill(column, place, steps[:, 0], np.zeros(len(steps)), steps[:, 1], SHADE, 0.45)
    at = found.confidence
    if len(at) > POINTS:
        at = np.linspace(at[0], at[-1], POINTS)
    share, low, high = (np.interp(at, found.confidence, values) for values in (found.share, found.low, found.high))
    if len(at) == 1:
        sheet.line(column, place, np.repeat(at, 2), np.concatenate([low, high]), style.colour, 1.2)
    else:
        sheet.fill(column, place, at, low, high, style.colour, 0.22)
    sheet.line(column, place, at, share, style.colour, 1.8, "o" if len(at) < 4 else "")


def update_scatter(group: Sequence[Row], styles: Styles | None = None) -> Figure | None:
    """Draw the agent's changes of P(what the user wants) from round to round against the exact answer's.

    For each agent some answers as dots, means in bins of as many answers each, the middle 80% shaded, and the
    least-squares line over all rounds, whose slope is `bench.updating.update_slope` for all rounds at once.
    """
    stating = _stating(group, styles) if len(group[0].rounds) > 1 else []
    if not stating:
        return None
    columns = min(ACROSS, len(stating))
    rows = -(-len(stating) // columns)
    sheet = Sheet.of(columns, rows, left=0.55, top=0.2, bottom=0.42, apart=0.36)
    for number, (row, label, style) in enumerate(stating):
        column, place = number % columns, number // columns
        sheet.frame(column, place)
        for ends in (((0, 1), (0.5, 0.5)), ((0.5, 0.5), (0, 1))):
            sheet.line(column, place, np.array(ends[0]), np.array(ends[1]), RULE, 0.7)
        last = number + columns >= len(stating)
        sheet.ticks(column, place, ("−100", "0", "+100"), labels_left=column == 0, labels_below=last)  # noqa: RUF001
        sheet.write(column, place, 0.5, 1.05, label if len(label) < 26 else f"{label[:25]}…", ha="center", va="bottom",
                    size=8.5)  # fmt: skip
        _updates(sheet, column, place, row, style)
    middle = sheet.columns * (1 + GAP) / 2 - GAP / 2
    sheet.axes.text(middle, sheet.low - 0.26, "change of the exact P(what the user wants), points", ha="center",
                    va="top", size=9)  # fmt: skip
    sheet.axes.text(-0.42, sheet.low / 2 + 0.5, "change of the agent's", ha="center", va="center", rotation=90, size=9)
    return sheet.figure


def _updates(sheet: Sheet, column: int, place: int, row: Row, style: Style) -> None:
    answers = row.answers()
    probs = usable_probs(answers.probs, answers.choice)
    assert probs is not None
    ours, exact = (
        np.diff(np.take_along_axis(kind, answers.truth[..., None], axis=-1)[..., 0], axis=1)
        for kind in (probs, answers.exact)
    )
    users = len(ours)
    slope = clustered_slope(exact.reshape(users, -1), ours.reshape(users, -1))
    x, y = exact.ravel(), ours.ravel()
    some = np.random.default_rng(0).choice(len(x), min(DOTS, len(x)), replace=False)
    sheet.dots(column, place, (1 + x[some]) / 2, (1 + y[some]) / 2, style.colour)
    order = np.argsort(x, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    at = np.array([x[part].mean() for part in bins])
    low, high = np.array([np.quantile(y[part], [0.1, 0.9]) for part in bins]).T
    sheet.fill(column, place, (1 + at) / 2, (1 + low) / 2, (1 + high) / 2, style.colour, 0.2)
    means = np.array([y[part].mean() for part in bins])
    sheet.line(column, place, (1 + at) / 2, (1 + means) / 2, INK, 0, "o")
    if slope is None:
        return
    ends = np.array([x.min(), x.max()])
    line = np.clip(y.mean() + slope.value * (ends - x.mean()), -1, 1)
    sheet.line(column, place, (1 + ends) / 2, (1 + line) / 2, style.colour, 2)
    said = f"slope {slope.value:.2f} ({slope.low:.2f} to {slope.high:.2f})"
    sheet.write(column, place, 0.04, 0.96, said, va="top", size=7.5)


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
        self.axes.plot(left + x, low + y, color=colour, linewidth=width, marker=mark, markersize=3, linestyle=dash)

    def fill(
        self, column: int, row: int, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, alpha: float
    ) -> None:
        """Fill what lies between two curves in a panel."""
        left, base = self.corner(column, row)
        self.axes.fill_between(left + x, base + low, base + high, color=colour, alpha=alpha, linewidth=0)

    def dots(self, column: int, row: int, x: np.ndarray, y: np.ndarray, colour: str) -> None:
        """Draw dots in a panel, all as one path: strokes without length, whose ends are round."""
        left, low = self.corner(column, row)
        points = np.repeat(np.stack([left + x, low + y], axis=1), 2, axis=0)
        path = Path(points, np.tile([Path.MOVETO, Path.LINETO], len(x)))
        path.should_simplify = False
        self.axes.add_patch(PathPatch(path, edgecolor=colour, linewidth=2, capstyle="round", alpha=0.3, fill=False))

    def write(self, column: int, row: int, x: float, y: float, text: str, **how: object) -> None:
        """Write in or beside a panel."""
        left, low = self.corner(column, row)
        self.axes.text(left + x, low + y, text, color=INK, **how)  # type: ignore[arg-type]

    def ticks(
        self, column: int, row: int, labels: Sequence[str], *, labels_left: bool, labels_below: bool = True
    ) -> None:
        """Label both ends and the middle of a panel's edges."""
        for place, label in zip((0, 0.5, 1), labels, strict=True):
            if labels_below:
                self.write(column, row, place, -0.04, label, ha="center", va="top", size=7.5)
            if labels_left:
                self.write(column, row, -0.05, place, label, ha="right", va="center", size=7.5)


def _stating(group: Sequence[Row], styles: Styles | None) -> list[tuple[Row, str, Style]]:
    """Return the rows that state probabilities, with the label and the style of each."""
    labels = labels_of(group)
    known = styles_of(labels) if styles is None else styles
    return [
        (row, marked(row, label), known[label])
        for row, label in zip(group, labels, strict=True)
        if row.fields["probabilistic"]
    ]
