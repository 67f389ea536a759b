"""Probabilities of the alternatives, from the log-probabilities at the token that names one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel

from beliefbench.language.alternatives import Alternatives


class Place(BaseModel):
    """A written token with a digit: its position in the text, in bytes, and the likeliest tokens at this position."""

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


def option_probabilities(text: str, alternatives: Alternatives, places: Sequence[Place]) -> OptionProbs | None:
    """Return the alternatives' probabilities if a text names one; None if it names none.

    Tokens that name the same alternative are summed ("2", " 2", "2."). An alternative that is not listed gets an upper
    bound: the smallest listed probability, or 1 minus all listed probabilities if this is less. Then the probabilities
    are normalised to sum to 1. An alternative that is named in words ("the second flight") has no digit: None.

    >>> from beliefbench.language.alternatives import options_of
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
    names = re.compile(rf"[\W_]*(?:{re.escape(before)})?[\W_]*([1-{count}])[\W_]*", re.ASCII)
    probs, found = np.zeros(count), np.zeros(count, dtype=bool)
    for token, log_prob in place.listed:
        if match := names.fullmatch(token):
            probs[int(match.group(1)) - 1] += np.exp(log_prob)
            found[int(match.group(1)) - 1] = True
    if not found[named] or probs.sum() == 0:
        return None
    listed = np.exp([log_prob for _, log_prob in place.listed])
    probs[~found] = max(0.0, min(listed.min(), 1 - listed.sum()))
    return OptionProbs(probs / probs.sum(), bounded=not found.all())
