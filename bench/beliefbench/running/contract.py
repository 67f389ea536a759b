"""What an agent's identity, note and answers must be (`beliefbench.agent`), checked in every run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from beliefbench.agent import Agent, Prediction
from beliefbench.domain import OPTIONS, json_value
from beliefbench.errors import BeliefBenchError, cut, guarded
from beliefbench.folders import well_formed
from beliefbench.running.files import RANGES

LONGEST_NOTE = 1000
"""Characters of a note that are kept."""
SUMS_TO = 1e-6  # of 1: how far the sum of an agent's probabilities may be from it
LARGEST_IDENTITY = 2**20
"""Characters of the longest identity of an agent."""
LARGEST_TEXT = 2**20
"""Characters of the longest text of an answer."""


def identity_of(agent: Agent) -> dict[str, Any]:
    """Return the name, the version and the identity of an agent, as JSON values.

    Raises
    ------
    BeliefBenchError
        If its ``identity()`` is no JSON object of 1 MB at most, changes from call to call, or has another name.
    """
    who = f"agent '{agent.name}':"
    with guarded(f"{who} identity() raised"):
        told, again = agent.identity(), agent.identity()
    if not isinstance(told, Mapping):
        raise BeliefBenchError(f"{who} identity() is a {type(told).__name__}; expected a dict of JSON values.")
    with guarded(f"{who} identity() cannot be read:"):
        found, second = (_json_of(one, who) for one in (told, again))
    if found != second:
        other = next(key for key in {**found, **second} if found.get(key) != second.get(key))
        raise BeliefBenchError(
            f"{who} identity() changes from call to call (its '{cut(other, 60)}'); expected the same values each time."
        )
    own = json_value({"name": agent.name, "version": agent.version}, who)
    for name, value in own.items():
        if found.get(name, value) != value:
            raise BeliefBenchError(f"{who} identity() has another {name} than the agent; leave it out.")
    return own | found


def _json_of(told: Any, who: str) -> dict[str, Any]:
    found: dict[str, Any] = json_value(told, f"{who} identity()")
    if (size := len(json.dumps(found))) > LARGEST_IDENTITY:
        raise BeliefBenchError(
            f"{who} identity() has {size:,} characters as JSON; expected {LARGEST_IDENTITY:,} at most: give a digest "
            "of what is large."
        )
    return found


def note_of(agent: Any) -> str | None:
    """Return the note of an agent; raise `BeliefBenchError` if it is neither text nor None."""
    with guarded(f"agent '{agent.name}': asking for its note raised"):
        return as_note(agent, getattr(agent, "note", None))


def as_note(agent: Any, note: Any) -> str | None:
    """Return what an agent gave as its note, cut to `LONGEST_NOTE`; raise `BeliefBenchError` if it is no text."""
    if not (note is None or isinstance(note, str)):
        raise BeliefBenchError(f"agent '{agent.name}': its note is a {type(note).__name__}; expected text or None.")
    return note and cut(well_formed(note), LONGEST_NOTE)


def check_answers(answers: Any, shape: tuple[int, ...], agent: Agent) -> None:
    """Raise `BeliefBenchError` if answers for ``shape`` = (users, sets) break the agent contract."""
    who = f"agent '{agent.name}' broke its contract:"
    if not isinstance(answers, Prediction):
        raise BeliefBenchError(f"{who} predict gave a {type(answers).__name__}; expected a beliefbench.Prediction.")
    choice, probs = np.asarray(answers.choice), answers.probs
    if choice.shape != shape or not np.issubdtype(choice.dtype, np.integer):
        raise BeliefBenchError(f"{who} choice is {choice.dtype}{list(choice.shape)}; expected int{list(shape)}.")
    if choice.min() < -1 or choice.max() >= OPTIONS:
        raise BeliefBenchError(f"{who} choices are 0, 1, 2, or -1 for none; got {choice.min()} to {choice.max()}.")
    if (probs is not None) != agent.probabilistic:
        raise BeliefBenchError(f"{who} probabilistic is {agent.probabilistic}, but probs is {type(probs).__name__}.")
    if answers.beliefs is not None:
        beliefs = np.asarray(answers.beliefs)
        if beliefs.ndim != 3 or len(beliefs) != shape[0]:
            raise BeliefBenchError(f"{who} beliefs have shape {list(beliefs.shape)}; expected [users, scales, levels].")
        usable = beliefs[~np.isnan(beliefs).any(axis=-1)]
        if (usable < 0).any() or (abs(usable.sum(axis=-1) - 1) > 1e-6).any():
            raise BeliefBenchError(f"{who} beliefs must be numbers of 0 or more that sum to 1 for each scale, or NaN.")
    _check_more(answers, shape, who)
    if probs is None:
        return
    if np.shape(probs) != (*shape, OPTIONS):
        raise BeliefBenchError(f"{who} probs have shape {list(np.shape(probs))}; expected {[*shape, OPTIONS]}.")
    given = np.asarray(probs, np.float64)[choice >= 0]
    if not (np.isfinite(given).all() and (given >= 0).all()):
        raise BeliefBenchError(f"{who} probs must be numbers of 0 or more that sum to 1 for each set.")
    if len(given) and (furthest := float(abs(given.sum(axis=-1) - 1).max())) >= SUMS_TO:
        raise BeliefBenchError(
            f"{who} probs must sum to 1 for each set, to within {SUMS_TO:g}; a sum differs by {furthest:.1e} (they are "
            f"{np.asarray(probs).dtype}: divide them by their sum in float64)."
        )


def _check_more(answers: Prediction, shape: tuple[int, ...], who: str) -> None:
    """Raise `BeliefBenchError` if what goes with the answers, such as their texts, is not what `Prediction` says."""
    for name, kind, expected in (
        ("text", "O", f"text or None, {LARGEST_TEXT:,} characters each at most"),
        ("tokens", "iu", "whole numbers from 0 to 2,147,483,647"),
        ("seconds", "iuf", "numbers from 0 to 1e9, or NaN"),
        ("bounded", "b", "True or False"),
    ):
        value = getattr(answers, name)
        if value is None:
            continue
        given = np.asarray(value, dtype=object if name == "text" else None)
        right = given.shape == shape and given.dtype.kind in kind
        if right and name == "text":
            right = all(one is None or (isinstance(one, str) and len(one) <= LARGEST_TEXT) for one in given.flat)
        if right and name in ("tokens", "seconds"):
            least, most = RANGES[name]
            right = bool((np.isnan(given) | ((given >= least) & (given <= most))).all())
        if not right:
            raise BeliefBenchError(
                f"{who} {name} is {given.dtype}{list(given.shape)}, "
                f"{cut(repr(given.flat[0] if given.size else value), 60)}, ...; expected {list(shape)} of {expected}."
            )
    counts = answers.counts
    if counts is not None and not (
        isinstance(counts, Mapping) and all(isinstance(key, str) and type(one) is int for key, one in counts.items())
    ):
        raise BeliefBenchError(f"{who} counts is {cut(repr(counts), 60)}; expected a dict from words to whole numbers.")
