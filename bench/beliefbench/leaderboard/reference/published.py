"""The accuracies that Qiu et al. (Nature Communications 17:1238, 2026) print, by domain."""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import NamedTuple

SOURCE = "Qiu et al., Nature Communications 17:1238 (2026), figures"
CAVEAT = "as printed; other users, option sets and, for models, prompts than above, 5 rounds, no intervals"


class Published(NamedTuple):
    """A model of a paper: how it was taught ("" if it was not), accuracy after the first and last round, in %."""

    model: str
    taught: str
    first: int
    last: int


def published(domain: str) -> list[Published]:
    """Return what was published on a domain, best first; nothing on most.

    >>> published("hotels")[0]
    Published(model='Gemma 2 9B', taught='Bayesian', first=53, last=66)
    >>> published("webshop-headphones")
    []
    """
    text = files("beliefbench.leaderboard.reference").joinpath("qiu2026.csv").read_text()
    found = [
        Published(line["model"], line["taught"], int(line["first"]), int(line["last"]))
        for line in csv.DictReader(text.splitlines())
        if line["domain"] == domain
    ]
    return sorted(found, key=lambda one: -one.last)
