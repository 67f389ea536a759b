"""Probabilities of the alternatives, from the log-probabilities at the token that names one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel

from beliefbench.language.replies.alternatives import Alternatives
from beliefbench.language.replies.cues import NUMBERS, ORDINALS

_DIGITS = tuple(str(number) for number in range(1, 11))


class Place(BaseModel):
    """A written token that may name an option: its position in the text, in bytes, and the likeliest tokens there."""

    at: int
    token: str
    listed: list[tuple[str, float]]
    """The likeliest tokens, including the written one, with their log-probabilities; the server returns no others."""


@dataclass(frozen=True)
class OptionProbs:
    """Probabilities of the alternatives, float64[alternatives]; ``bounded`` if one was not listed and its probability
    is an upper bound.
    """

    probs: np.ndarray
    bounded: bool = False


def number_word(token: str) -> int | None:
    """Return the number that a token is, in digits or in words, from 0; None if it is no number from 1 to 10.

    >>> [number_word(token) for token in ("2", " second", "**Three**", "Flight", "11")]
    [1, 1, 2, None, None]
    """
    word = token.strip(" *_.,:;()\"'").lower()
    for words in (_DIGITS, NUMBERS, ORDINALS):
        if word in words:
            return words.index(word)
    return None


def option_probabilities(text: str, alternatives: Alternatives, places: Sequence[Place]) -> OptionProbs | None:
    """Return the alternatives' probabilities if a text names one; None if it names none.

    Tokens that name the same alternative are summed ("2", " 2", "2."): those in digits, or those in words if the text
    names it in words ("the second flight"). An alternative that is not listed gets an upper bound: the smallest listed
    probability, or 1 minus all listed probabilities if this is less. Then the probabilities are normalised to sum to 1.
    None too if the text names an alternative in several tokens, or the token has no probability.

    >>> from beliefbench.language.replies.alternatives import options_of
    >>> listed = [(" 2", np.log(0.6)), (" 1", np.log(0.2)), (" the", np.log(0.1))]
    >>> found = option_probabilities("Flight 2", options_of("Flight"), [Place(at=6, token=" 2", listed=listed)])
    >>> found.probs.round(3).tolist(), found.bounded
    ([0.222, 0.667, 0.111], True)
    """
    pick = alternatives.find(text)
    if pick is None:
        return None
    at = len(text[: pick.place].encode())
    for place in places:
        inside = at - place.at
        if 0 <= inside < len(place.token.encode()):
            return _weighed(place, inside, pick.option, len(alternatives.labels))
    return None


def _weighed(place: Place, inside: int, named: int, count: int) -> OptionProbs | None:
    before = place.token.encode()[:inside].decode(errors="ignore").strip()
    written = r"\d+" if re.search(r"[0-9]", place.token) else "[a-z]+"
    names = re.compile(rf"[\W_]*(?:{re.escape(before)})?[\W_]*({written})[\W_]*", re.ASCII | re.IGNORECASE)
    probs, found = np.zeros(count), np.zeros(count, dtype=bool)
    for token, log_prob in place.listed:
        match = names.fullmatch(token)
        option = number_word(match[1]) if match else None
        if option is not None and option < count:
            probs[option] += np.exp(log_prob)
            found[option] = True
    if not found[named] or probs.sum() == 0:
        return None
    listed = np.exp([log_prob for _, log_prob in place.listed])
    probs[~found] = max(0.0, min(listed.min(), 1 - listed.sum()))
    return OptionProbs(probs / probs.sum(), bounded=not found.all())
