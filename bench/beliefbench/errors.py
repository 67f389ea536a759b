"""Errors that a person can act on: one sentence each, with what was given, what was expected, and how to fix it; and
text as it may be shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

JOINERS = "\u200c\u200d"
"""Invisible characters that belong to words and emoji."""
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
LONGEST = 500
"""Characters of the longest message of somebody else's code that is shown."""


class BeliefBenchError(Exception):
    """Something failed (exit status 1)."""

    exit_status = 1


class UsageError(BeliefBenchError):
    """The call is wrong: an unknown name, a missing path, a number out of range (exit status 2)."""

    exit_status = 2


class ContradictionError(BeliefBenchError):
    """No hypothesis explains a recorded choice."""


class TooLargeError(BeliefBenchError):
    """A hypothesis space does not fit into the memory budget."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for an unknown name, with the nearest known one.

    >>> str(unknown_name("domain", "flihgts", ["flights", "hotels"]))
    "there is no domain 'flihgts'; did you mean 'flights'? (`beliefbench list` shows all)"
    """
    known = list(known)
    if name.startswith("released/") and not any(one.startswith("released/") for one in known):
        return UsageError(
            f"there is no {kind} '{name}'; nothing is imported here yet: `beliefbench import PATH` does it."
        )
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(known)) or 'none'}."
    return UsageError(f"there is no {kind} '{name}'; {hint} (`beliefbench list` shows all)")


def counted(number: int, what: str) -> str:
    """Return a number of things in words.

    >>> counted(1, "request"), counted(2000, "request")
    ('1 request', '2,000 requests')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def in_short(error: BaseException) -> str:
    """Return what was raised in one line without a full stop, however much it says.

    >>> in_short(ValueError("no weights.\\nLook for them."))
    'ValueError: no weights'
    """
    return f"{type(error).__name__}: {first_line(error)}"


@contextmanager
def guarded(who: str) -> Iterator[None]:
    """Make a `BeliefBenchError` of whatever somebody else's code raises; ``who`` begins it: "agent 'x' broke:".

    A `BeliefBenchError` stays as it is, and so does a `KeyboardInterrupt`, which is the user's.

    >>> with guarded("agent 'x' broke:"):
    ...     raise SystemExit(0)
    Traceback (most recent call last):
    beliefbench.errors.BeliefBenchError: agent 'x' broke: SystemExit: 0
    """
    try:
        yield
    except BeliefBenchError:
        raise
    except BaseException as error:
        let_pass(error)
        raise BeliefBenchError(f"{who} {in_short(error)}") from error


def let_pass(error: BaseException) -> None:
    """Raise an error again if it is the user's interrupt, and not what somebody else's code raised.

    >>> let_pass(SystemExit(0))
    """
    if type(error) is KeyboardInterrupt:
        raise error


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, without a full stop, cut to `LONGEST` characters.

    >>> first_line(ValueError("no weights.\\nLook for them."))
    'no weights'
    """
    try:
        said = str(error).strip()
    except BaseException as broken:  # an error of somebody else's code may break too
        let_pass(broken)
        said = ""
    return cut((said or "no message").splitlines()[0].rstrip("."))


def cut(text: str, longest: int = LONGEST) -> str:
    """Return text, with its end left out if it has more than ``longest`` characters.

    >>> cut("a long message", 6)
    'a lon…'
    """
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def first_problem(error: ValueError) -> str:
    """Return the place and the words of the first problem in a validation error of Pydantic, or what another says.

    >>> from pydantic import TypeAdapter
    >>> try:
    ...     TypeAdapter(list[int]).validate_json("[0, true, null]", strict=True)
    ... except ValueError as error:
    ...     first_problem(error)
    '1: Input should be a valid integer'
    """
    if not hasattr(error, "errors"):
        return first_line(error)
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    what = problem["msg"].removeprefix("Value error, ").rstrip(".")
    return cut(f"{where}: {what}" if where else what)


def printable(text: str, keep: str = "") -> str:
    r"""Return text with control characters, line breaks, changes of direction and lone surrogates as escapes.

    A terminal obeys such characters, and a table breaks at them. All other characters stay, and those in ``keep``.

    >>> print(printable("red \x1b[31m, two\nlines, Ä, 模型"))
    red \x1b[31m, two\nlines, Ä, 模型
    """
    if text.isprintable():
        return text
    kept = JOINERS + keep
    return "".join(
        one.encode("unicode_escape").decode() if unicodedata.category(one) in HIDDEN and one not in kept else one
        for one in text
    )
