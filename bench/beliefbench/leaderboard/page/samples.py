"""Sample conversations of a run, rebuilt: the words that a language model reads there, and what the agent answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from beliefbench.domain import Domain
from beliefbench.errors import BeliefBenchError, guarded
from beliefbench.language.questions import words
from beliefbench.language.questions.conversations import Conversations, PromptStyle
from beliefbench.leaderboard.row import Row
from beliefbench.plugins.names import load_domain
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.protocol.stopping import order_of_users
from beliefbench.running.store import OWN_SET, RunIdentity, RunStore

EACH = 3
"""Conversations of an agent, each on another domain if it ran on several."""


@dataclass(frozen=True)
class Option:
    """An option of the held-out question: the agent's probability and the exact one before the first and after the last
    round; None where the agent states none."""

    name: str
    text: str
    agent: tuple[float | None, float | None]
    exact: tuple[float, float]
    wanted: bool
    named: bool


@dataclass(frozen=True)
class Sample:
    """A conversation: messages as a model reads them, the last of them a held-out question; its options; what the agent
    answered to it in its own words, if it writes any."""

    domain: str
    user: int
    messages: list[dict[str, str]]
    options: list[Option]
    answer: str
    text: str | None


def domains_of(names: Iterable[str]) -> dict[str, Domain | BeliefBenchError]:
    """Return domains by name, or the error of loading one. Loading them for each run would take long."""
    found: dict[str, Domain | BeliefBenchError] = {}
    for name in dict.fromkeys(names):
        try:
            found[name] = load_domain(name)
        except BeliefBenchError as error:
            found[name] = error
    return found


def samples_of(rows: list[Row], domains: Mapping[str, Domain | BeliefBenchError]) -> tuple[list[Sample], list[str]]:
    """Return sample conversations of an agent's runs, and why some could not be rebuilt, each in a sentence.

    ``domains``: those of the runs, by `domains_of`. The users are the first of the seed, so that all agents
    show the same ones.
    """
    found: list[Sample] = []
    problems: list[str] = []
    each = -(-EACH // min(EACH, len(rows)))
    for row in rows:
        if len(found) == EACH:
            break
        name = row.record.identity.domain.name
        try:
            with guarded(f"domain '{name}' broke:"):  # the code of a plugin, and rows that nobody asked for
                found += _samples(row, domains[name], min(each, EACH - len(found)))
        except BeliefBenchError as error:
            problems.append(f"The conversations on {row.fields['domain']} cannot be shown: {error}")
    return found, list(dict.fromkeys(problems))


def _samples(row: Row, domain: Domain | BeliefBenchError, number: int) -> list[Sample]:
    if isinstance(domain, BeliefBenchError):
        raise domain
    identity = row.record.identity
    if domain.identity() != identity.domain.model_dump():
        raise BeliefBenchError("the domain that is installed here is not the one that it ran on.")
    rows = RunStore(row.folder).rows()
    number = min(number, row.fields["users"])
    places = np.arange(number)
    if identity.stopping:
        places = order_of_users(identity.seed, domain.name, identity.users)[:number]
    return [_sample(row, domain, identity, rows, int(place)) for place in places]


def _sample(row: Row, domain: Domain, identity: RunIdentity, rows: pa.Table, place: int) -> Sample:
    # Fewer users are the first of more: the others need not be drawn.
    users = min(identity.users, max(place + 1, EACH))
    episodes = _episodes(domain, Protocol(users, identity.rounds, identity.heldout, identity.seed))
    user = int(episodes.users[place])
    own = rows.filter(pa.compute.equal(rows["user"], user)).to_pylist()
    if not own:
        raise BeliefBenchError(f"the run has no user {user}, whom its seed draws.")
    recommended = np.array(
        [[one["choice"] for one in sorted(own, key=lambda one: one["stage"]) if one["question"] == OWN_SET]]
    ).reshape(1, identity.rounds)
    question = min(one["question"] for one in own if one["question"] != OWN_SET)
    asked = {one["stage"]: one for one in own if one["question"] == question}
    first, last = asked[0], asked[identity.rounds]
    here = np.array([place])
    asking = _asking(identity.agent)
    begun = Conversations.begin(domain, asking, here, episodes.latents_of(here) if asking.privileged else None)
    state = Conversations(domain, asking, None, episodes.options[here], recommended, episodes.chosen[here], begun.told)
    sets = episodes.heldout[place] if episodes.heldout.ndim == 4 else episodes.heldout
    talk = state.dialogues(sets[None, question : question + 1])[0]
    options = [
        Option(
            f"{domain.item} {number + 1}",
            domain.describe(sets[question, number]),
            (first[f"prob_{number}"], last[f"prob_{number}"]),
            (first[f"exact_{number}"], last[f"exact_{number}"]),
            last["truth"] == number,
            last["choice"] == number,
        )
        for number in range(sets.shape[1])
    ]
    said = words.answer(domain.item, last["choice"])
    return Sample(row.fields["domain"], user, talk.messages(talk.questions[0]), options, said, last["text"])


@lru_cache(maxsize=32)
def _episodes(domain: Domain, protocol: Protocol) -> Episodes:
    return Episodes(domain, protocol)


def _asking(agent: Mapping[str, Any]) -> PromptStyle:
    """Return the way of asking of a run's agent; the paper's, if it has none."""
    return PromptStyle(**{name: agent[name] for name in PromptStyle.__dataclass_fields__ if name in agent})
