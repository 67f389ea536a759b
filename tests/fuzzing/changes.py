"""Changed files: a sound one with some of its values, or of its bytes, replaced by what breaks readers."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

ODD_NUMBERS = (
    st.sampled_from([0, -1, 3, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, -0.0, 1e-320]) | st.integers()
)
ODD_FLOATS = st.sampled_from([float("nan"), float("inf"), -float("inf")]) | st.floats()
ODD_TEXTS = (
    st.sampled_from(["", " ", "\x00", "\x1b[2J", "\ud800", "\u202e", "..", "../../x", "a" * 5000, "Flight 1: ", "{}"])
    | st.text()
)
SCALARS = st.none() | st.booleans() | ODD_NUMBERS | ODD_FLOATS | ODD_TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXTS, inner, max_size=4),
    max_leaves=8,
)
LONG = [b"[" * 3000, b'{"a":' * 3000, b"9" * 5000, b" " * 3000, b"," * 100, b"\\" * 100]
MARKS = [
    b"NaN",
    b"1e999",
    b"-Infinity",
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b'"',
    b"\n",
    b"{",
    b"}",
    b"null",
    b"\\ud800",
]
TOKENS = st.sampled_from([*LONG, *MARKS, "\u2028".encode()])


def places_in(document: Any, at: tuple = ()) -> list[tuple]:
    """The paths of all values inside a JSON document."""
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [place for key, value in inner for place in ((*at, key), *places_in(value, (*at, key)))]


@st.composite
def changed_values(draw: st.DrawFn, document: Any) -> Any:
    """A JSON document with one to three of its values replaced, left out, moved or repeated."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = places_in(document)
        if not places:
            break
        *above, key = draw(st.sampled_from(places))
        holder = document
        for step in above:
            holder = holder[step]
        change = draw(st.sampled_from(["value", "other", "leave out", "wrap", "add", "repeat"]))
        if change == "value":
            holder[key] = draw(VALUES)
        elif change == "other":  # a value from elsewhere in the document
            *inside, last = draw(st.sampled_from(places))
            other = document
            for step in [*inside, last]:
                other = other[step]
            holder[key] = copy.deepcopy(other)
        elif change == "leave out":
            del holder[key]
        elif change == "wrap":
            holder[key] = [holder[key]]
        elif isinstance(holder, dict):
            holder[draw(ODD_TEXTS)] = draw(VALUES)
        else:
            holder += [copy.deepcopy(holder[key])] * draw(st.integers(1, 3))
    return document


@st.composite
def changed_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes of which a few are replaced, left out, repeated, or followed by a token that breaks readers."""
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(found)))
        end = min(len(found), begin + draw(st.integers(0, 12)))
        change = draw(st.sampled_from(["replace", "leave out", "insert", "repeat", "cut"]))
        if change == "replace":
            found[begin:end] = draw(st.binary(min_size=end - begin, max_size=end - begin))
        elif change == "leave out":
            del found[begin:end]
        elif change == "insert":
            found[begin:begin] = draw(TOKENS)
        elif change == "repeat":
            found[begin:begin] = found[begin:end] * draw(st.integers(1, 50))
        elif draw(st.booleans()):
            del found[begin:]
    return bytes(found)


def as_json(document: Any) -> bytes:
    """A document as JSON, with NaN and lone surrogates where it has them."""
    return json.dumps(document).encode()


def json_files(content: bytes) -> st.SearchStrategy[bytes]:
    """Contents for the place of a JSON file: changed values, changed bytes, or anything else."""
    return st.one_of(
        changed_values(json.loads(content)).map(as_json), changed_bytes(content), VALUES.map(as_json), st.binary()
    )


@st.composite
def json_line_files(draw: st.DrawFn, content: bytes) -> bytes:
    """Contents for the place of a file of JSON lines: changed values of some lines, or changed bytes."""
    if draw(st.booleans()):
        return draw(changed_bytes(content))
    lines = content.splitlines()
    changed = [
        as_json(draw(changed_values(json.loads(line)))) if line and draw(st.booleans()) else line
        for line in lines[: draw(st.integers(1, len(lines)))]
    ]
    return b"\n".join(changed + draw(st.lists(st.sampled_from([*lines, b"", b"null", b"[]"]), max_size=2)))
