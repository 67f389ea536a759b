"""A sheet of panels in one coordinate system: sixty systems of axes would take Matplotlib seconds, and the SVG hundreds
of kilobytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from beliefbench.leaderboard.page.styles import INK, RULE, SHADE

GAP = 0.16


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
