"""Agents over several domains: who ran on all of them, and means that give each domain the same weight."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beliefbench.leaderboard.row import Row, Standing, sound


@dataclass(frozen=True)
class AgentOverview:
    """An agent's row in each group that holds it, and on how many different ``domains`` it ran.

    Of several runs in a group, it is the one that asked the most users. Two groups of one domain, such as two seeds,
    count as one domain. Doubtful runs (`Row.doubt`) are apart, and count for no mean.
    """

    agent: str
    rows: list[Row]
    doubtful: list[Row]
    domains: int
    everywhere: bool
    """Whether it ran on every domain. Means over different domains cannot be compared."""

    @property
    def folders(self) -> set[Path]:
        """The folders of its rows, and of its doubtful ones where it has no other in the group."""
        groups = {row.group for row in self.rows}
        return {row.folder for row in self.rows} | {row.folder for row in self.doubtful if row.group not in groups}

    @property
    def privileged(self) -> bool:
        """Whether it sees the users' true preferences in any of its runs."""
        return any(row.fields["privileged"] for row in (*self.rows, *self.doubtful))

    @property
    def standing(self) -> Standing:
        """What all of its runs may be called: doubtful if one of them is."""
        return min(row.standing for row in (*self.rows, *self.doubtful))

    @property
    def standing_of_mean(self) -> Standing:
        """What the runs may be called that count for its means; doubtful if there are none."""
        return min((row.standing for row in self.rows), default=Standing.doubtful)

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
    domains = {row.fields["domain"] for group in groups for row in sound(group)}
    rows: dict[str, list[Row]] = {}
    doubtful: dict[str, list[Row]] = {}
    for group in groups:
        of_group: dict[str, Row] = {}
        for row in sorted(sound(group), key=lambda row: -row.fields["users"]):
            of_group.setdefault(row.fields["agent"], row)
        for agent, row in of_group.items():
            rows.setdefault(agent, []).append(row)
        for row in group:
            if row.doubt:
                doubtful.setdefault(row.fields["agent"], []).append(row)
    found = []
    for agent in dict.fromkeys([*rows, *doubtful]):
        of_agent = rows.get(agent, [])
        number = len({row.fields["domain"] for row in of_agent})
        everywhere = bool(of_agent) and number == len(domains)
        found.append(AgentOverview(agent, of_agent, doubtful.get(agent, []), number, everywhere))

    def order(one: AgentOverview) -> tuple[bool, bool, float]:
        gap = gap_closed(one)
        return not one.everywhere, gap is None, -(gap or 0.0)

    return sorted(found, key=order)


def gap_closed(agent: AgentOverview) -> float | None:
    """Return the mean share of the way from chance to the exact answer, after the last round; None if unknown."""
    return agent.mean(lambda row: row.diagnostics[-1]["gap_closed"])
