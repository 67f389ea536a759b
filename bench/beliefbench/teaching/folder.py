"""The folder of a training: what it belongs to, and its checkpoints for continuing after a stop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.folders import regular, write_atomically

TEACHING, LOCK = "teaching.json", ".lock"
LONGEST = 40  # characters of a value that are shown; the digest of a file has 64


def is_finished(out: Path, about: dict[str, Any]) -> bool:
    """Return True if a folder holds this training, finished; False if the training can be started or continued there.

    Raises
    ------
    UsageError
        If the folder holds anything else.
    """
    file = out / TEACHING
    try:
        known = json.loads(regular(file).read_text()) if file.exists() else None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"'{file}' cannot be read; name another folder with --out.") from error
    if known is None:
        if out.exists() and (not out.is_dir() or any(one.name != LOCK for one in out.iterdir())):
            raise UsageError(
                f"'{out}' is not an empty folder, and no training was begun in it; name another with --out."
            )
        return False
    if isinstance(known, dict) and not set(about) <= set(known):
        raise UsageError(f"'{out}' holds a model that was taught in another way; name another folder with --out.")
    if different := _differences(known, about):
        raise UsageError(f"'{out}' holds another training ({different}); name another folder with --out.")
    return "finished" in known


def _differences(known: dict[str, Any], about: dict[str, Any], of: str = "") -> str:
    """Return in which settings two trainings differ, with both values.

    >>> _differences({"seed": 0, "settings": {"batch": 128}}, {"seed": 0, "settings": {"batch": 8}})
    'settings.batch is 128 there and 8 here'
    """
    found = []
    for name, here in about.items():
        there = known.get(name)
        if isinstance(here, dict) and isinstance(there, dict):
            found.append(_differences(there, here, f"{of}{name}."))
        elif there != here:
            found.append(f"{of}{name} is {_short(there)} there and {_short(here)} here")
    return "; ".join(filter(None, found))


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


@contextmanager
def claimed(out: Path, about: dict[str, Any]) -> Iterator[None]:
    """Lock a folder for a training that is started or continued.

    Raises
    ------
    UsageError
        If the folder cannot be written.
    BeliefBenchError
        If another process has locked it; a killed process holds no lock.
    """
    lock = FileLock(out / LOCK)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        write_atomically(out / TEACHING, as_json(about))
    except Timeout as error:
        raise BeliefBenchError(f"another process is teaching in '{out}'; wait for it to end.") from error
    except OSError as error:
        raise UsageError(f"'{out}' cannot be written ({error.strerror}); name another folder with --out.") from error
    try:
        yield
    finally:
        lock.release()


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the latest complete checkpoint, or None. A checkpoint is complete when it has the Trainer's state, which
    is written last."""
    whole = [
        one.parent
        for one in folder.glob("checkpoint-*/trainer_state.json")
        if _is_json(one) and all(map(_is_tensors, one.parent.glob("*.safetensors")))
    ]
    return max(whole, key=lambda one: int(one.name.rpartition("-")[2]), default=None)


def _is_tensors(file: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np"):
            return True
    except SafetensorError:
        return False


def _is_json(file: Path) -> bool:
    try:
        json.loads(regular(file).read_text())
    except (ValueError, RecursionError):
        return False
    return True


def as_json(told: dict[str, Any]) -> bytes:
    """Return the record as the content of a file."""
    return (json.dumps(told, indent=2) + "\n").encode()
