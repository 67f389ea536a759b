"""Pairs of runs on the same questions: which of two agents is better, and how surely."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beliefbench.errors import UsageError
from beliefbench.leaderboard.ranking import Leaderboard, read_leaderboard
from beliefbench.leaderboard.row import Row
from beliefbench.scoring.metrics import METRICS
from beliefbench.scoring.paired import SHARES, Difference, common, difference, differences, holm, users_for

if TYPE_CHECKING:
    import pandas as pd

POINTS = 0.02
"""The difference of accuracies, as a share, for which the number of users is told."""


@dataclass(frozen=True)
class Compared:
    """A metric of two agents after a round: the first's value, the second's, and their `Difference`.

    ``adjusted`` is its p-value by Holm's rule over all differences of the comparison, of all domains, metrics and
    rounds.
    """

    domain: str
    seed: int
    metric: str
    round: int
    first: float
    second: float
    difference: Difference
    adjusted: float | None


@dataclass(frozen=True)
class Pair:
    """Two rows of one group, what each user's answers say of their difference, and ``needed``: how many users would
    show 2 percentage points of accuracy after the last round; None if nobody can say."""

    first: Row
    second: Row
    lines: tuple[Compared, ...]
    users: int
    needed: int | None


def compare(first: str | Path, second: str | Path, results: str | Path = "results/local") -> pd.DataFrame:
    """Return paired differences of two agents on the questions that both answered: one line for each domain, metric and
    round.

    Columns: domain, seed, metric, round, first, second, value (first minus second), users, low, high, p, smallest,
    adjusted, as in `leaderboard.comparing.Compared` and `scoring.paired.Difference`.

    Parameters
    ----------
    first, second
        Each an agent, named as in the leaderboard, or the folder of a run.
    results
        The folder of runs.

    Raises
    ------
    UsageError
        If an agent is not there, or no questions are common to both.

    >>> import beliefbench as bb, tempfile
    >>> results = tempfile.mkdtemp()
    >>> for agent in ("first", "random"):
    ...     _ = bb.run("flights-2", agent, users=3, rounds=1, heldout=5, results=results)
    >>> compare("first", "random", results)[["metric", "round", "users"]].values.tolist()[:2]
    [['accuracy', 0, 3], ['accuracy', 1, 3]]
    """
    import pandas as pd

    pairs = pairs_of(read_leaderboard(results), first, second, Path(results))
    return pd.DataFrame([record_of(line) for pair in pairs for line in pair.lines])


def record_of(line: Compared) -> dict[str, Any]:
    """Return a line as one level of JSON values."""
    values = asdict(line) | {"difference": None}
    del values["difference"]
    adjusted = values.pop("adjusted")
    return {**values, **line.difference._asdict(), "adjusted": adjusted}


def pairs_of(
    board: Leaderboard, first: str | Path, second: str | Path, results: Path, domains: Sequence[str] = ()
) -> list[Pair]:
    """Return the pairs of runs of two agents that answered the same questions; raise `UsageError` if there are none."""
    rows = [_rows(board, one, results) for one in (first, second)]
    if domains:
        there = {row.fields["domain"] for row in board.rows}
        if missing := [one for one in domains if one not in there]:
            raise UsageError(f"no run is of the domain '{missing[0]}'; there are {', '.join(sorted(there))}.")
        rows = [[row for row in some if row.fields["domain"] in domains] for some in rows]
    found = [(one, other) for one in rows[0] for other in rows[1] if one.group == other.group]
    if found and all(one.folder == other.folder for one, other in found):
        raise UsageError(f"'{first}' and '{second}' are the same run; name two.")
    found = [(one, other) for one, other in found if one.folder != other.folder]
    if not found:
        raise UsageError(_why_none(rows[0], rows[1], str(first), str(second)))
    found = [(one, other) for one, other in found if set(one.counts.users) & set(other.counts.users)]
    if not found:
        raise UsageError(f"'{first}' and '{second}' were asked about different users; run both on the same ones.")
    return _adjusted([_pair(one, other) for one, other in found])


def _rows(board: Leaderboard, named: str | Path, results: Path) -> list[Row]:
    folder = Path(named)
    if (folder / "run.json").exists():
        rows = [row for row in board.rows if row.folder.resolve() == folder.resolve()]
        if not rows:
            why = next((problem for problem in board.problems if folder.name in problem), None)
            raise UsageError(why or f"{folder} is not below '{results}'; name that folder with --results.")
        return rows
    rows = [row for row in board.rows if named in (row.fields["agent"], row.label)]
    if rows:
        return rows
    if folder.is_dir():
        runs = sorted(file.parent for file in folder.glob("*/run.json"))
        below = f"; name one below it: {runs[0]}" if runs else "; name the folder of a run, or an agent"
        raise UsageError(f"'{folder}' is not the folder of a run{below}.")
    names = sorted({row.fields["agent"] for row in board.rows})
    several = [one for one in names if one.startswith(f"{named} (")]
    if several:
        raise UsageError(f"'{named}' is the name of {len(several)} agents; name one: {', '.join(several)}.")
    near = get_close_matches(str(named), names, 1, 0.5)
    there = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(names) or 'none'}."
    raise UsageError(f"no run below '{results}' is of the agent '{named}'; {there}")


def _why_none(first: Sequence[Row], second: Sequence[Row], one: str, other: str) -> str:
    """Return why the runs of two agents cannot be paired."""
    for row in first:
        for with_same in (also for also in second if also.fields["domain"] == row.fields["domain"]):
            names = ("version", "users", "held-out sets", "seed", "stages")
            pairs = zip(names, row.group[1:6], with_same.group[1:6], strict=True)
            told = [f"{name} {mine} and {yours}" for name, mine, yours in pairs if mine != yours]
            what = ", ".join(told) or "its parameters"
            return (
                f"'{one}' and '{other}' answered different questions on {row.fields['domain']} ({what}); run both "
                "with the same numbers."
            )
    return f"'{one}' and '{other}' have no domain in common; run both on one."


def _pair(first: Row, second: Row) -> Pair:
    one, other = common(first.answers(), second.answers())
    found = differences(one, other)
    lines = []
    privileged = first.fields["privileged"] or second.fields["privileged"]
    for metric, values in found.items():
        for stage in range(values.shape[1]):
            means = (first.rounds[stage][metric], second.rounds[stage][metric])
            if len(one.users) < max(first.fields["users"], second.fields["users"]):
                means = _means(one, other, metric, stage)
            number = first.rounds[stage]["round"]
            fields = (first.fields["domain"], first.fields["seed"], metric, number, *means)
            told = difference(values[:, stage], metric)
            if privileged and metric not in SHARES:  # its few wrong answers are sure, and decide
                told = told._replace(low=None, high=None, p=None, smallest=None)
            lines.append(Compared(*fields, told, None))
    needed = users_for(found["accuracy"][:, -1], POINTS)
    return Pair(first, second, tuple(lines), len(one.users), needed)


def _means(one: Any, other: Any, metric: str, stage: int) -> tuple[float, float]:
    values = [METRICS[metric](*answers[1:]) for answers in (one, other)]
    first, second = (float(found[:, stage].mean()) for found in values if found is not None)
    return first, second


def _adjusted(pairs: Sequence[Pair]) -> list[Pair]:
    """Return pairs with p-values by Holm's rule over all of them."""
    lines = [line for pair in pairs for line in pair.lines]
    by_line = iter(holm([line.difference.p for line in lines]))
    return [replace(pair, lines=tuple(replace(line, adjusted=next(by_line)) for line in pair.lines)) for pair in pairs]


def as_json(pairs: Sequence[Pair]) -> str:
    """Return ``{"schema": 1, "pairs": [...]}``."""
    told = [
        {
            "first": pair.first.fields["agent"],
            "second": pair.second.fields["agent"],
            "users": pair.users,
            "users_for_2_points": pair.needed,
            "lines": [record_of(line) for line in pair.lines],
        }
        for pair in pairs
    ]
    return json.dumps({"schema": 1, "pairs": told}, indent=2) + "\n"


@dataclass(frozen=True)
class Cell:
    """A cell of `matrix_of`: a difference of accuracies, and whether it is one at 5% after Holm's rule."""

    difference: Difference
    sure: bool


def matrix_of(group: Sequence[Row]) -> list[list[Cell | None]]:
    """Return, for each two rows of a group, the row's accuracy after the last round minus the column's.

    None on the diagonal, and where two runs have no common users. Holm's rule counts each two rows once.
    """
    found: dict[tuple[int, int], Difference] = {}
    for place, row in enumerate(group):
        for at in range(place):
            other = group[at]
            _, mine, yours = np.intersect1d(row.counts.users, other.counts.users, return_indices=True)
            if len(mine):
                found[place, at] = difference(row.counts.share[mine, -1] - other.counts.share[yours, -1])
    adjusted = dict(zip(found, holm([one.p for one in found.values()]), strict=True))

    def cell(place: int, at: int) -> Cell | None:
        key = max(place, at), min(place, at)
        if key not in found:
            return None
        one, p = found[key], adjusted[key]
        if place < at:
            one = one._replace(
                value=-one.value,
                low=None if one.high is None else -one.high,
                high=None if one.low is None else -one.low,
            )
        return Cell(one, p is not None and p < 0.05)

    return [[cell(place, at) for at in range(len(group))] for place in range(len(group))]
