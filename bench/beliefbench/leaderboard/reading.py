"""From the files of a run to its row: everything is recomputed from the answers, once for the same files and code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from beliefbench.errors import BeliefBenchError, cut, in_short, printable
from beliefbench.leaderboard.naming import agent_names
from beliefbench.leaderboard.row import BOUNDED, Row
from beliefbench.publishing.evidence import FILE, attested, metrics_of, read_evidence
from beliefbench.publishing.reproductions import read_attested
from beliefbench.publishing.several import found_here
from beliefbench.publishing.signatures import signature_of
from beliefbench.running.derived import keep, key_of, recalled, run_digest
from beliefbench.running.files import DamagedFileError, is_plain
from beliefbench.running.store import RunRecord, RunStore, run_key
from beliefbench.scoring.diagnostics import diagnostic_metrics
from beliefbench.scoring.heldout import answers_of
from beliefbench.scoring.metrics import AGREEMENT_RULE
from beliefbench.scoring.scores import score, score_beliefs_of_run
from beliefbench.skill.counts import Counts

_VERIFY = "`beliefbench verify {}` says why."


def read_row(store: RunStore, trusted: Path | None = None) -> Row | str:
    """Return the row of a run, or why there is none; ``trusted`` is the reader's file of trusted keys."""
    try:
        digest = run_digest(store.folder)
        record = store.record()
        if record is None or record.finished is None or not is_plain(store.rows_file):
            return _unfinished(store)
        if record.key != run_key(record.identity.json_values()):
            return f"{store.folder}: the key in run.json is not that of its identity. Its run is left out."
        key = key_of("row", run=digest)
        values = recalled(key)
        if values is None:
            values = measured(record, store.folder, store.rows())
            if run_digest(store.folder) == digest:  # nobody changed them while they were read
                keep(key, values)
        row = replace(row_of(record, store.folder, values), digest=digest)
        agent_names([record])
        return _marked(row, digest, trusted)
    except DamagedFileError as error:
        return f"{error} Its run is left out; run it again to mend it."
    except BeliefBenchError as error:
        return f"{error} Its run is left out."
    except Exception as error:  # nobody foresees all that a stranger's file can hold, and the other runs are shown
        return f"{store.folder} cannot be read ({in_short(error)}). Its run is left out."


def _marked(row: Row, digest: str, trusted: Path | None) -> Row:
    """Return a row with what is known of its files: whether they are intact, and who says that they are reproduced."""
    folder, found = row.folder, found_here(row.folder, digest)
    row = replace(row, flags=tuple(found.get("flags", ())), failed=tuple(found.get("failed", ())))
    if not (folder / FILE).exists():
        return row
    if not row.published:
        failed = row.failed or (f"it is not what its {FILE} attests",)
        warning = f"{folder} is not what its {FILE} attests; {_VERIFY.format(folder)}"
        return replace(row, failed=failed, warnings=(warning,))
    evidence = read_evidence(folder)
    said = read_attested(folder, row.record, evidence.files if evidence else None, trusted)
    warnings = [f"{folder / name}: {why} It is not shown." for name, why in said.wrong.items()]
    if found.get("intact") is False:
        warnings.append(f"{folder} is not intact; {_VERIFY.format(folder)}")
    row = replace(row, found_intact=found.get("intact"), probs=found.get("probs"), warnings=tuple(warnings))
    signature = signature_of(folder / FILE).name
    if signature in said.wrong:
        row = replace(row, found_intact=False, failed=(*row.failed, f"{signature}: {said.wrong[signature]}"))
    return replace(row, signer=said.signer, claims=tuple(said.claims))


def measured(record: RunRecord, folder: Path, rows: pa.Table) -> dict[str, Any]:
    """Return all that a row of the leaderboard takes from the rows of a run, as JSON values."""
    try:
        answers = answers_of(record, rows)
        beliefs = score_beliefs_of_run(rows, answers.choice.shape)
    except DamagedFileError as error:
        raise DamagedFileError(f"{folder / 'rows.parquet'}: {error}") from error
    rounds, counts = score(answers), Counts.of(answers)
    return {
        "rounds": rounds,
        "beliefs": beliefs,
        "diagnostics": diagnostic_metrics(answers),
        "users": counts.users.tolist(),
        "right": counts.right.tolist(),
        "exact": counts.exact.tolist(),
        "tokens": pa.compute.sum(rows["tokens"]).as_py(),
        "bounded": pa.compute.mean(rows["bounded"]).as_py(),
        "published": attested(folder, rows.num_rows, metrics_of(rounds, beliefs)),
    }


def row_of(record: RunRecord, folder: Path, values: dict[str, Any]) -> Row:
    """Return the row of a run, given what `measured` says of its rows. It has no rank yet."""
    identity = record.identity
    users, rounds = np.array(values["users"], np.int32), values["rounds"]
    fields: dict[str, Any] = {
        "domain": printable(identity.domain.name),
        "domain_version": printable(identity.domain.version),
        "agent": printable(record.agent.name),
        "users": len(users),
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
    return Row(
        fields,
        fields["agent"],
        rounds,
        group=(*shared, len(rounds), identity.domain.model_dump_json()),
        population=identity.users,
        note=_note(record, values["bounded"]),
        exact_answer=_exact_answer(identity.domain.parameters),
        record=record,
        folder=folder,
        tokens=values["tokens"],
        seconds=record.seconds,
        beliefs=values["beliefs"],
        diagnostics=values["diagnostics"],
        counts=Counts(users, np.array(values["right"]), identity.heldout, np.array(values["exact"])),
        published=values["published"],
    )


def _exact_answer(parameters: Mapping[str, Any]) -> str | None:
    said = parameters.get("exact_answer")
    return printable(cut(said)) if isinstance(said, str) else None


def _note(record: RunRecord, bounded: float | None) -> str | None:
    parts = [
        record.agent.note and printable(record.agent.note),
        None if bounded is None or bounded < 0.0005 else f"{bounded:.1%} {BOUNDED}",  # 0.0% would say nothing
        f"{record.asked} of {record.identity.users} users"
        if record.asked not in (None, record.identity.users)
        else None,
    ]
    return ", ".join(filter(None, parts)) or None


def _unfinished(store: RunStore) -> str:
    if store.is_held():
        return f"{store.folder} is running now, and left out until it is finished."
    return f"{store.folder} is not finished and left out; the same `beliefbench run` command continues it."
