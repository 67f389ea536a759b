"""``beliefbench list``: what is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from inspect import getdoc
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from beliefbench.cli.console import report_errors
from beliefbench.cli.options import Plugins, add_plugins
from beliefbench.errors import BeliefBenchError, printable
from beliefbench.plugins.names import factory_doc, load_suite, names
from beliefbench.plugins.settings import format_spec

Rows = list[tuple[str, ...]]


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
        "metrics": (("metric", "what it measures"), _metrics),
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
    rows: Rows = []
    for name in names("agent"):
        try:
            rows.append((format_spec(name), _first_paragraph(factory_doc(name))))
        except BeliefBenchError as error:
            rows.append((format_spec(name), str(error)))
    return rows


def _metrics() -> Rows:
    from beliefbench.scoring.metrics import METRICS
    from beliefbench.scoring.reliability import corp, ece_null
    from beliefbench.scoring.updating import UPDATING

    measures = {**METRICS, **UPDATING, "corp": corp, "ece_null": ece_null}
    return [(name, _first_paragraph(getdoc(measure))) for name, measure in measures.items()]


def _first_paragraph(doc: str | None) -> str:
    return " ".join((doc or "").split("\n\n")[0].split()).replace("``", "")
