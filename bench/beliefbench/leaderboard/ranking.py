"""The leaderboard: reads runs, recomputes every metric from their rows, ranks agents that met the same questions."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beliefbench.errors import UsageError
from beliefbench.leaderboard.copies import with_flags, without_copies
from beliefbench.leaderboard.naming import agent_names, run_labels
from beliefbench.leaderboard.reading import measured, read_row, row_of
from beliefbench.leaderboard.row import (
    BELIEF_FIELDS,
    ROW_FIELDS,
    RUN_FIELDS,
    SKILL_FIELDS,
    SKILL_RUN_FIELDS,
    Row,
    block_of,
    sound,
)
from beliefbench.running.derived import remove_least_used
from beliefbench.running.store import find_runs
from beliefbench.scoring.diagnostics import DIAGNOSTIC_FIELDS
from beliefbench.scoring.scores import ROUND_FIELDS
from beliefbench.skill.counts import Comparable

if TYPE_CHECKING:
    import pandas as pd
    from xarray import DataTree

    from beliefbench.running.harness import Run

JSON_SCHEMA = 1
BETTER = {"accuracy": -1, "agreement": -1, "log_score": -1, "coverage": -1, "brier": 1, "ece": 1, "kl_exact": 1}
"""The fields that rows can be sorted by: 1 if lower is better, -1 if higher is."""


@dataclass(frozen=True)
class Leaderboard:
    """All rows, grouped and ranked, and what could not be shown, each problem in a sentence."""

    rows: list[Row]
    problems: list[str]

    def groups(self) -> list[list[Row]]:
        """Return the rows that can be compared with each other: `row.blocks_of` in turn, best first."""
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row.group, []).append(row)
        return list(groups.values())

    def only(self, domains: Sequence[str], agents: Sequence[str]) -> Leaderboard:
        """Return the rows of some domains and of some agents, all if none is named. Ranks stay as they are.

        Raises
        ------
        UsageError
            If no row has a name.
        """
        rows = self.rows
        for kind, names in (("domain", domains), ("agent", agents)):
            there = {row.fields[kind] for row in self.rows}
            if missing := [name for name in names if name not in there]:
                raise UsageError(f"no row has the {kind} '{missing[0]}'; there are {', '.join(sorted(there))}.")
            rows = [row for row in rows if not names or row.fields[kind] in names]
        return replace(self, rows=rows)

    def sorted_by(self, field: str) -> Leaderboard:
        """Return the rows, best first by a field of `BETTER` after the last round; rows without it come last.

        The intact rows of a group stay before the others, the doubtful ones last, and ranks stay as they are.
        """

        def place(row: Row) -> tuple[Any, ...]:
            value = row.final[field]
            return block_of(row.standing), value is None, 0 if value is None else BETTER[field] * value

        return replace(self, rows=[row for group in self.groups() for row in sorted(group, key=place)])

    def as_json(self) -> str:
        """Return the JSON of ``leaderboard --format json``."""
        return json.dumps({"schema": JSON_SCHEMA, "rows": [row.as_json() for row in self.rows]}, indent=2)

    def as_frame(self) -> pd.DataFrame:
        """Return one line for each row and round."""
        import pandas as pd

        lines = []
        for row in self.rows:
            said, skill = row.named_skill()
            run = {**row.fields, **{name: getattr(row, name) for name in RUN_FIELDS}, "flags": row.flagged, **said}
            for parts in zip(row.rounds, row.named_beliefs(), row.diagnostics, skill, strict=True):
                lines.append({**run, **{name: value for part in parts for name, value in part.items()}})
        rounds = (*ROUND_FIELDS, *BELIEF_FIELDS.values(), *DIAGNOSTIC_FIELDS, *SKILL_FIELDS)
        frame = pd.DataFrame(lines, columns=[*ROW_FIELDS, *RUN_FIELDS, *SKILL_RUN_FIELDS, *rounds])
        return frame.astype({**dict.fromkeys(rounds[1:], float), "rank": "Int64"})  # NaN and <NA>, not None

    def with_skill(self, results: Path, fit: bool = True) -> Leaderboard:
        """Return this leaderboard with what the skill model says of each row that has enough users and no doubt.

        The posterior is read from ``<results>/skill/``. If it is not there, it is fitted and kept there, which takes
        about 20 seconds; with ``fit=False`` nothing is fitted, and the rows stay as they are.
        """
        from beliefbench.skill.summary import skills

        rows = []
        for group, found in zip(self.groups(), skills(*self._comparable(results), results, fit), strict=True):
            of_sound = iter(found)
            for row in group:
                skill = None if row.doubt else next(of_sound)
                known = {} if skill is None else {"rhat": skill.rhat, "ess_bulk": skill.ess_bulk}
                rows.append(replace(row, fields={**row.fields, **known}, skill=skill))
        return Leaderboard(rows, self.problems)

    def posteriors(self, results: Path) -> dict[int, DataTree]:
        """Return the stored posteriors of `with_skill`, by the number of rounds."""
        from beliefbench.skill.storage import posterior_of
        from beliefbench.skill.summary import fits

        return {fit.rounds: posterior_of(fit.groups, fit.labels, results) for fit in fits(*self._comparable(results))}

    def _comparable(self, results: Path) -> tuple[list[Comparable], list[list[str]]]:
        """Return the groups as the skill model takes them, and a label a run: its folder in the results.

        It pools the runs of an agent, and an agent is its identity. Doubtful runs are left out.
        """
        groups = [sound(group) for group in self.groups()]
        names = [[row.fields["agent"] for row in group] for group in groups]
        told = [[at for at, row in enumerate(group) if row.fields["privileged"]] for group in groups]
        counts = [
            Comparable(name, [row.counts for row in group], privileged)
            for name, group, privileged in zip(names, groups, told, strict=True)
        ]
        return counts, [[row.folder.relative_to(results).as_posix() for row in group] for group in groups]


def leaderboard(results: str | Path = "results/local", *, skill: bool = False) -> pd.DataFrame:
    """Return the leaderboard of all finished runs below a folder, one line for each agent, domain and round.

    It has about 50 columns: the fields of ``leaderboard --format json``, note, tokens, seconds, intact, reproduced,
    flags, doubt and signed of the run, the metrics of updating and calibration, of stated beliefs
    (`beliefbench.scoring.beliefs`), and of the skill model. Shares are in [0, 1], log_score and kl_exact in nats
    per answer. NaN if an agent has none. The rank is <NA> if another agent was asked about more users. A run that
    cannot be read is left out, with a warning.

    Parameters
    ----------
    results
        The folder of results.
    skill
        True: fit the skill model if ``<results>/skill/`` does not hold its posterior yet; this takes about 20
        seconds. False: use a stored posterior, and fit nothing; without one, the columns of the skill model are NaN.

    Raises
    ------
    UsageError
        If the folder does not exist.

    >>> import beliefbench as bb, tempfile
    >>> results = tempfile.mkdtemp()
    >>> _ = bb.run("flights", "first", users=2, rounds=1, heldout=5, results=results)
    >>> leaderboard(results)[["agent", "round", "coverage"]].values.tolist()
    [['first', 0, 1.0], ['first', 1, 1.0]]
    """
    import warnings

    board = read_leaderboard(results)
    for problem in board.problems:
        warnings.warn(problem, stacklevel=3)  # of who called the package
    return board.with_skill(Path(results), fit=skill).as_frame()


def metrics(run: Run) -> pd.DataFrame:
    """Return the metrics of a finished run, one line for each round; the columns are those of `leaderboard`.

    >>> import beliefbench as bb, tempfile
    >>> done = bb.run("flights", "first", users=2, rounds=1, heldout=5, results=tempfile.mkdtemp())
    >>> bb.metrics(done)[["round", "coverage"]].values.tolist()
    [[0.0, 1.0], [1.0, 1.0]]
    """
    row = row_of(run.record, run.folder, measured(run.record, run.folder, run.rows()))
    return Leaderboard(_ranked([row]), []).as_frame()


def read_leaderboard(
    results: str | Path, only: Sequence[Path] | None = None, trusted: Path | None = None
) -> Leaderboard:
    """Return the leaderboard of the runs below a folder, or of ``only`` some run folders in it; ``trusted`` is your
    file of trusted keys (`publishing.signatures`).

    If the same run is there several times, it counts once: as published if the copies are equal, as local otherwise.
    """
    root = Path(results)
    if root.exists() and not root.is_dir():
        raise UsageError(f"results folder '{root}' is a file; name a folder that `beliefbench run` has made.")
    if not root.exists():
        raise UsageError(f"results folder '{root}' does not exist; name one that `beliefbench run` has made.")
    rows, problems = [], []
    stores = [store for store in find_runs(root) if only is None or store.folder in only]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy and Arrow compute without the interpreter's lock
        for row in pool.map(partial(read_row, trusted=trusted), stores):
            if isinstance(row, str):
                problems.append(row)
                continue
            rows.append(row)
            problems += row.warnings
    remove_least_used()
    shown, differences = without_copies(rows)
    shown = with_flags(shown)
    return Leaderboard(_labelled(_ranked(_named(shown))), [*problems, *differences])


def _named(rows: list[Row]) -> list[Row]:
    """Return rows with their agents' names, by which no two agents are one."""
    names = agent_names([row.record for row in rows])
    return [replace(row, fields={**row.fields, "agent": name}) for row, name in zip(rows, names, strict=True)]


def _labelled(rows: list[Row]) -> list[Row]:
    """Return rows that are sorted by their groups, with what each is called in its group."""
    labels = [label for group in Leaderboard(rows, []).groups() for label in run_labels(group)]
    return [replace(row, label=label) for row, label in zip(rows, labels, strict=True)]


def _ranked(rows: list[Row]) -> list[Row]:
    """Number each group's rows by the accuracy after the last round, equal ones alike, and sort the intact first.

    Accuracies of different users cannot be compared: a row with fewer users than the largest of its group has no rank.
    A doubtful row has none either, and changes that of no other.
    """
    most: dict[tuple[Any, ...], int] = {}
    for row in sound(rows):
        most[row.group] = max(row.fields["users"], most.get(row.group, 0))
    ranked = [row for row in sound(rows) if row.fields["users"] == most[row.group]]

    def accuracy(row: Row) -> float:
        return round(row.final["accuracy"], 9)  # sums of the same shares may differ in their last bits

    for row in ranked:
        better = [other for other in ranked if other.group == row.group and accuracy(other) > accuracy(row)]
        row.fields["rank"] = len(better) + 1

    def place(row: Row) -> tuple[Any, ...]:
        return row.group, block_of(row.standing), -row.fields["users"], -accuracy(row), row.fields["agent"]

    return sorted(rows, key=place)
