"""The leaderboard: reads runs, recomputes every metric from their rows, ranks agents that met the same questions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from beliefbench.errors import UsageError, printable
from beliefbench.leaderboard.naming import agent_names, run_labels
from beliefbench.leaderboard.row import (
    BELIEF_FIELDS,
    BOUNDED,
    ROW_FIELDS,
    RUN_FIELDS,
    SKILL_FIELDS,
    SKILL_RUN_FIELDS,
    Row,
)
from beliefbench.publishing.evidence import FILE, attested, metrics_of
from beliefbench.running.store import DamagedFileError, RunRecord, RunStore, find_runs
from beliefbench.scoring.diagnostics import DIAGNOSTIC_FIELDS, diagnostic_metrics
from beliefbench.scoring.heldout import answers_of
from beliefbench.scoring.metrics import AGREEMENT_RULE
from beliefbench.scoring.scores import ROUND_FIELDS, score, score_beliefs_of_run
from beliefbench.skill.counts import FOLDER, Counts

if TYPE_CHECKING:
    import pandas as pd
    from xarray import DataTree

    from beliefbench.running.harness import Run
    from beliefbench.skill.model import Comparable

JSON_SCHEMA = 1


@dataclass(frozen=True)
class Leaderboard:
    """All rows, grouped and ranked, and what could not be shown, each problem in a sentence."""

    rows: list[Row]
    problems: list[str]

    def groups(self) -> list[list[Row]]:
        """Return the rows that can be compared with each other: the verified ones, then the others, best first."""
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row.group, []).append(row)
        return list(groups.values())

    def as_json(self) -> str:
        """Return the JSON of ``leaderboard --format json``."""
        return json.dumps({"schema": JSON_SCHEMA, "rows": [row.as_json() for row in self.rows]}, indent=2)

    def as_frame(self) -> pd.DataFrame:
        """Return one line for each row and round."""
        import pandas as pd

        lines = []
        for row in self.rows:
            said, skill = row.named_skill()
            run = {**row.fields, **{name: getattr(row, name) for name in RUN_FIELDS}, **said}
            for parts in zip(row.rounds, row.named_beliefs(), row.diagnostics, skill, strict=True):
                lines.append({**run, **{name: value for part in parts for name, value in part.items()}})
        rounds = (*ROUND_FIELDS, *BELIEF_FIELDS.values(), *DIAGNOSTIC_FIELDS, *SKILL_FIELDS)
        frame = pd.DataFrame(lines, columns=[*ROW_FIELDS, *RUN_FIELDS, *SKILL_RUN_FIELDS, *rounds])
        return frame.astype({**dict.fromkeys(rounds[1:], float), "rank": "Int64"})  # NaN and <NA>, not None

    def with_skill(self, results: Path, fit: bool = True) -> Leaderboard:
        """Return this leaderboard with what the skill model says of each row that has enough users.

        The posterior is read from ``<results>/skill/``. If it is not there, it is fitted and kept there, which takes
        half a minute or more; with ``fit=False`` nothing is fitted, and the rows stay as they are.
        """
        if not fit and not (results / FOLDER).is_dir():
            return self  # spares the import of JAX
        from beliefbench.skill.summary import skills

        rows = []
        for group, found in zip(self.groups(), skills(*self._comparable(results), results, fit), strict=True):
            for row, skill in zip(group, found, strict=True):
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

        It pools the runs of an agent, and an agent is its identity.
        """
        from beliefbench.skill.model import Comparable

        groups = self.groups()
        names = [[row.fields["agent"] for row in group] for group in groups]
        told = [[at for at, row in enumerate(group) if row.fields["privileged"]] for group in groups]
        counts = [
            Comparable(name, [row.counts for row in group], privileged)
            for name, group, privileged in zip(names, groups, told, strict=True)
        ]
        return counts, [[row.folder.relative_to(results).as_posix() for row in group] for group in groups]


def leaderboard(results: str | Path = "results/local", *, skill: bool = False) -> pd.DataFrame:
    """Return the leaderboard of all finished runs below a folder, one line for each agent, domain and round.

    It has about 50 columns: the fields of ``leaderboard --format json``, note, tokens, seconds and verified of the run,
    the metrics of updating and calibration, of stated beliefs (`beliefbench.scoring.beliefs`), and of the skill model.
    Shares are in [0, 1], log_score and kl_exact in nats per answer. NaN if an agent has none. The rank is <NA> if
    another agent was asked about more users. A run that cannot be read is left out, with a warning.

    Parameters
    ----------
    results
        The folder of results.
    skill
        True: fit the skill model if ``<results>/skill/`` does not hold its posterior yet; this takes half a minute or
        more. False: use a stored posterior, and fit nothing; without one, the columns of the skill model are NaN.

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
    return Leaderboard(_ranked([_row(run.record, run.folder, run.rows())]), []).as_frame()


def read_leaderboard(results: str | Path, only: Sequence[Path] | None = None) -> Leaderboard:
    """Return the leaderboard of the runs below a folder, or of ``only`` some run folders in it.

    If the same run is there several times, it counts once: as published, if one of them is.
    """
    root = Path(results)
    if root.exists() and not root.is_dir():
        raise UsageError(f"results folder '{root}' is a file; name a folder that `beliefbench run` has made.")
    if not root.exists():
        raise UsageError(f"results folder '{root}' does not exist; name one that `beliefbench run` has made.")
    rows, problems = [], []
    for store in find_runs(root):
        if only is not None and store.folder not in only:
            continue
        try:
            record = store.record()
            if record is None or record.finished is None or not store.rows_file.exists():
                problems.append(_unfinished(store))
                continue
            row = _row(record, store.folder, store.rows())
            rows.append(row)
            if not row.verified and (store.folder / FILE).exists():
                problems.append(
                    f"{store.folder} is not what its {FILE} attests; `beliefbench verify {store.folder}` says why."
                )
        except DamagedFileError as error:
            problems.append(f"{error} Its run is left out; run it again to mend it.")
    return Leaderboard(_labelled(_ranked(_named(_without_copies(rows)))), problems)


def _unfinished(store: RunStore) -> str:
    if store.is_held():
        return f"{store.folder} is running now, and left out until it is finished."
    return f"{store.folder} is not finished and left out; the same `beliefbench run` command continues it."


def _without_copies(rows: list[Row]) -> list[Row]:
    """Return rows, one a run: of the copies of a run, the verified one if there is one."""
    first: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: not row.verified):
        first.setdefault(row.record.key, row)
    return [row for row in rows if first[row.record.key] is row]


def _named(rows: list[Row]) -> list[Row]:
    """Return rows with their agents' names, by which no two agents are one."""
    names = agent_names([row.record for row in rows])
    return [replace(row, fields={**row.fields, "agent": name}) for row, name in zip(rows, names, strict=True)]


def _labelled(rows: list[Row]) -> list[Row]:
    """Return rows that are sorted by their groups, with what each is called in its group."""
    labels = [label for group in Leaderboard(rows, []).groups() for label in run_labels(group)]
    return [replace(row, label=label) for row, label in zip(rows, labels, strict=True)]


def _row(record: RunRecord, folder: Path, rows: pa.Table) -> Row:
    identity = record.identity
    try:
        answers = answers_of(record, rows)
        beliefs = score_beliefs_of_run(rows, answers.choice.shape)
    except DamagedFileError as error:
        raise DamagedFileError(f"{folder / 'rows.parquet'}: {error}") from error
    fields: dict[str, Any] = {
        "domain": printable(identity.domain.name),
        "domain_version": identity.domain.version,
        "agent": printable(record.agent.name),
        "users": len(answers.users),
        "heldout": identity.heldout,
        "seed": identity.seed,
        "agreement_rule": AGREEMENT_RULE,
        "probabilistic": record.agent.probabilistic,
        "privileged": record.agent.privileged,
        "rank": None,
        "rhat": None,
        "ess_bulk": None,
    }
    shared = (identity.domain.name, identity.domain.version, identity.users, identity.heldout, identity.seed)
    rounds = score(answers)
    return Row(
        fields,
        fields["agent"],
        rounds,
        group=(*shared, len(rounds), identity.domain.model_dump_json()),
        population=identity.users,
        note=_note(record, rows),
        exact_answer=identity.domain.parameters.get("exact_answer"),
        record=record,
        folder=folder,
        tokens=pa.compute.sum(rows["tokens"]).as_py(),
        seconds=record.seconds,
        beliefs=beliefs,
        diagnostics=diagnostic_metrics(answers),
        counts=Counts.of(answers),
        verified=attested(folder, rows.num_rows, metrics_of(rounds, beliefs)),
    )


def _note(record: RunRecord, rows: pa.Table) -> str | None:
    bounded = pa.compute.mean(rows["bounded"]).as_py()
    parts = [
        record.agent.note and printable(record.agent.note),
        None if bounded is None else f"{bounded:.1%} {BOUNDED}",
        f"{record.asked} of {record.identity.users} users"
        if record.asked not in (None, record.identity.users)
        else None,
    ]
    return ", ".join(filter(None, parts)) or None


def _ranked(rows: list[Row]) -> list[Row]:
    """Number each group's rows by the accuracy after the last round, equal ones alike, and sort the verified first.

    Accuracies of different users cannot be compared: a row with fewer users than the largest of its group has no rank.
    """
    most: dict[tuple[Any, ...], int] = {}
    for row in rows:
        most[row.group] = max(row.fields["users"], most.get(row.group, 0))
    ranked = [row for row in rows if row.fields["users"] == most[row.group]]

    def accuracy(row: Row) -> float:
        return round(row.final["accuracy"], 9)  # sums of the same shares may differ in their last bits

    for row in ranked:
        better = [other for other in ranked if other.group == row.group and accuracy(other) > accuracy(row)]
        row.fields["rank"] = len(better) + 1

    def place(row: Row) -> tuple[Any, ...]:
        return row.group, not row.verified, -row.fields["users"], -accuracy(row), row.fields["agent"]

    return sorted(rows, key=place)
