"""The leaderboard on one screen: one table of at most 25 lines. The other tables are in `forms.terminal`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import StringIO
from itertools import groupby
from textwrap import wrap
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from beliefbench.errors import counted
from beliefbench.intervals import FEWEST
from beliefbench.leaderboard.forms.cells import MARKS, PRIVILEGED_MARK, rank_of, reproductions, title_of
from beliefbench.leaderboard.forms.columns import NONE, number, percent
from beliefbench.leaderboard.naming import shortened
from beliefbench.leaderboard.overview import AgentOverview, overview_of
from beliefbench.leaderboard.ranking import Leaderboard
from beliefbench.leaderboard.row import DOUBTFUL, Row, Standing, blocks_of, sound

LINES, WIDTH = 25, 80
NAME = 26  # a longer name is cut
ROUND = 5  # the columns that the accuracy after a round takes, with the space before it
OTHERS = 24  # those of rank, interval, ECE and KL
DOUBT_NOTE = f"{MARKS[Standing.doubtful].strip()}: failed a check, or implausible; left out of ranks and means."
SHORT_STANDINGS = {
    Standing.intact: "intact",
    Standing.claimed: "intact, said to be reproduced",
    Standing.reproduced: "intact, reproduced",
}
FEW_USERS = 100  # below, the numbers change so much from user to user that the table says so


WHYS = ("", "fewer users", "some domains", "doubtful")
"""Why an agent has no rank over several domains, in the order of the table."""


class Line(NamedTuple):
    """A line of the table; only a heading has no cells."""

    rank: str
    agent: str
    cells: Sequence[str] = ()


def to_compact(board: Leaderboard, console: Console) -> None:
    """Print one table: rank, agent, accuracy by round with its interval, ECE and KL.

    For one domain, it is that of the runs with the most answers. For several, it holds means over the domains, and
    ranks the agents that ran on all of them. Agents that were asked about fewer users have no rank, and are below the
    others. It has 25 lines of 80 columns at most.
    """
    groups = _largest(_counting(board.groups()))
    if not groups:
        return
    width = min(WIDTH, console.width)
    hidden = len(board.groups()) - len(groups)
    shown = _of_one(groups[0], width, hidden) if len(groups) == 1 else _of_all(groups, width, hidden)
    console.print(shown, width=width)


def to_text(board: Leaderboard) -> str:
    """Return what `to_compact` prints."""
    page = StringIO()
    to_compact(board, Console(file=page, width=WIDTH))
    return page.getvalue()


def _counting(groups: Sequence[list[Row]]) -> Sequence[list[Row]]:
    """Return the groups with a run that is not doubtful; all if there is none."""
    return [group for group in groups if sound(group)] or groups


def _largest(groups: Sequence[list[Row]]) -> list[list[Row]]:
    """Return the group of each domain that asked for the most answers."""
    largest: dict[str, list[Row]] = {}
    for group in groups:
        known = largest.setdefault(group[0].fields["domain"], group)
        if (_answers(group), len(sound(group))) > (_answers(known), len(sound(known))):
            largest[group[0].fields["domain"]] = group
    return list(largest.values())


def _answers(group: list[Row]) -> int:
    return int(group[0].population * group[0].fields["heldout"] * len(group[0].rounds))


def _of_one(group: list[Row], width: int, hidden: int) -> RenderableType:
    names = _names([(row.label, row.fields["privileged"], row.standing) for row in group])
    stages = _fitting(len(group[0].rounds) - 1, list(names.values()), width)
    lines: list[Line] = []
    for heading, rows in blocks_of([row for row in group if row.fields["rank"] is not None]):
        lines += [Line("", heading)] if heading else []
        lines += [_line(row, names[row.label], stages) for row in rows]
    unranked = sorted((row for row in sound(group) if row.fields["rank"] is None), key=_users, reverse=True)
    for asked, some in groupby(unranked, _users):
        lines.append(Line("", f"{asked} of {group[0].population} users: no rank"))
        lines += [_line(row, names[row.label], stages) for row in some]
    if doubtful := [row for row in group if row.doubt]:
        lines += [Line("", DOUBTFUL), *(_line(row, names[row.label], stages) for row in doubtful)]
    last = str(group[0].final["round"])
    about = wrap(f"The exact answer: {group[0].exact_answer}.", width) if group[0].exact_answer else []
    about += reproductions(group)
    about += [f"{row.label}: {row.note}" for row in group if row.note]
    notes = [
        f"Columns 0 to {last}: accuracy (%) after that round. 95%: its interval after round {last}.",
        f"ECE (%) and KL(exact || agent) (nats) after round {last}: lower is better.",
        *_few_users(sound(group) or group),
        *_marks(group, hidden),
    ]
    return _screen(title_of(group), [*map(str, stages), last], lines, about, notes, width)


def _users(row: Row) -> int:
    return int(row.fields["users"])


def _few_users(group: Sequence[Row]) -> list[str]:
    """Return what so few users cannot show."""
    users = max(map(_users, group))
    if users >= FEW_USERS:
        return []
    few = f"{counted(users, 'user')}: too few to compare agents{', and for an interval' if users < FEWEST else ''}."
    known = [row for row in group if _users(row) == users and row.diagnostics[-1]["ece_null"] is not None]
    if not known:
        return [few]
    nearest = min(known, key=lambda row: row.final["kl_exact"])  # the exact answer itself, if it is there
    return [f"{few} Chance alone gives an ECE of up to {_percent(nearest.diagnostics[-1]['ece_null'])}."]


def _line(row: Row, name: str, stages: Sequence[int]) -> Line:
    final = row.final
    accuracies = [_percent(row.rounds[stage]["accuracy"]) for stage in stages]
    interval = _interval(final["accuracy_lo"], final["accuracy_hi"])
    scores = (_percent(final["ece"]), number(final["kl_exact"], 2))
    return Line(rank_of(row), name, (*accuracies, _percent(final["accuracy"]), interval, *scores))


def _of_all(groups: Sequence[list[Row]], width: int, hidden: int) -> RenderableType:
    agents = overview_of(groups)
    rounds = {len(group[0].rounds) - 1 for group in groups}
    last = str(max(rounds)) if len(rounds) == 1 else "last"
    names = _names([_marks_of(one) for one in agents])
    stages = _fitting(min(rounds) if len(rounds) == 1 else min(1, min(rounds)), list(names.values()), width)
    finals = [_final(one) for one in agents if not _why_unranked(one)]
    users = max(_users(row) for group in groups for row in sound(group) or group)
    lines: list[Line] = []
    agents.sort(key=lambda one: (WHYS.index(_why_unranked(one)), -_final(one), one.agent))
    for why, some in groupby(agents, _why_unranked):
        lines += [Line("", f"{why}: no rank")] if why else []
        for one in some:
            rank = NONE if why else str(1 + sum(other > _final(one) for other in finals))
            lines.append(_mean_line(rank, one, names[one.agent], stages))
    notes = [
        f"Columns 0 to {last}: accuracy (%) after that round. 95%: interval of the last one.",
        "ECE (%) and KL(exact || agent) (nats) after the last round: lower is better.",
        *([f"{counted(users, 'user')} on a domain: ECE is mostly noise."] if users < FEW_USERS else []),
        *_marks([row for one in agents for row in (*one.rows, *one.doubtful)], hidden),
    ]
    about = [f"{row.label} on {row.fields['domain']}: {row.doubt}" for one in agents for row in one.doubtful]
    title = f"Means over {len(groups)} domains, each of the same weight"
    return _screen(title, [*map(str, stages), last], lines, about, notes, width)


def _why_unranked(agent: AgentOverview) -> str:
    """Return one of `WHYS`."""
    if not agent.rows:
        return "doubtful"
    if not agent.everywhere:
        return "some domains"
    return "fewer users" if any(row.fields["rank"] is None for row in agent.rows) else ""


def _mean_line(rank: str, agent: AgentOverview, name: str, stages: Sequence[int]) -> Line:
    # Users are drawn for each domain anew, so that the errors of the domains' means are independent.
    final = _final(agent)
    below, above = _distance(agent.rows, "accuracy_lo"), _distance(agent.rows, "accuracy_hi")
    if not agent.rows:
        return Line(rank, name, [NONE] * (len(stages) + 4))
    accuracies = [_percent(agent.mean(lambda row, at=at: row.rounds[at]["accuracy"])) for at in stages]  # type: ignore[misc]
    interval = _interval(None, None) if below is None or above is None else _interval(final - below, final + above)
    ece, kl = (agent.mean(lambda row, of=of: row.final[of]) for of in ("ece", "kl_exact"))  # type: ignore[misc]
    return Line(rank, name, (*accuracies, _percent(final), interval, _percent(ece), number(kl, 2)))


def _distance(rows: Sequence[Row], end: str) -> float | None:
    """Return how far an end of the interval of a mean over rows is from it (MOVER); None if there is no interval.

    There is none without rows, or if a row has none. Each side has its own distance, because the rows' intervals need
    not be symmetric (Zou and Donner, 2008).
    """
    ends = [row.final[end] for row in rows]
    if not ends or None in ends:
        return None
    return math.hypot(*[one - row.final["accuracy"] for one, row in zip(ends, rows, strict=True)]) / len(rows)


def _final(agent: AgentOverview) -> float:
    """Return the mean accuracy after the last round; equal ones are equal to the bit."""
    return round(agent.mean(lambda row: row.final["accuracy"]) or 0.0, 9)


def _fitting(last: int, names: Sequence[str], width: int) -> list[int]:
    """Return the stages before the last one whose accuracies fit: all, or the first one and the latest.

    >>> _fitting(5, ["bayesian"], 80), _fitting(9, ["bayesian"], 60)
    ([0, 1, 2, 3, 4], [0, 6, 7, 8])
    """
    fitting = max(1, (width - OTHERS - min(NAME, max(map(cell_len, names)))) // ROUND) - 1
    stages = list(range(last))
    return stages if len(stages) <= fitting else [0, *stages[last - fitting + 1 :]][:fitting]


def _marks_of(agent: AgentOverview) -> tuple[str, bool, Standing]:
    return agent.agent, agent.privileged, agent.standing


def _names(labels: Sequence[tuple[str, bool, Standing]]) -> dict[str, str]:
    """Return labels in `NAME` columns, no two alike, with the marks of privileged agents and of `Standing`."""
    marks = {label: PRIVILEGED_MARK * privileged + MARKS[standing] for label, privileged, standing in labels}
    room = max((len(mark) for label, mark in marks.items() if cell_len(label + mark) > NAME), default=0)
    short = shortened(list(marks), NAME - room)
    return {label: short[label] + mark for label, mark in marks.items()}


def _percent(value: float | None) -> str:
    """Return a share in percent, in four characters at most."""
    text = percent(value)
    return "100" if text == "100.0" else text


def _interval(low: float | None, high: float | None) -> str:
    return NONE if low is None else f"{_percent(low)}-{_percent(high)}"


def _marks(rows: Sequence[Row], hidden: int) -> list[str]:
    """Return what the marks of rows mean, and where to see more."""
    marks = []
    if any(row.fields["privileged"] for row in rows):
        marks.append(f"{PRIVILEGED_MARK}: sees the users' true preferences.")
    found = {row.standing for row in rows}
    marks += [f"{MARKS[one].strip()}: {said}." for one, said in SHORT_STANDINGS.items() if one in found]
    doubts = [DOUBT_NOTE] if Standing.doubtful in found else []
    chooses = not all(row.fields["probabilistic"] for row in rows)
    few = any(row.final["accuracy_lo"] is None and _users(row) >= FEWEST for row in rows)  # fewer: `_few_users` says so
    if chooses or few:
        why = "no such number" if chooses and few else "only chooses" if chooses else "too few users"
        marks.append(f"{NONE}: {why}.")
    more = "--full shows all metrics"
    if hidden:
        more += f", and {hidden} more {'group' if hidden == 1 else 'groups'} of other users, sets or seeds"
    return [*doubts, *([" ".join(marks)] if marks else []), f"{more}."]


def _screen(
    title: str, stages: Sequence[str], lines: Sequence[Line], about: Sequence[str], notes: Sequence[str], width: int
) -> RenderableType:
    """Return the table, what is ``about`` single agents as far as there is room, and the notes below it."""
    room = LINES - 4 - len(notes)  # a blank line, the title, the header and its rule
    if len(lines) > room:
        left_out = sum(bool(line.cells) for line in lines[room - 1 :])
        lines = [*lines[: room - 1], Line("", f"and {left_out} more: --full")]
    table = Table(box=SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    table.add_column("#", justify="right", min_width=2)
    table.add_column("agent", no_wrap=True, overflow="ellipsis", max_width=NAME)
    for header in (*stages, "95%", "ECE", "KL"):
        table.add_column(header, justify="right", no_wrap=True, min_width=ROUND - 1)
    for line in lines:
        table.add_row(line.rank, Text(line.agent, style="" if line.cells else "italic"), *line.cells)
    below = [*about[: max(0, room - len(lines))], *notes]
    parts = [Text(note, style="dim", no_wrap=True, overflow="ellipsis") for note in below]
    return Group("", Text(title, style="bold", no_wrap=True, overflow="ellipsis"), table, *parts)
