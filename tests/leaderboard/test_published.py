"""What the repository publishes: its runs, and the table made of them (tests/test_readme.py: the README shows it)."""

import re
from pathlib import Path

import pytest

from beliefbench.leaderboard.forms.markdown import to_markdown
from beliefbench.leaderboard.ranking import read_leaderboard

RESULTS = Path(__file__).parents[2] / "results"


def sections(markdown):
    """The groups of a Markdown leaderboard by their titles."""
    parts = ("\n" + markdown).split("\n**")[1:]
    return {part.split("**")[0]: part.split("**")[1].strip() for part in parts}


def without_marks(table):
    """A table without the marks of runs that were verified, which takes minutes, and without its columns' widths."""
    return re.sub(r"[ ○◐●]+", " ", re.sub(r"-+", "-", table))


@pytest.mark.slow
def test_the_published_table_is_that_of_the_published_runs_which_are_as_their_evidence_says():
    """Of the part that needs no skill model."""
    board = read_leaderboard(RESULTS / "published")
    assert len(board.rows) > 80
    assert board.problems == []
    assert [row.folder for row in board.rows if not row.published] == []
    shown, made = sections((RESULTS / "leaderboard.md").read_text()), sections(to_markdown(board))
    assert made.keys() == shown.keys()
    for title, text in made.items():
        assert without_marks(text.split("\n\n")[0]) == without_marks(shown[title].split("\n\n")[0]), title
