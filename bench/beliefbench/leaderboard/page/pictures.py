"""The leaderboard's pictures, one set for rows that can be compared: PNG and SVG, readable in grey.

`learning_curves` and `agreement_and_kl` are here; the small multiples, `reliability` and `update_scatter`, are in
`beliefbench.leaderboard.page.panels`. All take the rows of a group, and give a Matplotlib figure; None if there is
nothing to draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, PercentFormatter

from beliefbench.domain import OPTIONS
from beliefbench.folders import write_atomically
from beliefbench.leaderboard.naming import group_names, slugs_of
from beliefbench.leaderboard.page.panels import reliability, update_scatter
from beliefbench.leaderboard.page.styles import INK, RULE, SHADE, Style, Styles, legend_labels, styles_of
from beliefbench.leaderboard.page.svg import SETTINGS, as_png, as_svg
from beliefbench.leaderboard.ranking import Leaderboard
from beliefbench.leaderboard.row import Row, sound

KL_TICKS = (0, 0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 8, 13)
NAME_WIDTH = 26


@matplotlib.rc_context(SETTINGS)
def learning_curves(group: Sequence[Row], styles: Styles | None = None) -> Figure:
    """Draw accuracy after each round with its 95% interval, beside that of the exact answer on the same questions."""
    figure = Figure(figsize=(9.2, 4.9), layout="constrained")
    axes = figure.subplots()
    rounds = [one["round"] for one in group[0].rounds]
    exact = exact_curve(group)
    axes.plot(rounds, exact, color=INK, linewidth=5, alpha=0.2, solid_capstyle="round", label="exact answer", zorder=1)
    axes.axhline(1 / OPTIONS, color=SHADE, linewidth=1.2, linestyle=(0, (2, 3)), label="chance", zorder=1)
    shifts = np.linspace(-0.09, 0.09, len(group)) if len(group) > 1 else np.zeros(1)
    for row, label, style, shift in _styled(group, styles, shifts):
        at = np.array(rounds) + shift
        some = [place for place, one in enumerate(row.rounds) if one["accuracy_lo"] is not None]
        axes.vlines(
            at[some],
            [row.rounds[place]["accuracy_lo"] for place in some],
            [row.rounds[place]["accuracy_hi"] for place in some],
            color=style.colour,
            linewidth=1.2,
            alpha=0.7,
            zorder=2,
        )
        _line(axes, at, [one["accuracy"] for one in row.rounds], style, label)
    top = max(one["accuracy_hi"] or one["accuracy"] for row in group for one in row.rounds)
    axes.set_ylim(0, min(1.02, max(top, max(exact)) + 0.04))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylabel("accuracy")
    _finish(axes)
    _legend(figure, axes)
    return figure


def exact_curve(group: Sequence[Row]) -> list[float]:
    """Return the exact answer's accuracy after each round, on the questions of the run that asked the most users."""
    counts = max(group, key=lambda row: row.fields["users"]).counts
    return [float(value) for value in (counts.exact / counts.heldout).mean(axis=0)]


@matplotlib.rc_context(SETTINGS)
def agreement_and_kl(group: Sequence[Row], styles: Styles | None = None) -> Figure:
    """Draw the share of answers that are the exact answer's, and the distance to its probabilities, by round."""
    stating = any(row.fields["probabilistic"] for row in group)
    figure = Figure(figsize=(9.2, 3.9), layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(1, 1 + stating)))
    for row, label, style, _ in _styled(group, styles, np.zeros(len(group))):
        at = [one["round"] for one in row.rounds]
        _line(axes[0], at, [one["agreement"] for one in row.rounds], style, label)
        if row.fields["probabilistic"]:
            _line(axes[1], at, [one["kl_exact"] for one in row.rounds], style, label)
    axes[0].set_ylim(0, 1.03)
    axes[0].yaxis.set_major_formatter(PercentFormatter(1))
    axes[0].set_title("agreement with the exact answer", fontsize=10)
    if stating:
        # Most of what matters is near 0, which a linear scale would hide and a logarithmic one cannot show.
        axes[1].set_yscale("function", functions=(lambda value: np.sqrt(np.maximum(value, 0)), np.square))
        highest = max(one["kl_exact"] for row in group for one in row.rounds if one["kl_exact"] is not None)
        axes[1].yaxis.set_major_locator(FixedLocator(_kl_ticks(max(highest, 0.05))))
        axes[1].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes[1].set_ylim(0, max(highest, 0.05) * 1.1)
        axes[1].set_title("KL(exact || agent), nats (root scale)", fontsize=10)
    for one in axes:
        _finish(one)
    _legend(figure, axes[0])
    return figure


PICTURES: dict[str, Callable[[Sequence[Row], Styles | None], Figure | None]] = {
    "learning-curves": learning_curves,
    "reliability": reliability,
    "agreement-and-kl": agreement_and_kl,
    "updates": update_scatter,
}


def draw_all(board: Leaderboard, folder: str | Path) -> list[Path]:
    """Write all pictures of all groups to a folder, ``<domain>.<picture>.svg`` and ``.png``; return the files.

    Doubtful runs (`Row.doubt`) are left out.
    Where a domain has several groups, what differs stands after its name: ``<domain>-seed-1.<picture>.svg``.

    Raises `OSError` where the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    groups, files = board.groups(), []
    styles = styles_of(row.label for group in groups for row in group)
    for group, slug in zip(groups, slugs_of(group_names(groups)), strict=True):
        for name, draw in PICTURES.items():
            figure = draw(rows, styles) if (rows := sound(group)) else None
            if figure is None:
                continue
            for kind, written in (("svg", as_svg), ("png", as_png)):
                files.append(folder / f"{slug}.{name}.{kind}")
                write_atomically(files[-1], written(figure))
    return files


def _kl_ticks(highest: float) -> list[float]:
    """Return the ticks up to a number that do not touch on a root scale.

    >>> _kl_ticks(3.0)
    [0, 0.05, 0.2, 0.5, 1, 2, 3]
    """
    chosen: list[float] = [0]
    for tick in KL_TICKS:
        if tick <= highest and np.sqrt(tick) - np.sqrt(chosen[-1]) > 0.07 * np.sqrt(highest):
            chosen.append(tick)
    return chosen


def _styled(group: Sequence[Row], styles: Styles | None, shifts: np.ndarray) -> list[tuple[Row, str, Style, float]]:
    """Return rows with the label, the style and the shift of each."""
    known = styles_of(row.label for row in group) if styles is None else styles
    return [
        (row, label, known[row.label], float(shift))
        for row, label, shift in zip(group, legend_labels(group, NAME_WIDTH), shifts, strict=True)
    ]


def _line(axes: Axes, at: Sequence[float] | np.ndarray, values: Sequence[float], style: Style, label: str) -> None:
    axes.plot(
        at,
        values,
        color=style.colour,
        linestyle=style.dash,
        marker=style.mark,
        markersize=5.5,
        linewidth=1.6,
        label=label.replace("_", " _", 1) if label.startswith("_") else label,  # a legend leaves out what begins so
        clip_on=False,
        zorder=3,
    )


def _finish(axes: Axes) -> None:
    axes.set_xlabel("rounds seen")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SHADE)
    axes.tick_params(color=SHADE)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9, handlelength=3.6)
