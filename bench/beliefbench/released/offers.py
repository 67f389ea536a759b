"""The texts and goals of the paper's web-shopping files.

The attributes and option values of an offer are read from its text. An offer has an attribute if all words of the
attribute are in its title, or all in one line of its description. It has an option value if a line such as "Color: red"
says so. Upper and lower case do not matter. The authors' scores also use attributes that were mined from the products:
`score_agreement` counts how many scores the texts reproduce.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from beliefbench.errors import UsageError
from beliefbench.released.files import Interaction, ShopperHeldout, Texts, split_option

SCORES_ALIKE = 0.005  # stored scores may be rounded to two decimals


class Wanted(NamedTuple):
    """A goal: attributes, and (option type, value), sorted and in lower case."""

    attributes: tuple[str, ...]
    values: tuple[tuple[str, str], ...]

    @property
    def size(self) -> int:
        return len(self.attributes) + len(self.values)


@dataclass(frozen=True)
class Offer:
    """The contents of a text: the words of its title and of each line of its description, and {option type: value}."""

    lines: tuple[frozenset[str], ...]
    values: dict[str, str]

    def has(self, attribute: str) -> bool:
        """Return True if all words of an attribute are in the title, or in one line of the description.

        >>> bed = read_offer("Title: Metal Bed\\nDescription:\\n- Easy to clean\\n- Non-slip legs\\nSize: Twin")
        >>> [bed.has(attribute) for attribute in ("easy clean", "non slip", "easy slip", "twin bed")]
        [True, True, False, False]
        """
        words = _words(attribute)
        return bool(words) and any(words <= line for line in self.lines)

    def score(self, wanted: Wanted) -> float:
        """Return the share of a goal that the offer matches."""
        has = sum(self.has(name) for name in wanted.attributes)
        return (has + sum(self.values.get(kind) == value for kind, value in wanted.values)) / wanted.size


def read_offer(text: str) -> Offer:
    """Return the contents of a text in the format of rounds or of held-out sets, without its "Product 1: ".

    >>> read_offer("Metal Bed\\nColor: Dark Red\\nSize: Twin\\n").values
    {'color': 'dark red', 'size': 'twin'}
    """
    title, *rest = text.split("\n")
    lines, values = [_words(title.removeprefix("Title: "))], {}
    for line in rest:
        option = re.fullmatch(r"\s*([^-:\s][^:]*):(.*)", line)
        if option is None:
            lines.append(_words(line))
        elif option[2].strip():  # "Description:" has nothing after it
            values[_fold(option[1])] = _fold(option[2])
    return Offer(tuple(lines), values)


def wanted_by(user: Interaction | ShopperHeldout) -> Wanted:
    """Return a user's goal. Raises `UsageError` if the file gives none."""
    values = {_fold(kind): _fold(value) for kind, value in (user.goal_options or {}).items()}
    wanted = Wanted(tuple(sorted({_fold(name) for name in user.goal_attrs or ()})), tuple(sorted(values.items())))
    if not wanted.size:
        raise UsageError(f"{user.file}, line {user.line}: the user has no goal; expected attributes or options.")
    return wanted


def score_agreement(users: Sequence[Interaction], heldout: Sequence[ShopperHeldout]) -> tuple[int, int]:
    """Return how many of the stored scores the texts reproduce, to 0.005, and how many scores there are.

    Raises `UsageError` as `shopper_domain` does.
    """
    offers: dict[str, Offer] = {}
    alike = total = 0
    for user, own in zip(users, paired(users, heldout), strict=True):
        wanted = wanted_by(user)
        for sets, scores in ((user.options, user.scores), (own.options, own.scores)):
            for texts, three in zip(sets, scores, strict=True) if scores is not None else ():
                for text, score in zip(stripped(texts), three, strict=True):
                    if text not in offers:
                        offers[text] = read_offer(text)
                    alike += abs(offers[text].score(wanted) - score) < SCORES_ALIKE
                    total += 1
    return alike, total


def paired(users: Sequence[Interaction], heldout: Sequence[ShopperHeldout]) -> list[ShopperHeldout]:
    """Return each user's held-out sets: by ``idx`` if all have one, else in order.

    Raises `UsageError` if they belong to other users.
    """
    if len(users) != len(heldout):
        raise UsageError(f"{file_of(heldout)}: {len(heldout)} users; expected {len(users)}, as in {file_of(users)}.")
    by_idx = {own.idx: own for own in heldout}
    alike = None not in by_idx and len(by_idx) == len(users) and set(by_idx) == {user.idx for user in users}
    found = [by_idx[user.idx] for user in users] if alike else list(heldout)
    for user, own in zip(users, found, strict=True):
        stated = own.goal_attrs is not None and own.goal_options is not None
        if stated and wanted_by(own) != wanted_by(user):
            raise UsageError(
                f"{own.file}, line {own.line}: the user's goal is not the one in {user.file}, line {user.line}."
            )
        if not stated and not alike and None not in (own.idx, user.idx) and own.idx != user.idx:
            raise UsageError(
                f"{own.file}, line {own.line}: `idx` is {own.idx}, and {user.idx} in {user.file}, line {user.line}."
            )
    return found


def file_of(entries: Sequence[Interaction] | Sequence[ShopperHeldout]) -> str:
    """Return the file that entries were read from, for an error."""
    return str(entries[0].file) if entries else "the held-out file"


def stripped(texts: Texts) -> Texts:
    """Return the texts of a set without their "Product 1: "."""
    first, second, third = (split_option(text, number)[1] for number, text in enumerate(texts, 1))
    return first, second, third


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))
