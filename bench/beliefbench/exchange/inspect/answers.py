"""A user's answers in a log of Inspect, as JSON values and as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from beliefbench.scoring.heldout import HeldOut

STORED, ANSWERS = "beliefbench", "answers"
"""The names under which a sample's store has what was answered, and this has the answers to held-out sets."""


def heldout_of(answers: Mapping[str, Any]) -> HeldOut:
    """Return a user's answers as arrays, from JSON."""
    probs = answers["probs"]
    return HeldOut(
        np.array([answers["user"]]),
        None if probs is None else np.array(probs, np.float64)[None],
        np.array(answers["choice"])[None],
        np.array(answers["truth"])[None],
        np.array(answers["exact"])[None],
    )


def answers_of(heldout: HeldOut) -> dict[str, Any]:
    """Return a user's answers to held-out sets as JSON values: stages x sets."""
    return {
        "user": int(heldout.users[0]),
        "choice": heldout.choice[0].tolist(),
        "truth": heldout.truth[0].tolist(),
        "probs": None if heldout.probs is None else np.nan_to_num(heldout.probs[0], nan=1 / 3).tolist(),
        "exact": heldout.exact[0].tolist(),
    }


def of_user(heldout: HeldOut, place: int) -> HeldOut:
    """Return the answers of the user at a position."""
    one = slice(place, place + 1)
    probs = None if heldout.probs is None else heldout.probs[one]
    return HeldOut(heldout.users[one], probs, heldout.choice[one], heldout.truth[one], heldout.exact[one])


def together(users: Sequence[HeldOut]) -> HeldOut:
    """Return the answers of several users, in ascending order."""
    ordered = sorted(users, key=lambda one: int(one.users[0]))
    probs = (
        None if ordered[0].probs is None else np.concatenate([one.probs for one in ordered if one.probs is not None])
    )
    rest = (np.concatenate(values) for values in zip(*(one[2:] for one in ordered), strict=True))
    return HeldOut(np.concatenate([one.users for one in ordered]), probs, *rest)
