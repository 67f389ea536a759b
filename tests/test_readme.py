"""README: it is short, and its table is the published one."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def test_it_is_short_and_has_one_table():
    assert len(README.splitlines()) < 130
    assert len(re.findall(r"^\|-", README, re.MULTILINE)) == 1
    rows = [cells(line) for line in README.splitlines() if line.startswith("|")]
    assert len(rows) <= 2 + 10
    assert {len(row) for row in rows} == {8}


def test_its_table_is_the_published_one():
    published = (ROOT / "results" / "leaderboard.md").read_text()
    flights = published.partition("**flights (version 1): 624 users, 5 rounds, 100 held-out sets, seed 0**")[2]
    found: dict[str, dict[str, str]] = {}
    for table in re.findall(r"(?:^\|.+\n)+", flights, re.MULTILINE)[:2]:  # by round: accuracy and scores; ECE
        head, _, *rows = map(cells, table.splitlines())
        for row in rows:
            agent = row[1].partition(" ○")[0]
            found.setdefault(agent, {}).update(zip(head, [row[0], agent, *row[2:]], strict=True))
    head, _, *rows = [cells(line) for line in README.splitlines() if line.startswith("|")]
    assert rows == [[row[column] for column in head] for row in found.values()]
