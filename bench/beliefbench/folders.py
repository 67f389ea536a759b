"""The user's own folders; names as they may stand in a path; files that may be opened, and files written as a whole."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

LARGEST_CACHE = 2**29
"""Bytes of compiled programs that are kept; the least recently used are removed first."""

LONGEST = 255
"""Bytes of the longest file name in most file systems."""


def data_folder() -> Path:
    """Return the folder of imported data: ``$BELIEFBENCH_DATA``, or the user's own data folder."""
    given = os.environ.get("BELIEFBENCH_DATA")
    return Path(given) if given else user_data_path("beliefbench")


def keep_compiled_programs() -> None:
    """Let JAX keep its compiled programs in the user's cache folder, unless ``$JAX_COMPILATION_CACHE_DIR`` is set.

    Without it, each process compiles everything anew. It must be called before JAX is imported. Each kind of
    processor has a folder of its own, since programs are compiled for one. Other JAX programs of the process are kept
    too.
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


def well_formed(text: str) -> str:
    r"""Return text that UTF-8 can hold: lone surrogates, which stand for other bytes in a path, become escapes.

    >>> print(well_formed("model-\udcff"))
    model-\udcff
    """
    return text.encode("utf-8", "backslashreplace").decode()


def file_name(name: str, longest: int = LONGEST) -> str:
    """Return a name as it may stand in a path.

    Characters that file systems do not accept become hyphens. A name without any other character, and a name of more
    than ``longest`` bytes, end with a digest of the name.

    >>> file_name("prompted:smollm2"), file_name("..."), len(file_name("x" * 1000))
    ('prompted-smollm2', 'name-ab5df625', 255)
    """
    name = well_formed(name)
    plain = re.sub(r"[^\w.+=-]+", "-", name).strip("-.")
    if plain and len(plain.encode()) <= longest:
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{plain.encode()[: longest - 9].decode(errors='ignore') or 'name'}-{digest}"


def regular(file: Path) -> Path:
    """Return a path that may be opened: a file or a folder, or nothing at all.

    Raises
    ------
    OSError
        If it is a pipe or a device: opening a pipe would wait for ever.

    >>> regular(Path("/dev/null"))
    Traceback (most recent call last):
    OSError: [Errno 22] not a regular file: '/dev/null'
    """
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise OSError(errno.EINVAL, "not a regular file", str(file))
    return file


def write_atomically(file: Path, content: bytes) -> None:
    """Write and sync a temporary file, then rename it into place: a kill at any moment leaves the old file or the new
    one.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "note"
    >>> write_atomically(file, b"whole")
    >>> file.read_bytes(), len(list(file.parent.iterdir()))
    (b'whole', 1)
    """
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with draft.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
