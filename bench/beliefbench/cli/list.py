"""``beliefbench list``: what is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from inspect import getdoc
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from beliefbench.cli.console import report_errors
from beliefbench.cli.options import Plugins, add_plugins
from beliefbench.errors import BeliefBenchError, printable

Rows = list[tuple[str, ...]]

COLUMNS = {
    "acc": ("accuracy",),
    "95%": ("accuracy_lo", "accuracy_hi"),
    "ECE": ("ece",),
    "agree": ("agreement",),
    "log score": ("log_score",),
    "KL exact": ("kl_exact",),
    "Brier": ("brier",),
    "coverage": ("coverage",),
    "tokens": ("tokens",),
    "time": ("seconds",),
    "gap closed": ("gap_closed",),
    "update slope": ("update_slope",),
    "martingale": ("martingale_score",),
    "ECE null": ("ece_null",),
    "miscalibration": ("miscalibration",),
    "discrimination": ("discrimination",),
    "uncertainty": ("uncertainty",),
    "95%, new sets": ("new_sets_lo", "new_sets_hi"),
    "acc (95%)": ("skill_accuracy", "skill_lo", "skill_hi"),
    "rank": ("rank_lo", "rank_hi"),
    "P(best)": ("best",),
    "gain": ("gain",),
    "P(plateau)": ("plateau",),
    "sound": ("problems",),
}
"""The fields of each column in JSON, CSV and Python, as docs/metrics.md has them."""
CORP = "A part of the Brier score of the chosen option (CORP):"
MEANINGS = {
    "95%": "Confidence interval of the accuracy, clustered by user.",
    "95%, new sets": "Confidence interval of the accuracy for new users and new held-out sets.",
    "tokens": "Tokens read and written for all answers of a language model.",
    "time": "Time that all answers took, in seconds in the field.",
    "miscalibration": f"{CORP} what recalibration would gain. Range [0, 1], 0 is ideal.",
    "discrimination": f"{CORP} what telling easy from hard questions gains. Range [0, 1/4], higher is better.",
    "uncertainty": f"{CORP} the Brier score of the mean accuracy alone. Range [0, 1/4].",
    "acc (95%)": "Skill model: accuracy after the last round, estimated from all runs together.",
    "rank": "Skill model: the 95% interval of the rank.",
    "P(best)": "Skill model: the probability that the agent is the best of those that do not see the true preferences.",
    "gain": "Skill model: accuracy after the last round minus accuracy after the first.",
    "P(plateau)": "Skill model: the probability that the gain is below 2 points.",
    "sound": "Skill model: whether its fit can be trusted for this row. The field says what is wrong; empty is sound.",
}
"""What a column means, if no docstring of a metric says it."""


class What(StrEnum):
    """What can be listed."""

    domains = "domains"
    agents = "agents"
    metrics = "metrics"


@report_errors
def list_(
    what: Annotated[What | None, typer.Argument(help="domains, agents or metrics. The default is all three.")] = None,
    plugins: Plugins = None,
) -> None:
    """List the installed domains, agents and metrics, with those of plugins."""
    add_plugins(plugins)
    print_lists(Console(), [what.value] if what else [each.value for each in What])


def print_lists(console: Console, what: Sequence[str]) -> None:
    """Print the lists named, of ``"domains"``, ``"agents"`` and ``"metrics"``."""
    lists: dict[str, tuple[tuple[str, ...], Callable[[], Rows]]] = {
        "domains": (("domain", "version", "features", "users"), _domains),
        "agents": (("agent", "what it does"), _agents),
        "metrics": (("column", "field", "what it measures"), _metrics),
    }
    for name in what:
        headers, rows = lists[name]
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for header in headers:
            table.add_column(header)
        for row in rows():
            table.add_row(*(Text(printable(cell)) for cell in row))
        console.print(table)


def _domains() -> Rows:
    from beliefbench.plugins.names import load_suite, names
    from beliefbench.plugins.settings import format_spec
    from beliefbench.protocol.protocol import population

    rows: Rows = []
    for name in names("domain"):
        try:
            domains = load_suite(name)
            if len(domains) > 1:
                rows.append((format_spec(name), "-", f"suite: {', '.join(domain.name for domain in domains)}", "-"))
                continue
            features = ", ".join(feature.label for feature in domains[0].features)
            rows.append((format_spec(name), domains[0].version, features, f"{population(domains[0]):,}"))
        except BeliefBenchError as error:
            rows.append((format_spec(name), "-", str(error), "-"))
    return rows


def _agents() -> Rows:
    from beliefbench.plugins.names import factory_doc, names
    from beliefbench.plugins.settings import format_spec

    rows: Rows = []
    for name in names("agent"):
        try:
            rows.append((format_spec(name), _first_paragraph(factory_doc(name))))
        except BeliefBenchError as error:
            rows.append((format_spec(name), str(error)))
    return rows


def _metrics() -> Rows:
    from beliefbench.scoring.metrics import METRICS
    from beliefbench.scoring.reliability import ece_null
    from beliefbench.scoring.updating import UPDATING

    measures: dict[str, Any] = {**METRICS, **UPDATING, "ece_null": ece_null}
    return [
        (column, "\n".join(fields), MEANINGS.get(column) or _first_paragraph(getdoc(measures[fields[0]])))
        for column, fields in COLUMNS.items()
    ]


def _first_paragraph(doc: str | None) -> str:
    return " ".join((doc or "").split("\n\n")[0].split()).replace("``", "")
