"""Reading teaching data: one conversation per line, in the authors' format or ours
(``beliefbench.teaching.records``)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from beliefbench.errors import UsageError, first_problem
from beliefbench.language.questions.dialogue import Message
from beliefbench.language.questions.words import answer

OPTIONS = 3
LARGEST_DATA, LARGEST_ABOUT = 2**31, 2**26
"""Bytes of the largest file of teaching data, and of the file beside it."""
LONGEST_LINE = 2**24
"""Characters of the longest line of teaching data."""
ABOUT = ".about.json"
"""The suffix of the file beside a data file that records how the data was made."""


class _Said(BaseModel):
    role: Literal["user", "assistant"]
    content: str = Field(min_length=1)
    answer: str | None = None
    probs: tuple[float, float, float] | None = None

    @model_validator(mode="after")
    def _is_a_distribution(self) -> _Said:
        # So written, NaN is refused too.
        if self.probs is not None and not (min(self.probs) >= 0 and abs(sum(self.probs) - 1) <= 1e-3):
            raise ValueError("probs are 0 or more and sum to 1")
        return self


class _Line(BaseModel):
    messages: list[_Said] = Field(min_length=2)

    @model_validator(mode="after")
    def _takes_turns(self) -> _Line:
        if any(said.role != ("user", "assistant")[at % 2] for at, said in enumerate(self.messages)):
            raise ValueError("user and assistant take turns, the user first")
        if self.messages[-1].role != "assistant":
            raise ValueError("the last message is the assistant's")
        return self


@dataclass(frozen=True)
class TaughtTurn:
    """An assistant's message to learn from: ``at``, its position among the messages; ``answers``, the possible answers,
    and ``probs``, their probabilities. A hard answer is one answer with probability 1.
    """

    at: int
    answers: tuple[str, ...]
    probs: tuple[float, ...]


@dataclass(frozen=True)
class Conversation:
    """A conversation, and the messages to learn from."""

    messages: tuple[Message, ...]
    taught: tuple[TaughtTurn, ...]


def conversations(file: Path, every_turn: bool | None = None) -> Iterator[Conversation]:
    """Yield the conversations of a file of teaching data.

    Parameters
    ----------
    every_turn
        True: learn from every answer. False: learn from the last answer only, for files with every prefix of an
        interaction. None: as the file was made (``--whole``); only the last answer if this is unknown.

    Raises
    ------
    UsageError
        If the file cannot be read or a line has another format; the error names the line.
    """
    every = is_whole(file) if every_turn is None else every_turn
    require_file(file)
    empty = True
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(iter(partial(lines.readline, LONGEST_LINE + 1), ""), start=1):
                if len(line) > LONGEST_LINE:
                    raise UsageError(
                        f"'{file}', line {number} has more than {LONGEST_LINE:,} characters; expected one conversation "
                        "a line."
                    )
                try:
                    yield _conversation(line, every)
                except (ValueError, RecursionError) as error:
                    raise UsageError(
                        f"'{file}', line {number}: {_why(error)}; expected "
                        '{"messages": [{"role": "user"|"assistant", "content": ...}, ...]}.'
                    ) from error
                empty = False
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"'{file}' cannot be read ({error}); name a file of teaching data.") from error
    if empty:
        raise UsageError(f"'{file}' is empty; name a file of teaching data, as `beliefbench teach data` writes them.")


def require_file(file: Path, largest: int = LARGEST_DATA) -> None:
    """Raise `UsageError` if a path is no regular file of ``largest`` bytes at most: a pipe would never end."""
    if not file.is_file():
        raise UsageError(f"'{file}' is not a file; name a file of teaching data.")
    if (size := file.stat().st_size) > largest:
        raise UsageError(f"'{file}' has {size:,} bytes; expected {largest:,} at most: split it.")


def about(file: Path) -> dict[str, Any]:
    """Return the record beside a data file of how the data was made; empty if there is none.

    Raises
    ------
    UsageError
        If it cannot be read.
    """
    beside = file.with_name(file.name + ABOUT)
    if not beside.exists():
        return {}
    require_file(beside, LARGEST_ABOUT)
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no object")
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"'{beside}' cannot be read; remove it, or make the data again.") from error
    return found


def is_whole(file: Path) -> bool:
    """Return True if a data file was made with ``--whole``: each conversation has an answer to learn from in each
    round."""
    return bool(about(file).get("whole", False))


def _conversation(line: str, every_turn: bool) -> Conversation:
    said = _Line.model_validate(json.loads(line)).messages
    places = range(1, len(said), 2)
    taught = tuple(_taught(at, said[at]) for at in (places if every_turn else places[-1:]))
    return Conversation(tuple({"role": one.role, "content": one.content} for one in said), taught)


def _taught(at: int, said: _Said) -> TaughtTurn:
    if said.probs is None:
        return TaughtTurn(at, (said.answer or said.content,), (1.0,))
    item = said.content.removeprefix("The best option is ").rpartition(" ")[0]
    answers = tuple(answer(item, option) for option in range(OPTIONS))
    if said.content not in answers:
        raise ValueError(f"probs go with '{answers[0]}', and not with '{said.content}'")
    return TaughtTurn(at, answers, said.probs)


def _why(error: ValueError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "too deep"
    return "not JSON" if isinstance(error, json.JSONDecodeError) else first_problem(error)
