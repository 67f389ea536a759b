"""Ten runs forged in ten ways: none stands as reproduced, and those that are intact are called no more than that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.leaderboard.ranking import read_leaderboard
from beliefbench.leaderboard.row import Row, Standing
from beliefbench.publishing.publish import publish
from beliefbench.publishing.reproductions import write_record
from beliefbench.publishing.several import verify_all
from beliefbench.publishing.verify import verify_run
from beliefbench.running.store import RunStore

from .forgeries import FORGERIES, SHAPE
from .openssh import needs_ssh_keygen
from .tampering import failed, said
from .test_signatures import made_key, trusting

FAIL = {
    "random, always right": {"choices"},
    "the exact answers as random's": set(),
    "the oracle, not privileged": {"SPEC"},
    "the oracle with the SPEC of another agent": {"SPEC"},
    "random with its own answers as the exact ones": {"exact answers"},
    "random with a setting that it never had": {"SPEC"},
    "an invented note, time and machine": {"SPEC"},
}
"""The checks that fail without asking the agent again, where any does."""
FLAGGED = {
    "random, always right": "more answers than its choices can be",
    "the exact answers as a language model's": "equal the exact ones to the last digit",
    "the exact answers as a server's": "equal the exact ones to the last digit",
    "the exact answers as random's": "equal the exact ones to the last digit",
    "the oracle, not privileged": "more answers than its choices can be",
    "the oracle with a SPEC that cannot be loaded": "more answers than its choices can be",
    "the oracle with the SPEC of another agent": "more answers than its choices can be",
}
MODEL = "the exact answers as a language model's"


def forged_record(folder: Path, by: str = "Ada Lovelace", key: Path | None = None) -> None:
    """Write the record of a reproduction that never was, as `verify --by` would."""
    record = RunStore(folder).record()
    files = json.loads((folder / "evidence.json").read_text())["files"]
    figures = {"users": 24, "answers": 24 * record.identity.rows_per_user, "seed": 1, "choices_differ": 0.0}
    if record.agent.probabilistic:
        figures["probabilities_differ"] = 0.0
    write_record(folder, record.key, files, by, figures, key)


def row_of(out: Path, trusted: Path | None = None) -> Row:
    (row,) = read_leaderboard(out, trusted=trusted).rows
    return row


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.reference) if name == MODEL else name for name in FORGERIES]
)
def test_no_forged_run_stands_as_reproduced(tmp_path, name, monkeypatch):
    out = tmp_path / "out"
    folder = FORGERIES[name](out)
    (report,) = verify_all(out)
    assert failed(report) == FAIL.get(name, set()), said(report)
    assert report.intact == (not FAIL.get(name))
    if name in FLAGGED:
        assert any(FLAGGED[name] in flag for flag in report.flags), said(report)
    doubtful = name in FLAGGED or not report.intact
    assert row_of(out).standing == (Standing.doubtful if doubtful else Standing.intact)

    if name != MODEL:  # it would load the model; what it answers is tested in tests/language
        again = verify_run(folder, rerun=2)
        assert again.asked_again is None or not again.intact, said(again)
        assert "  reproduced:" not in said(again)

    forged_record(folder)
    (report,) = verify_all(out)
    assert "  reproduced:" not in said(report)
    row = row_of(out)
    assert row.standing == (Standing.doubtful if doubtful else Standing.claimed)
    assert ("Ada Lovelace" in said(report)) == report.intact == ("Ada Lovelace" in row.reproduced)
    assert "anybody can write this" in said(report) or not report.intact


@needs_ssh_keygen
def test_a_key_of_the_forger_makes_no_reproduction(tmp_path):
    """Even where the reader trusts others, and where the forger names the key as theirs."""
    out = tmp_path / "out"
    folder = FORGERIES["the exact answers as random's"](out)
    eve = made_key(tmp_path, "eve")
    forged_record(folder, "ada@example.org", eve)
    list(verify_all(out))
    trusted = trusting(tmp_path, made_key(tmp_path, "ada"))
    row = row_of(out, trusted)
    assert row.standing == Standing.doubtful
    assert "signed with the unknown key SHA256:" in row.reproduced


@needs_ssh_keygen
def test_a_signed_record_of_an_honest_run_is_no_record_of_another(tmp_path):
    out = tmp_path / "out"
    ada = made_key(tmp_path, "ada")
    honest = publish(bb.run("flights-2", "bayesian", **SHAPE, results=tmp_path / "local").folder, tmp_path / "honest")
    forged_record(honest.folder, "Ada", ada)
    folder = FORGERIES["the exact answers as random's"](out)
    for file in honest.folder.glob("reproduced-1.json*"):
        shutil.copy(file, folder)
    (report,) = verify_all(out, trusted=trusting(tmp_path, ada))
    assert failed(report) == {"reproduced-1.json"}
    row = row_of(out, tmp_path / "trusted")
    assert (row.standing, row.intact, row.reproduced) == (Standing.doubtful, True, "")
