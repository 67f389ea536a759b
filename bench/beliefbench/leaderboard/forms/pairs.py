"""Paired comparisons as tables, for terminals and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tabulate import tabulate

from beliefbench.intervals import MANY
from beliefbench.leaderboard.comparing import POINTS, Compared, Pair
from beliefbench.leaderboard.forms.cells import title_of
from beliefbench.leaderboard.forms.columns import NONE
from beliefbench.leaderboard.forms.markdown import escaped
from beliefbench.scoring.paired import FEWEST, SHARES

NAMES = {
    "accuracy": "accuracy, %",
    "agreement": "agreement, %",
    "log_score": "log score, nats",
    "brier": "Brier",
    "kl_exact": "KL exact, nats",
}
HEADERS = ("metric", "round", "A", "B", "A - B", "95%", "p", "shows")
MEANINGS = (
    "A - B: the mean difference over the users that both were asked about, on the same held-out sets. "
    "95%: Student's interval, clustered by user; it speaks of other users and not of other held-out sets.",
    "p: of no difference, by Holm's rule over all lines of this comparison, so that the chance of any p below 0.05 "
    "without a difference is 5% at most.",
    "shows: the smallest difference that so many users show (power 80%, at 5%, one line alone).",
    "Lower is better for log score, Brier and KL exact.",
    f"{NONE}: no interval. Accuracy and agreement take {FEWEST} users. Other metrics take {MANY} users, and two agents "
    "that do not see the users' true preferences. Enough users must differ.",
)


def to_terminal(pairs: Sequence[Pair], console: Console) -> None:
    """Print pairs: accuracy after each round, and the other metrics after the last."""
    for pair in pairs:
        console.print(Text(title_of([pair.first]), style="bold"))
        console.print(Text(f"A: {pair.first.label}\nB: {pair.second.label}"))
        table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for header in HEADERS:
            table.add_column(header, justify="left" if header == "metric" else "right", no_wrap=True)
        for line in shown(pair):
            table.add_row(*map(Text, cells_of(line)))
        console.print(table)
        console.print(Text(f"{summary_of(pair)}\n"))
    for meaning in MEANINGS:
        console.print(Text(meaning, style="dim"))


def to_markdown(pairs: Sequence[Pair]) -> str:
    """Return pairs as Markdown tables."""
    parts = []
    for pair in pairs:
        lines = [[escaped(cell) for cell in cells_of(line)] for line in shown(pair)]
        names = f"first: {escaped(pair.first.label)}; second: {escaped(pair.second.label)}"
        parts += [
            f"**{escaped(title_of([pair.first]))}**",
            names,
            tabulate(lines, HEADERS, "github", disable_numparse=True),
        ]
        parts.append(summary_of(pair))
    return "\n\n".join([*parts, "\n".join(f"- {meaning}" for meaning in MEANINGS)]) + "\n"


def shown(pair: Pair) -> list[Compared]:
    """Return the lines of a table: accuracy after each round, the other metrics after the last."""
    last = pair.lines[-1].round
    return [line for line in pair.lines if line.metric == "accuracy" or line.round == last]


def summary_of(pair: Pair) -> str:
    """Return what the accuracies after the last round say, in a sentence or two."""
    last = [line for line in pair.lines if line.metric == "accuracy"][-1]
    found = last.difference
    users = f"{pair.users} user" + "s" * (pair.users != 1)
    if found.low is None or found.high is None or found.smallest is None:
        return f"{users}: too few, or too few who differ, to compare the accuracies."
    if last.adjusted is not None and last.adjusted < 0.05:
        better = pair.first.label if found.value > 0 else pair.second.label
        said = f"{better} is more accurate after the last round"
    else:
        said = "The accuracies after the last round are not shown to differ"
    needed = "" if pair.needed is None else f" {pair.needed:,} users would show {100 * POINTS:g} points."
    return f"{said}. {users} show a difference of {100 * found.smallest:.1f} points in 80% of cases.{needed}"


def cells_of(line: Compared) -> list[str]:
    """Return the cells of a line under `HEADERS`."""
    found, factor, digits = line.difference, 100 if line.metric in SHARES else 1, 1 if line.metric in SHARES else 3

    def number(value: float | None, sign: bool = False) -> str:
        return NONE if value is None else f"{factor * value:{'+' * sign}.{digits}f}"

    interval = NONE if found.low is None else f"{number(found.low, True)} to {number(found.high, True)}"
    p = NONE if line.adjusted is None else "<0.001" if line.adjusted < 0.001 else f"{line.adjusted:.3f}"
    first, second = number(line.first), number(line.second)
    return [
        NAMES[line.metric],
        str(line.round),
        first,
        second,
        number(found.value, True),
        interval,
        p,
        number(found.smallest),
    ]
