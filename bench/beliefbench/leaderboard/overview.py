"""Agents over several domains: who ran on all of them, and means that give each domain the same weight."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beliefbench.leaderboard.row import Row, Standing


@dataclass(frozen=True)
class AgentOverview:
    """An agent's row in each group that holds it, and on how many different ``domains`` it ran.

    Of several runs in a group, it is the one that asked the most users. Two groups of one domain, such as two seeds,
    count as one domain.
    """

    agent: str
    rows: list[Row]
    domains: int
    everywhere: bool
    """Whether it ran on every domain. Means over different domains cannot be compared."""

    @property
    def folders(self) -> set[Path]:
        """The folders of its rows."""
        return {row.folder for row in self.rows}

    @property
    def standing(self) -> Standing:
        """What all of its runs may be called."""
        return min(row.standing for row in self.rows)

    def mean(self, value: Callable[[Row], Any]) -> float | None:
        """Return the mean over domains of a value of each row; a domain's own is the mean of its rows.

        Rows whose value is None are left out. None if no row has one.
        """
        by_domain: dict[str, list[float]] = {}
        for row in self.rows:
            found = value(row)
            if found is not None:
                by_domain.setdefault(row.fields["domain"], []).append(found)
        means = [math.fsum(found) / len(found) for found in by_domain.values()]
        return math.fsum(means) / len(means) if means else None


def overview_of(groups: Sequence[list[Row]]) -> list[AgentOverview]:
    """Return the agents of all groups: those that ran on every domain first, each kind by the mean gap closed."""
    domains = {group[0].fields["domain"] for group in groups}
    rows: dict[str, list[Row]] = {}
    for group in groups:
        of_group: dict[str, Row] = {}
        for row in sorted(group, key=lambda row: -row.fields["users"]):
            of_group.setdefault(row.fields["agent"], row)
        for agent, row in of_group.items():
            rows.setdefault(agent, []).append(row)
    found = []
    for agent, of_agent in rows.items():
        number = len({row.fields["domain"] for row in of_agent})
        found.append(AgentOverview(agent, of_agent, number, number == len(domains)))

    def order(one: AgentOverview) -> tuple[bool, bool, float]:
        gap = gap_closed(one)
        return not one.everywhere, gap is None, -(gap or 0.0)

    return sorted(found, key=order)


def gap_closed(agent: AgentOverview) -> float | None:
    """Return the mean share of the way from chance to the exact answer, after the last round; None if unknown."""
    return agent.mean(lambda row: row.diagnostics[-1]["gap_closed"])
