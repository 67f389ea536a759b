"""Which processes a test has started, by what stands in their command or environment."""

from __future__ import annotations

import time
from pathlib import Path


def ours(*words: str) -> list[int]:
    """The processes whose command or environment has all these words."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue
        if all(word.encode() in told for word in words):
            found.append(int(process.name))
    return found


def descendants(of: int, title: str) -> list[int]:
    """The processes below a process whose command begins with a title."""
    parents, titled = {}, []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if (process / "cmdline").read_bytes().startswith(title.encode()):
                titled.append(int(process.name))
        except OSError:
            continue

    def below(one: int) -> bool:
        return one in parents and (parents[one] == of or below(parents[one]))

    return [one for one in titled if below(one)]


def assert_none_left(mark: Path) -> None:
    """Ray's processes see that they are no longer needed within seconds."""
    until = time.monotonic() + 20
    while left := ours("MARK", str(mark)):
        assert time.monotonic() < until, left
        time.sleep(0.2)
