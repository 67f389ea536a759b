"""The user's own folders, for data and caches."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

LARGEST_CACHE = 2**29
"""Bytes of compiled programs that are kept; the least recently used are removed first."""


def data_folder() -> Path:
    """Return the folder of imported data: ``$BELIEFBENCH_DATA``, or the user's own data folder."""
    given = os.environ.get("BELIEFBENCH_DATA")
    return Path(given) if given else user_data_path("beliefbench")


def keep_compiled_programs() -> None:
    """Let JAX keep its compiled programs in the user's cache folder, unless ``$JAX_COMPILATION_CACHE_DIR`` is set.

    Without it, each process compiles everything anew. It must be called before JAX is imported. Each kind of
    processor has a folder of its own, since programs are compiled for one.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:  # a size limit would not fit what others keep there
        return
    folder = user_cache_path("beliefbench") / "jax" / hashlib.sha256(_processor().encode()).hexdigest()[:16]
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"] = str(LARGEST_CACHE)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def _processor() -> str:
    try:
        flags = [
            line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("flags", "Features"))
        ]
    except OSError:
        flags = []
    return f"{platform.machine()} {platform.processor()} {flags[:1]}"
