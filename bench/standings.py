"""The leaderboard: reads runs, recomputes every metric from their rows, ranks agents that met the same questions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bench.beliefs import score_beliefs
from bench.errors import UsageError
from bench.intervals import clustered_interval
from bench.metrics import AGREEMENT_RULE, METRICS
from bench.store import OWN_SET, DamagedFileError, RunRecord, find_runs

if TYPE_CHECKING:
    import pandas as pd

JSON_SCHEMA = 1
ROW_FIELDS = (
    "domain",
    "domain_version",
    "agent",
    "users",
    "heldout",
    "seed",
    "agreement_rule",
    "probabilistic",
    "privileged",
    "rank",
    "rhat",
    "ess_bulk",
)
ROUND_FIELDS = (
    "round",
    "accuracy",
    "accuracy_lo",
    "accuracy_hi",
    "agreement",
    "log_score",
    "brier",
    "ece",
    "kl_exact",
    "coverage",
)

RUN_FIELDS = ("note", "tokens", "seconds")
BELIEF_FIELDS = {
    "distance": "belief_distance",
    "accuracy": "belief_accuracy",
    "consistency": "belief_consistency",
    "coverage": "belief_coverage",
}


@dataclass(frozen=True)
class Row:
    """One agent on one domain: `ROW_FIELDS`, and `ROUND_FIELDS` after each round.

    ``group`` holds what two rows must share to be compared; ``population`` is how many users all of its runs draw from;
    ``note`` is the agent's own, with what else is to be known of the run; ``exact_answer`` says what the exact answer
    rests on, where that does not go without saying; ``folder`` is the run's. ``tokens`` and ``seconds`` are what all
    answers took, None where nobody counts tokens; ``beliefs``: `bench.beliefs.score_beliefs` where it states any.
    """

    fields: dict[str, Any]
    rounds: list[dict[str, Any]]
    group: tuple[Any, ...]
    population: int
    note: str | None
    exact_answer: str | None
    folder: Path
    tokens: int | None
    seconds: float | None
    beliefs: list[Mapping[str, Any]] | None

    @property
    def final(self) -> dict[str, Any]:
        """The metrics after the last round."""
        return self.rounds[-1]

    def named_beliefs(self) -> list[dict[str, Any]]:
        """Return `BELIEF_FIELDS` after each round, None where it states no beliefs."""
        none: dict[str, Any] = dict.fromkeys(BELIEF_FIELDS)
        rounds = [none] * len(self.rounds) if self.beliefs is None else self.beliefs
        return [{field: one[name] for name, field in BELIEF_FIELDS.items()} for one in rounds]

    def as_json(self) -> dict[str, Any]:
        """Return the ROW of ``leaderboard --format json``."""
        return {**{name: self.fields[name] for name in ROW_FIELDS}, "rounds": self.rounds}


@dataclass(frozen=True)
class Standings:
    """All rows, grouped and ranked, and what could not be shown, each problem in a sentence."""

    rows: list[Row]
    problems: list[str]

    def groups(self) -> list[list[Row]]:
        """Return the rows that can be compared with each other, best first."""
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

        lines = [
            {**row.fields, "note": row.note, "tokens": row.tokens, "seconds": row.seconds, **one, **beliefs}
            for row in self.rows
            for one, beliefs in zip(row.rounds, row.named_beliefs(), strict=True)
        ]
        frame = pd.DataFrame(lines, columns=[*ROW_FIELDS, *RUN_FIELDS, *ROUND_FIELDS, *BELIEF_FIELDS.values()])
        return frame.astype(dict.fromkeys((*ROUND_FIELDS[1:], *BELIEF_FIELDS.values()), float))  # NaN, not None


def leaderboard(results: str | Path = "results/local") -> pd.DataFrame:
    """Return the leaderboard of all finished runs below a folder, one line for each agent, domain and round.

    Columns are those of ``leaderboard --format json``, shares in [0, 1], log_score and kl_exact in nats an answer; what
    else there is to know of a run (`RUN_FIELDS`); and the metrics of stated beliefs (`bench.beliefs`). NaN
    where an agent has none. What cannot be read is left out, with a warning.

    Raises
    ------
    UsageError
        Where the folder does not exist.

    >>> import bench, tempfile
    >>> results = tempfile.mkdtemp()
    >>> _ = bench.run("flights", "first", users=2, rounds=1, heldout=5, results=results)
    >>> leaderboard(results)[["agent", "round", "coverage"]].values.tolist()
    [['first', 0, 1.0], ['first', 1, 1.0]]
    """
    import warnings

    standings = read_standings(results)
    for problem in standings.problems:
        warnings.warn(problem, stacklevel=2)
    return standings.as_frame()


def read_standings(results: str | Path, only: Sequence[Path] | None = None) -> Standings:
    """Return the standings of the runs below a folder, or of ``only`` some run folders in it."""
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
                problems.append(f"{store.folder} is not finished and left out; run it again to go on where it stopped.")
                continue
            rows.append(_row(record, store.folder, store.rows()))
        except DamagedFileError as error:
            problems.append(f"{error} Its run is left out; run it again to mend it.")
    return Standings(_ranked(rows), problems)


def score(rows: pa.Table, shape: tuple[int, int, int], probabilistic: bool) -> list[dict[str, Any]]:
    """Return the metrics after each round of a finished run: `ROUND_FIELDS`, None where the agent has none.

    ``shape`` is (users, stages, held-out sets) of the run.
    """
    column = _columns(rows, shape)
    probs = np.stack([column(f"prob_{option}") for option in range(3)], axis=-1) if probabilistic else None
    exact = np.stack([column(f"exact_{option}") for option in range(3)], axis=-1)
    values = {name: metric(probs, column("choice"), column("truth"), exact) for name, metric in METRICS.items()}
    rounds = []
    for stage in range(shape[1]):
        one: dict[str, Any] = {"round": stage}
        for name, value in values.items():
            one[name] = None if value is None else float(value[stage] if value.ndim == 1 else value[:, stage].mean())
        assert values["accuracy"] is not None
        one["accuracy_lo"], one["accuracy_hi"] = clustered_interval(values["accuracy"][:, stage])
        rounds.append({name: one[name] for name in ROUND_FIELDS})
    return rounds


def _columns(rows: pa.Table, shape: tuple[int, int, int]) -> Callable[[str], np.ndarray]:
    """Return what gives a column of the held-out answers as an array of a shape, or raise where they do not fill it."""
    heldout = rows.filter(pa.compute.not_equal(rows["question"], OWN_SET))
    heldout = heldout.sort_by([(name, "ascending") for name in ("user", "stage", "question")])
    found = tuple(len(pa.compute.unique(heldout[name])) for name in ("user", "stage", "question"))
    if found != shape or heldout.num_rows != np.prod(shape):
        raise DamagedFileError(
            f"{heldout.num_rows:,} answers are not {shape[0]} users x {shape[1]} stages x {shape[2]} sets."
        )
    return lambda name: heldout[name].to_numpy().reshape(shape)


def _beliefs(rows: pa.Table, shape: tuple[int, int, int]) -> list[Mapping[str, Any]] | None:
    """Return the metrics of stated beliefs, where there are any."""
    if rows["by_beliefs"].null_count == rows.num_rows:
        return None
    column = _columns(rows, shape)
    stated, exact = (
        np.array([[np.stack(levels) for levels in stages] for stages in column(name)[:, :, 0]])
        for name in ("beliefs", "exact_beliefs")
    )
    return score_beliefs(stated, exact, column("by_beliefs"), column("choice"), column("truth"))


def _row(record: RunRecord, folder: Path, rows: pa.Table) -> Row:
    identity = record.identity
    users = record.asked or identity.users
    try:
        shape = (users, identity.rounds + 1, identity.heldout)
        rounds = score(rows, shape, record.agent.probabilistic)
        beliefs = _beliefs(rows, shape)
    except DamagedFileError as error:
        raise DamagedFileError(f"{folder / 'rows.parquet'}: {error}") from error
    fields = {
        "domain": identity.domain.name,
        "domain_version": identity.domain.version,
        "agent": record.agent.name,
        "users": users,
        "heldout": identity.heldout,
        "seed": identity.seed,
        "agreement_rule": AGREEMENT_RULE,
        "probabilistic": record.agent.probabilistic,
        "privileged": record.agent.privileged,
        "rank": 0,
        "rhat": None,
        "ess_bulk": None,
    }
    shared = (identity.domain.name, identity.domain.version, identity.users, identity.heldout, identity.seed)
    return Row(
        fields,
        rounds,
        group=(*shared, len(rounds), identity.domain.model_dump_json()),
        population=identity.users,
        note=_note(record, rows),
        exact_answer=identity.domain.parameters.get("exact_answer"),
        folder=folder,
        tokens=pa.compute.sum(rows["tokens"]).as_py(),
        seconds=record.seconds,
        beliefs=beliefs,
    )


def _note(record: RunRecord, rows: pa.Table) -> str | None:
    bounded = pa.compute.mean(rows["bounded"]).as_py()
    parts = [
        record.agent.note,
        None if bounded is None else f"{bounded:.1%} of answers bounded",
        f"{record.asked} of {record.identity.users} users"
        if record.asked not in (None, record.identity.users)
        else None,
    ]
    return ", ".join(filter(None, parts)) or None


def _ranked(rows: list[Row]) -> list[Row]:
    """Sort by group and accuracy after the last round, and number each group's rows; equal accuracies share a rank."""

    def accuracy(row: Row) -> float:
        return round(row.final["accuracy"], 9)  # sums of the same shares may differ in their last bits

    for row in rows:
        better = [other for other in rows if other.group == row.group and accuracy(other) > accuracy(row)]
        row.fields["rank"] = len(better) + 1
    return sorted(rows, key=lambda row: (row.group, row.fields["rank"], row.fields["agent"]))
