"""JSON values that know their place, so that a fault in a file becomes one sentence that names the place."""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from beliefbench.domain import OPTIONS
from beliefbench.errors import UsageError

Where: TypeAlias = tuple[str | int, ...]  # from the root of a document: ("user_idxs", 3, "idxs", 7)
LARGEST = 2**31
"""Bytes of the largest file that is read."""
_AGAIN = "fix that line, or fetch the file again"


class FaultError(Exception):
    """A fault at a place of a document; `at` makes it an error that names the file."""

    def __init__(self, where: Where, sentence: str) -> None:
        super().__init__(sentence)
        self.where = where

    def at(self, path: Path, line: int) -> UsageError:
        """Return the error, with file and line."""
        return _error(path, line, str(self))


@dataclass(frozen=True)
class Located:
    """A JSON value and its place; every method raises `FaultError` if the value is not of the expected kind.

    >>> document = Located({"rounds": [{"user_idx": 3}]})
    >>> document["rounds"].entries()[0]["user_idx"].choice()
    Traceback (most recent call last):
    beliefbench.released.located.FaultError: round 1: `user_idx` is 3; expected 0, 1 or 2.
    """

    value: Any
    where: Where = ()

    @property
    def name(self) -> str:
        """The place as a person reads it: ``round 2: `user_idx```, ```user_idxs[3].idxs[7]```."""
        if self.where[:1] == ("rounds",) and len(self.where) > 1:
            number, inner = f"round {int(self.where[1]) + 1}", self.where[2:]
            return f"{number}: {Located(None, inner).name}" if inner else number
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.where)
        return f"`{''.join(steps).removeprefix('.')}`" if self.where else "the document"

    def expected_instead(self, expected: str) -> FaultError:
        """Return the fault of a value that is not what was expected."""
        return FaultError(self.where, f"{self.name} is {shown(self.value)}; expected {expected}.")

    def optional(self, key: str) -> Located | None:
        """Return a field, or None if it is missing or null."""
        if not isinstance(self.value, dict):
            raise self.expected_instead("an object")
        found = self.value.get(key)
        return None if found is None else Located(found, (*self.where, key))

    def __getitem__(self, key: str) -> Located:
        """Return a field."""
        found = self.optional(key)
        if found is None:
            field, given = Located(None, (*self.where, key)), "null" if key in self.value else "missing"
            raise FaultError(field.where, f"{field.name} is {given}; expected a value.")
        return found

    def entries(self, count: int | None = None, noun: str = "entries", why: str = "") -> list[Located]:
        """Return a list's values; ``count`` of them, if that is not None."""
        if not isinstance(self.value, list):
            raise self.expected_instead("a list")
        if count is not None and len(self.value) != count:
            owner = Located(None, self.where[:2]) if self.where[:1] == ("rounds",) else self
            raise FaultError(self.where, f"{owner.name} has {len(self.value)} {noun}; expected {count}{why}.")
        return [Located(value, (*self.where, at)) for at, value in enumerate(self.value)]

    def some(self, noun: str) -> list[Located]:
        """Return a list's values, at least one."""
        if self.value == []:
            raise FaultError(self.where, f"{self.name} is empty; expected a list of {noun}.")
        return self.entries()

    def fields(self) -> dict[str, Located]:
        """Return an object's values by their keys, which are texts as in `text`."""
        if not isinstance(self.value, dict):
            raise self.expected_instead("an object")
        return {
            Located(key, self.where).text(): Located(value, (*self.where, key)) for key, value in self.value.items()
        }

    def text(self) -> str:
        """Return a text."""
        if not isinstance(self.value, str):
            raise self.expected_instead("a text")
        if any("\ud800" <= letter <= "\udfff" for letter in self.value):  # JSON can hold these; no file or terminal can
            raise self.expected_instead("a text without lone surrogates")
        return self.value

    def number(self) -> float:
        """Return a finite number."""
        finite = False
        if type(self.value) in (int, float):
            try:
                finite = math.isfinite(self.value)
            except OverflowError:  # an integer that no float holds
                finite = False
        if not finite:
            raise self.expected_instead("a finite number")
        return float(self.value)

    def integer(self) -> int:
        """Return an integer; true and false are none."""
        if type(self.value) is not int:
            raise self.expected_instead("an integer")
        return self.value

    def optional_integer(self, key: str) -> int | None:
        """Return a field that is an integer, or None if it is missing or null."""
        found = self.optional(key)
        return None if found is None else found.integer()

    def choice(self) -> int:
        """Return which option was chosen."""
        if type(self.value) is not int or not 0 <= self.value < OPTIONS:
            raise self.expected_instead("0, 1 or 2")
        return self.value


def shown(value: Any, limit: int = 60) -> str:
    """Return a value as JSON on one line, cut to ``limit`` characters.

    >>> shown(["ab", None, float("nan")])
    '["ab", null, NaN]'
    """
    try:
        text = json.dumps(value, ensure_ascii=False)
    except ValueError:  # an integer of more digits than Python writes
        text = "a number of thousands of digits"
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def read_text(path: Path, largest: int = LARGEST) -> str:
    """Return a file's text; raises `UsageError` if it cannot be read, has more than ``largest`` bytes, is not UTF-8, or
    holds nothing."""
    try:
        about = path.stat()
        if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):  # to read a pipe would wait for ever
            raise UsageError(f"{path} is not a regular file; name another file.")
        if about.st_size > largest:
            raise UsageError(f"{path} has {about.st_size:,} bytes; expected {largest:,} at most: split it.")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist; name another file.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); name another file.") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        byte = f"byte 0x{error.object[error.start]:02x} is not UTF-8"
        raise _error(path, before.count(b"\n") + 1, f"{byte}; save the file as UTF-8, or fetch it again.") from error
    if not text.strip():
        raise _error(path, 1, "the file is empty; fetch it again.")
    return text


def parse(path: Path, line: int, text: str, expected: str) -> Located:
    """Return the JSON object in a text that begins at a line of a file; raises `UsageError` if there is none."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {line + error.lineno - 1}, column {error.colno}"
        raise UsageError(f"{path}, {place}: not JSON ({error.msg}); expected {expected}; {_AGAIN}.") from error
    except (ValueError, RecursionError) as error:
        what = "brackets" if isinstance(error, RecursionError) else "digits of a number"
        raise _error(path, line, f"JSON of thousands of {what}; {_AGAIN}.") from error
    if not isinstance(value, dict):
        raise _error(path, line, f"{shown(value)} is not a JSON object; expected {expected}.")
    return Located(value)


def json_lines(path: Path) -> Iterator[tuple[int, Located]]:
    """Yield the number of each line, from 1, and the JSON object in it; raises `UsageError` if there is none."""
    # Not splitlines: U+2028 and similar characters may be inside a JSON text.
    for line, text in enumerate(read_text(path).rstrip().split("\n"), 1):
        if not text.strip():
            raise _error(path, line, "the line is blank; expected one JSON object a line; delete the line.")
        yield line, parse(path, line, text, "one JSON object a line")


def line_of(text: str, where: Where) -> int:
    """Return the line on which a value of a JSON document begins, or the innermost existing value around it.

    >>> line_of('{"a": [1,\\n2]}', ("a", 1))
    2
    """
    decoder = json.JSONDecoder()

    def required(at: int) -> int:  # the next character that is no white space
        while text[at] in " \t\r\n":
            at += 1
        return at

    start = required(0)
    for step in where:
        found, position, at = None, 0, required(start + 1) if text[start] in "[{" else start
        while text[start] in "[{" and text[at] not in "]}":
            key: Any = position
            if text[start] == "{":
                key, at = decoder.raw_decode(text, at)
                at = required(required(at) + 1)
            found = at if key == step else found  # if a key occurs twice, the last one counts
            at = required(decoder.raw_decode(text, at)[1])
            at, position = required(at + 1) if text[at] == "," else at, position + 1
        if found is None:
            break
        start = found
    return text.count("\n", 0, start) + 1


def _error(path: Path, line: int, sentence: str) -> UsageError:
    return UsageError(f"{path}, line {line}: {sentence}")
