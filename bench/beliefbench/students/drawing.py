"""The picture of teaching curves: every condition has its own line and marker, so that it is readable in grey."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

TITLES = {
    "accuracy": "accuracy",
    "agreement": "agreement with the exact answer",
    "ece": "expected calibration error",
    "kl_exact": "KL(exact || student), nats",
}
STYLES = {
    "exact": ("black", (0, (1, 1)), ""),
    "posterior": ("#1b4f8a", "-", "o"),
    "bayesian": ("#c8553d", "--", "s"),
    "oracle": ("#3a7d44", "-.", "^"),
    "oracle-control": ("#7d7d7d", ":", "D"),
}


def draw(table: pd.DataFrame, file: Path) -> None:
    """Draw the result of `students.curves.by_size`: means over seeds, with a band from the lowest to the highest
    seed."""
    matplotlib.rcParams["svg.hashsalt"] = "teaching curves"  # the same picture is the same file
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True).ravel()
    for axis, (measure, title) in zip(axes, TITLES.items(), strict=True):
        for name, (colour, line, mark) in STYLES.items():
            found = table[table["condition"] == name].groupby("interactions")[measure]
            if not len(found):
                continue
            mean = found.mean()
            axis.plot(mean.index, mean, color=colour, linestyle=line, marker=mark, markersize=5, label=name)
            axis.fill_between(mean.index, found.min(), found.max(), color=colour, alpha=0.15, linewidth=0)
        axis.set_title(title, fontsize=11)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        if measure in ("accuracy", "agreement", "ece"):
            axis.yaxis.set_major_formatter(PercentFormatter(1))
    for axis in axes[2:]:
        axis.set_xlabel("interactions taught")
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes[0].legend(frameon=False)
    metadata = {"Date": None} if file.suffix == ".svg" else {}
    figure.savefig(file, dpi=150, metadata=metadata)
