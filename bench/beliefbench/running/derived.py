"""What follows from the files of runs, kept in the user's cache folder: metrics, pictures, and checks that passed.

An entry is found by everything that it follows from: the bytes of the files, the source files of this package, and the
versions of the packages that compute it. So an entry is never older than its runs or its code. An entry that cannot be
read, or is not what it says, counts as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from beliefbench.errors import BeliefBenchError
from beliefbench.running.files import LARGEST_ROWS, is_plain
from beliefbench.running.packing import EXACT_NAME

LARGEST = 2**28
"""Bytes of entries that are kept; the least recently used are removed first."""
SOURCES = {".py", ".json", ".csv", ".html", ".css", ".js", ".jinja"}
PACKAGES = (
    "arviz-base",
    "arviz-stats",
    "jax",
    "jaxlib",
    "jinja2",
    "matplotlib",
    "numpy",
    "numpyro",
    "pandas",
    "pyarrow",
    "scipy",
    "xarray",
)


def recalled(key: str) -> Any:
    """Return the value that was kept under a key of `key_of`; None if there is none."""
    file = _folder() / key
    try:
        said, _, value = file.read_bytes().partition(b"\n")
        if said.decode() != _seal(key, value):
            return None
        os.utime(file)  # it was used last now
        return json.loads(value)
    except (OSError, ValueError):
        return None


def keep(key: str, value: Any) -> None:
    """Keep a JSON value under a key of `key_of`. If the cache folder cannot be written, nothing is kept.

    >>> key = key_of("example", number=1)
    >>> keep(key, [0.1, None])
    >>> recalled(key)
    [0.1, None]
    """
    content = json.dumps(value, separators=(",", ":")).encode()
    folder = _folder()
    draft = folder / f".{key}.{secrets.token_hex(8)}.tmp"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(_seal(key, content).encode() + b"\n" + content)
            draft.replace(folder / key)
        finally:
            draft.unlink(missing_ok=True)


def remove_least_used() -> None:
    """Remove the least recently used entries, if all take more than `LARGEST` bytes."""
    with suppress(OSError):
        entries = sorted(((one.stat(), one.path) for one in os.scandir(_folder())), key=lambda one: -one[0].st_mtime)
        size = 0
        for stat, path in entries:
            size += stat.st_size
            if size > LARGEST:
                Path(path).unlink(missing_ok=True)


def key_of(what: str, **follows_from: Any) -> str:
    """Return the key of a value: ``what`` it is, the JSON values that it follows from, and the code that computes it.

    >>> key_of("metrics", run="0123") == key_of("metrics", run="4567")
    False
    """
    return _sha(json.dumps([what, follows_from, code_digest()], sort_keys=True).encode())


def run_digest(folder: Path) -> str:
    """Return the digest of the files of a finished run: its own, and the exact answers in its domain's folder."""
    own = [folder / name for name in ("run.json", "rows.parquet", "evidence.json")]
    shared = sorted(file for file in folder.parent.parent.glob("exact-*") if re.fullmatch(EXACT_NAME, file.name))
    return _sha(json.dumps([_file_digest(own_file) for own_file in own] + [_named(file) for file in shared]).encode())


def answers_digest(folder: Path) -> str:
    """Return the digest of a run's record and rows, wherever they lie."""
    return _sha(json.dumps([_file_digest(folder / name) for name in ("run.json", "rows.parquet")]).encode())


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return the digest of this package's source files, and of the versions of the packages that it computes with."""
    root = Path(__file__).parents[1]
    files = [
        Path(folder, name)
        for folder, _, names in os.walk(root, followlinks=True)  # domains and agents are links
        for name in names
        if Path(name).suffix in SOURCES
    ]
    sources = {file.relative_to(root).as_posix(): _file_digest(file) for file in files}
    return _sha(json.dumps([sources, _versions()], sort_keys=True).encode())


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _folder() -> Path:
    return user_cache_path("beliefbench") / "derived"


def _seal(key: str, content: bytes) -> str:
    """Return what the first line of an entry must be: a digest of its key and its content."""
    return _sha(key.encode() + content)


def _named(file: Path) -> list[str | None]:
    return [file.name, _file_digest(file)]


def _file_digest(file: Path) -> str | None:
    """Return the SHA-256 of a file's bytes; None if it is missing, or nothing that a run is read from."""
    try:
        if not is_plain(file) or file.stat().st_size > LARGEST_ROWS:
            return None
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except (FileNotFoundError, BeliefBenchError):
        return None


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
