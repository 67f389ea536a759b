"""A cache of answers on disk: one SQLite file that any number of processes can write to at the same time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from filelock import FileLock
from platformdirs import user_cache_path

from beliefbench.errors import BeliefBenchError, UsageError

BUSY_SECONDS = 60.0


class AnswersCache:
    """Texts by key, in ``answers.sqlite``. After `put` has returned, the text survives a kill at any moment.

    >>> import tempfile
    >>> cache = AnswersCache(Path(tempfile.mkdtemp()))
    >>> cache.put("question", "answer")
    >>> cache.get("question"), cache.get("another")
    ('answer', None)
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Open the cache in a folder, which is made if it is missing; None: the user's cache folder.

        Raises
        ------
        UsageError
            If the folder cannot be made.
        BeliefBenchError
            If the file in it cannot be used.
        """
        folder = folder or user_cache_path("beliefbench")
        self.file = folder / "answers.sqlite"
        self._one_at_a_time = Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Two processes that both make a new file a WAL one would refuse each other, timeout or not.
            with self._sentences(), FileLock(folder / ".answers.lock"):
                self._connection = sqlite3.connect(
                    self.file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
                )
                self._connection.text_factory = bytes  # a damaged text is no UTF-8
                self._connection.execute("PRAGMA journal_mode=WAL")
                # Under WAL this can lose the last answers if the machine goes down, none if the process does.
                self._connection.execute("PRAGMA synchronous=NORMAL")
                self._connection.execute(
                    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID"
                )
        except OSError as error:
            raise UsageError(
                f"answers cannot be stored in '{folder}' ({error.strerror}); name another folder with cache=FOLDER."
            ) from error

    def get(self, key: str) -> str | None:
        """Return the text of a key; None if there is none, or if what is stored is no text."""
        with self._one_at_a_time, self._sentences():
            row = self._connection.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        try:
            return None if row is None else row[0].decode()
        except (AttributeError, UnicodeDecodeError):
            return None

    def put(self, key: str, answer: str) -> None:
        """Store an answer; an existing one is not replaced."""
        with self._one_at_a_time, self._sentences():
            self._connection.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (key, answer))

    def drop(self, key: str) -> None:
        """Remove an answer that is damaged, so that another can be stored."""
        with self._one_at_a_time, self._sentences():
            self._connection.execute("DELETE FROM answers WHERE key = ?", (key,))

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise BeliefBenchError(
                f"the answers stored in '{self.file}' cannot be used ({error}); move that file away, "
                "or name another folder, on a local disk, with cache=FOLDER."
            ) from error
