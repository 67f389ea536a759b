"""How likely a model found each option, from the log-probabilities at the token with which it named one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel

from bench.domain import OPTIONS
from bench.language.parsing import named_option


class Place(BaseModel):
    """A written token that holds a digit: where it stands in the text, in bytes, and what could have stood there."""

    at: int
    token: str
    listed: list[tuple[str, float]]
    """The likeliest tokens, the written one among them, with their log-probabilities; not more are told than these."""


@dataclass(frozen=True)
class Weighed:
    """Probabilities of the options, float64[3]; ``bounded`` where one was not listed and has the most it could have."""

    probs: np.ndarray
    bounded: bool = False


def named_probabilities(text: str, item: str, places: Sequence[Place]) -> Weighed | None:
    """Return the options' probabilities where a text names one; None where it names none (`named_option`).

    Tokens that name the same option are summed ("2", " 2", "2."). An option that is not listed gets the smallest listed
    probability, or all that the listed ones leave of 1 where that is less. Then all three are made to sum to 1.

    >>> listed = [(" 2", np.log(0.6)), (" 1", np.log(0.2)), (" the", np.log(0.1))]
    >>> found = named_probabilities("Flight 2", "Flight", [Place(at=6, token=" 2", listed=listed)])
    >>> found.probs.round(3).tolist(), found.bounded
    ([0.222, 0.667, 0.111], True)
    """
    option = named_option(text, item)
    digit = _decisive_digit(text, item, option)
    if digit is None:
        return None
    at = len(text[:digit].encode())
    for place in places:
        inside = at - place.at
        if 0 <= inside < len(place.token.encode()):
            return _weighed(place, inside, option)
    return None


def _decisive_digit(text: str, item: str, option: int) -> int | None:
    """Return where the digit stands without which the text would not name its option."""
    for match in re.finditer(str(option + 1), text) if option >= 0 else ():
        otherwise = f"{text[: match.start()]}9{text[match.end() :]}"
        if named_option(otherwise, item) != option:
            return match.start()
    return None


def _weighed(place: Place, inside: int, option: int) -> Weighed | None:
    before = place.token.encode()[:inside].decode(errors="ignore").strip()
    names = re.compile(rf"[\W_]*(?:{re.escape(before)})?[\W_]*([1-{OPTIONS}])[\W_]*", re.ASCII)
    probs, found = np.zeros(OPTIONS), np.zeros(OPTIONS, dtype=bool)
    for token, log_prob in place.listed:
        if match := names.fullmatch(token):
            probs[int(match.group(1)) - 1] += np.exp(log_prob)
            found[int(match.group(1)) - 1] = True
    if not found[option] or probs.sum() == 0:
        return None
    listed = np.exp([log_prob for _, log_prob in place.listed])
    probs[~found] = max(0.0, min(listed.min(), 1 - listed.sum()))
    return Weighed(probs / probs.sum(), bounded=not found.all())
