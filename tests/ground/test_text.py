"""Names of others: as they are shown, and as they stand in a path."""

from __future__ import annotations

import os

import pytest

from beliefbench.errors import printable
from beliefbench.folders import LONGEST, file_name, well_formed

NAMES = [
    "...",
    "🙂",
    "",
    "a" * 5000,
    "模" * 300,
    "\udcff\udcfe",
    "x\udcff",
    "\x1b[31m",
    "CON",
    "..",
    "-",
    "a/b",
    "a\\b",
    " ",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_can_be_a_folder(tmp_path, name):
    folder = tmp_path / file_name(name)
    folder.mkdir()
    assert folder.parent == tmp_path
    assert len(os.fsencode(folder.name)) <= LONGEST
    assert folder.name == file_name(well_formed(name))


def test_names_that_had_a_folder_keep_it():
    for name, folder in [
        ("prompted:org/model 7B", "prompted-org-model-7B"),
        ("flights,user_lapse=0.2", "flights-user_lapse=0.2"),
        (".hidden.", "hidden"),
        ("a" * 255, "a" * 255),
        ("模型", "模型"),
    ]:
        assert file_name(name) == folder


def test_names_of_nothing_and_long_names_are_told_apart():
    assert len({file_name(name) for name in ("...", "🙂", "", "🙃")}) == 4
    assert file_name("a" * 300 + "b") != file_name("a" * 300 + "c")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Ä 模型 👩‍💻", "plain, Ä 模型 👩‍💻"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\u202eevil\u2066", r"\u202eevil\u2066"),
        ("\x9b31m\x00", r"\x9b31m\x00"),
        ("line\u2028end", r"line\u2028end"),
        ("\udcff", r"\udcff"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text, shown):
    assert printable(text) == shown
