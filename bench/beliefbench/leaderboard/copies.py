"""Runs beside each other: copies of one run, and answers that two runs share."""

from __future__ import annotations

from dataclasses import replace

from beliefbench.leaderboard.row import Row
from beliefbench.publishing.evidence import FILE
from beliefbench.publishing.several import SAME_PROBS
from beliefbench.running.packing import pack_rows
from beliefbench.running.store import RunStore


def without_copies(rows: list[Row]) -> tuple[list[Row], list[str]]:
    """Return rows, one a run, and a sentence for each copy of a run that is left out and differs from the one shown.

    A published copy stands for the run that it was packed from. If they differ, the run that is not published counts:
    anybody can publish, under the identity of your run, what they like.
    """
    copies: dict[str, list[Row]] = {}
    for row in rows:
        copies.setdefault(row.record.key, []).append(row)
    left_out, problems = set(), []
    for some in copies.values():
        some.sort(key=lambda row: (not row.intact, not row.published))
        differ = {row.folder: said for row in some[1:] if (said := _difference(some[0], row))}
        # A run that is not what its evidence attests is not a local run, but a damaged or an edited one.
        shown = next((row for row in some if row.folder in differ and not (row.folder / FILE).exists()), some[0])
        for row in some:
            if row is shown:
                continue
            left_out.add(row.folder)
            if said := _difference(shown, row):
                problems.append(
                    f"{row.folder} and {shown.folder} are the same run with {said}; the second is shown, and one is "
                    "forged, damaged, or was asked on another machine."
                )
    return [row for row in rows if row.folder not in left_out], problems


def _difference(one: Row, other: Row) -> str:
    """Return what differs in two copies of a run, in words; an empty text if nothing does.

    Packing rounds probabilities and makes no new ties, so that packed rows of the same answers are equal.
    """
    if one.record != other.record:
        what = {name for name, value in one.record if value != getattr(other.record, name)}
        if what - {"started", "finished", "resumed", "versions", "machine", "seconds", "spec"}:
            return "another record of its agent"
    packed = [pack_rows(RunStore(row.folder).rows(), "") for row in (one, other)]
    if not packed[0].equals(packed[1]):
        return "other answers"
    return "" if one.record == other.record else "other times, machines or SPECs"


def with_flags(rows: list[Row]) -> list[Row]:
    """Return rows with what is implausible in them, and which checks they failed, in their notes."""
    by_probs: dict[str, list[Row]] = {}
    for row in rows:
        if row.probs:
            by_probs.setdefault(row.probs, []).append(row)
    flagged = []
    for row in rows:
        others = [other.folder for other in by_probs.get(row.probs or "", []) if other is not row]
        flags = (*row.flags, *([f"{SAME_PROBS} {others[0]}"] if others else []))
        said = [*(f"failed `verify` here: {one}" for one in row.failed), *(f"flagged: {flag}" for flag in flags)]
        note = ", ".join(filter(None, [row.note, *said])) or None
        flagged.append(replace(row, flags=flags, note=note))
    return flagged
