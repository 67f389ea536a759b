"""Reads the paper's released files (paper, section 2), and names the place of a fault.

The readers know the layout of the files, but no domain: options stay texts. Unknown fields are ignored. Every fault is
a `UsageError` that names the file and the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from beliefbench.domain import OPTIONS
from beliefbench.errors import UsageError
from beliefbench.released.located import FaultError, Located, json_lines, line_of, parse, read_text, shown

Texts: TypeAlias = tuple[str, str, str]
Scores: TypeAlias = tuple[float, float, float]
Values: TypeAlias = tuple[tuple[tuple[float, ...], ...], ...]  # [sets][3][features]


@dataclass(frozen=True)
class Interaction:
    """One user's rounds: a line of an interaction file.

    Parameters
    ----------
    file, line
        Where it was read; lines count from 1.
    idx
        The number in the file: of the user, or of the list of rounds that ten human users share. None if there is none.
    reward_fn, features
        The user's weights, and the names of the features, in the same order; None in web shopping.
    options
        The three texts of each round as they are in the file: ``"Flight 1: duration: 30 min, price: $370"``.
    chosen
        The option that the user took in each round, 0 to 2.
    rounds_numpy
        Feature values, [rounds][3][features]; None if there are none, and in web shopping.
    seed
        The file's own; None if there is none.
    goal_attrs, goal_options
        The shopper's goal: attributes, and options such as ``{"color": "red"}``; None in other domains.
    scores
        The score of each option for the shopper, [rounds][3]; None in other domains.
    """

    file: Path
    line: int
    idx: int | None
    reward_fn: tuple[float, ...] | None
    features: tuple[str, ...] | None
    options: tuple[Texts, ...]
    chosen: tuple[int, ...]
    rounds_numpy: Values | None
    seed: int | None
    goal_attrs: tuple[str, ...] | None
    goal_options: dict[str, str] | None = field(hash=False)
    scores: tuple[Scores, ...] | None


@dataclass(frozen=True)
class HeldoutUser:
    """A user's answers: where they were read (``"user_idxs[3]"``), the user's weights, and the option chosen in each
    set."""

    where: str
    reward_fn: tuple[float, ...]
    idxs: tuple[int, ...]


@dataclass(frozen=True)
class Heldout:
    """Held-out sets that all users share: texts as in `Interaction`; values [sets][3][features] if there are any."""

    file: Path
    features: tuple[str, ...]
    options: tuple[Texts, ...]
    users: tuple[HeldoutUser, ...]
    options_numpy: Values | None = None


@dataclass(frozen=True)
class ShopperHeldout:
    """One shopper's own held-out sets; fields as in `Interaction`, with a set for a round."""

    file: Path
    line: int
    idx: int | None
    goal_attrs: tuple[str, ...] | None
    options: tuple[Texts, ...]
    chosen: tuple[int, ...]
    scores: tuple[Scores, ...] | None
    goal_options: dict[str, str] | None = field(default=None, hash=False)


def split_option(text: str, number: int) -> tuple[str, str]:
    """Return an option's item word, and its text without the words that name it.

    ``number`` is its position in the set, 1 to 3. Raises `UsageError` if the text does not begin with a word and this
    number.

    >>> split_option("Flight 2: duration: 30 min, price: $370", 2)
    ('Flight', 'duration: 30 min, price: $370')
    """
    match = re.fullmatch(r"([^\s:](?:[^:\n]*[^\s:])?) ([0-9]+): (.+)", text, re.DOTALL)
    if match is None or match[2] != str(number):
        raise UsageError(f'option {number} is {shown(text)}; expected it to begin as in "Flight {number}: ".')
    return match[1], match[3]


def read_interactions(path: Path, progress: Callable[[int], None] = lambda done: None) -> list[Interaction]:
    """Read an interaction file: JSONL, one user per line, all with the same number of rounds and the same features.

    ``progress`` is called with the number of users after each.

    The first line decides the kind of the file: web shopping has ``goal_attrs``, ``goal_options`` and a ``score`` per
    round; the others have ``reward_fn`` and ``features``. Raises `UsageError` that names the file, the line and the
    round.

    >>> import json, tempfile
    >>> file = Path(tempfile.mkdtemp()) / "flight.jsonl"
    >>> options = [f"Flight {number}: price: ${number}00" for number in (1, 2, 3)]
    >>> user = {"reward_fn": [-1], "features": ["price"], "rounds": [{"options": options, "user_idx": 0}]}
    >>> _ = file.write_text(json.dumps(user))
    >>> read_interactions(file)[0].options
    (('Flight 1: price: $100', 'Flight 2: price: $200', 'Flight 3: price: $300'),)
    """
    users: list[Interaction] = []
    word = None
    for line, user in json_lines(path):
        try:
            _expect_kind(user, users)
            users.append(_interaction(path, line, user))
            _expect_alike(users)
            word = _item_word("rounds", users[-1].options, word)
            progress(len(users))
        except FaultError as fault:
            raise fault.at(path, line) from None
    return users


def read_heldout(path: Path) -> Heldout:
    """Read a held-out file that is one JSON object: sets, and each user's answers to all of them.

    Raises `UsageError` that names the file, the line, and the place in the object (``user_idxs[3].idxs[7]``).

    >>> import json, tempfile
    >>> file = Path(tempfile.mkdtemp()) / "flight.json"
    >>> options = [f"Flight {number}: price: ${number}00" for number in (1, 2, 3)]
    >>> users = [{"reward_fn": [-1], "idxs": [0]}]
    >>> _ = file.write_text(json.dumps({"features": ["price"], "all_options": [options], "user_idxs": users}))
    >>> read_heldout(file).users
    (HeldoutUser(where='user_idxs[0]', reward_fn=(-1.0,), idxs=(0,)),)
    """
    text, users = read_text(path), []
    document = parse(path, 1, text, "one JSON object in the whole file")
    try:
        features = _features(document["features"])
        options = tuple(_texts(each) for each in document["all_options"].some("option sets"))
        _item_word("all_options", options, None)
        for at, user in enumerate(document["user_idxs"].some("users")):
            answers = user["idxs"].entries(len(options), "answers", ", one a set of `all_options`")
            idxs = tuple(answer.choice() for answer in answers)
            users.append(HeldoutUser(f"user_idxs[{at}]", _weights(user["reward_fn"], features), idxs))
        values = _values(document.optional("all_options_numpy"), len(options), "a set", features)
    except FaultError as fault:
        raise fault.at(path, line_of(text, fault.where)) from None
    return Heldout(path, features, options, tuple(users), values)


def read_shopper_heldout(path: Path) -> list[ShopperHeldout]:
    """Read web shopping's held-out file: JSONL, one user per line, each with sets of their own, in different numbers.

    Raises `UsageError` that names the file, the line, and the place in the line (``all_options[3].user_idx``).

    >>> import json, tempfile
    >>> file = Path(tempfile.mkdtemp()) / "beds.jsonl"
    >>> a_set = {"options": [f"Product {number}: A bed" for number in (1, 2, 3)], "user_idx": 2, "score": [0, 0, 0.25]}
    >>> _ = file.write_text(json.dumps({"all_options": [a_set]}))
    >>> read_shopper_heldout(file)[0].scores
    ((0.0, 0.0, 0.25),)
    """
    users: list[ShopperHeldout] = []
    word = None
    for line, user in json_lines(path):
        try:
            sets = user["all_options"].some("option sets")
            options = tuple(_texts(each["options"]) for each in sets)
            word = _item_word("all_options", options, word)
            chosen = tuple(each["user_idx"].choice() for each in sets)
            scored = any(each.optional("score") for each in sets)  # in every set of a user, or in none
            scores = tuple(_score(each["score"]) for each in sets) if scored else None
            attrs, wanted = _attrs(user.optional("goal_attrs")), _goal_options(user.optional("goal_options"))
            idx = user.optional_integer("idx")
        except FaultError as fault:
            raise fault.at(path, line) from None
        users.append(ShopperHeldout(path, line, idx, attrs, options, chosen, scores, wanted))
    return users


def _interaction(path: Path, line: int, user: Located) -> Interaction:
    shopping = _marks(user)[0].startswith("goal")
    features = None if shopping else _features(user["features"])
    weights = None if features is None else _weights(user["reward_fn"], features)
    rounds = user["rounds"].some("rounds")
    return Interaction(
        file=path,
        line=line,
        idx=user.optional_integer("idx"),
        reward_fn=weights,
        features=features,
        options=tuple(_texts(each["options"]) for each in rounds),
        chosen=tuple(each["user_idx"].choice() for each in rounds),
        rounds_numpy=_values(user.optional("rounds_numpy"), len(rounds), "a round", features) if features else None,
        seed=user.optional_integer("seed"),
        goal_attrs=_attrs(user["goal_attrs"]) if shopping else None,
        goal_options=_goal_options(user["goal_options"]) if shopping else None,
        scores=tuple(_score(each["score"]) for each in rounds) if shopping else None,
    )


def _marks(user: Located) -> list[str]:
    return [key for key in ("reward_fn", "features", "goal_attrs", "goal_options") if user.optional(key)]


def _expect_kind(user: Located, before: list[Interaction]) -> None:
    """Raise `FaultError` if a line is of both kinds, of neither, or of another kind than the lines before it."""
    marks = _marks(user)
    shopping = {mark.startswith("goal") for mark in marks}
    if len(shopping) != 1:
        given = f"both `{marks[0]}` and `{marks[-1]}`" if marks else "neither `reward_fn` nor `goal_attrs`"
        raise FaultError((), f"the user has {given}; expected one of the two kinds, weights or web shopping's goals.")
    if before and shopping != {before[0].features is None}:
        first = "`reward_fn`" if before[0].features else "`goal_attrs`"
        raise FaultError((), f"the user has `{marks[0]}`, while line 1 has {first}; expected one kind a file.")


def _expect_alike(users: list[Interaction]) -> None:
    """Raise `FaultError` if the last user has other features, or more or fewer rounds, than the first."""
    first, last = users[0], users[-1]
    if last.features != first.features:
        given, expected = shown(last.features, 300), shown(first.features, 300)
        raise FaultError((), f"`features` is {given}; expected {expected}, as in line 1.")
    if len(last.options) != len(first.options):
        given, expected = str(len(last.options)), str(len(first.options))
        raise FaultError((), f"the user has {given} rounds; expected {expected}, as in line 1.")


def _item_word(key: str, options: tuple[Texts, ...], word: str | None) -> str | None:
    """Return the item word of all options; it must be ``word`` if that is given."""
    for at, texts in enumerate(options):
        for number, text in enumerate(texts, 1):
            try:
                found, _ = split_option(text, number)
                if found != (word or found):
                    raise UsageError(
                        f"option {number} is a {shown(found)}; expected a {shown(word)}, as in the options before."
                    )
            except UsageError as error:
                raise FaultError((key, at, number - 1), f"{Located(None, (key, at)).name}: {error}") from error
            word = found
    return word


def _features(names: Located) -> tuple[str, ...]:
    features: list[str] = []
    for name in names.some("feature names"):
        if name.text() in features:
            raise name.expected_instead("each feature once")
        features.append(name.text())
    return tuple(features)


def _weights(weights: Located, features: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(weight.number() for weight in weights.entries(len(features), "weights", ", one a feature"))


def _attrs(attrs: Located | None) -> tuple[str, ...] | None:
    return None if attrs is None else tuple(attr.text() for attr in attrs.entries())


def _goal_options(options: Located | None) -> dict[str, str] | None:
    return None if options is None else {key: value.text() for key, value in options.fields().items()}


def _texts(options: Located) -> Texts:
    first, second, third = (option.text() for option in options.entries(OPTIONS, "options"))
    return first, second, third


def _score(score: Located) -> Scores:
    first, second, third = (number.number() for number in score.entries(OPTIONS, "scores"))
    return first, second, third


def _values(cube: Located | None, sets: int, each: str, features: tuple[str, ...]) -> Values | None:
    """Return feature values of the shape [sets][3][features]."""
    if cube is None:
        return None
    found = [
        [option.entries(len(features), "numbers", ", one a feature") for option in options.entries(OPTIONS, "options")]
        for options in cube.entries(sets, "entries", f", one {each}")
    ]
    return tuple(tuple(tuple(value.number() for value in option) for option in options) for options in found)
