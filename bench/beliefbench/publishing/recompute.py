"""Recomputing what a run's rows must contain by its seed: users, truth, and exact answers."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pyarrow as pa

from beliefbench.checking.results import CheckFailedError
from beliefbench.domain import Domain
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.protocol.stopping import StoppingRule, UntilWidth, order_of_users, read_stopping_rule
from beliefbench.publishing.layout import Layout
from beliefbench.running.harness import episodes_of
from beliefbench.running.packing import TOLERANCE
from beliefbench.running.store import RunIdentity, RunRecord
from beliefbench.scoring.metrics import largest


class Recomputed:
    """A run's rows and the episodes of its seed; ``rows`` are complete (`Layout.check`)."""

    def __init__(self, record: RunRecord, rows: pa.Table, domain: Domain) -> None:
        self.record, self.rows, self.domain = record, rows, domain
        self.layout = Layout.of(record, rows)

    @property
    def protocol(self) -> Protocol:
        """The run's protocol."""
        identity = self.record.identity
        return Protocol(identity.users, identity.rounds, identity.heldout, identity.seed)

    @property
    def episodes(self) -> Episodes:
        """All users' episodes."""
        return episodes_of(self.domain, self.protocol)

    @cached_property
    def places(self) -> np.ndarray:
        """The positions in the episodes of the users who were asked: int[users]."""
        asked = np.arange(self.record.identity.users)
        if self.record.identity.stopping:
            asked = self._order[: self.layout.users]
        return asked[np.argsort(self.episodes.users[asked])]

    @property
    def _order(self) -> np.ndarray:
        identity = self.record.identity
        return order_of_users(identity.seed, self.domain.name, identity.users)

    def check_domain(self) -> str:
        """Return a sentence if the installed domain is the run's domain; raise `CheckFailedError` otherwise."""
        here, theirs = self.domain.identity(), self.record.identity.domain
        for name, said in theirs.model_dump().items():
            if here[name] != said:
                raise CheckFailedError(f"its {name} is {said!r} in run.json, and {here[name]!r} here.")
        return f"{theirs.name}, version {theirs.version}, with the same parameters, is installed."

    def check_users(self) -> str:
        """Return a sentence if the users follow from the seed; raise `CheckFailedError` otherwise, and `UsageError` if
        so many cannot be drawn."""
        self.protocol.check(self.domain)
        expected = self.episodes.users[self.places]
        found = self.layout.columns(self.rows, "user")[0][:, 0]
        for what, which in (
            ("is in the rows and not among them", np.setdiff1d(found, expected)),
            ("is missing", np.setdiff1d(expected, found)),
        ):
            if len(which):
                raise CheckFailedError(f"the users are not those of seed {self.protocol.seed}: user {which[0]} {what}.")
        return f"{len(found)} users are those of seed {self.protocol.seed}."

    def check_truth(self) -> str:
        """Return a sentence if the truth in the rows follows from the seed; raise `CheckFailedError` otherwise."""
        layout, episodes = self.layout, self.episodes
        expected = episodes.truth[self.places][:, np.maximum(layout.question, 0)]
        expected[:, layout.own] = episodes.chosen[self.places][:, layout.stage[layout.own]]
        (found,) = layout.columns(self.rows, "truth")
        if wrong := int((found != expected).sum()):
            raise CheckFailedError(
                f"what users want differs from seed {self.protocol.seed}'s in {wrong:,} of {found.size:,} rows."
            )
        return f"the truth, in rounds and held-out sets, is the one of seed {self.protocol.seed}."

    def check_exact(self) -> str:
        """Return a sentence if the exact answers are right; raise `CheckFailedError` otherwise."""
        layout = self.layout
        asked = ~layout.own
        expected = self.episodes.exact[self.places][:, layout.stage[asked], layout.question[asked]]
        exact = layout.options(self.rows, "exact")
        gap = abs(exact[:, asked] - expected)
        if not np.isnan(exact[:, layout.own]).all() or np.isnan(gap).any():
            raise CheckFailedError("there are exact answers for rounds' own sets, or none for some held-out sets.")
        if (wrong := largest(gap) > TOLERANCE + 1e-9).any():
            raise CheckFailedError(
                f"{wrong.sum():,} of {wrong.size:,} exact answers are wrong, by up to {gap.max():.4f}."
            )
        return f"{wrong.size:,} exact answers, computed again, differ by {gap.max():.1e} at most."

    def check_stopping(self) -> str:
        """Return a sentence if the run ended where its stopping rule says; raise `CheckFailedError` otherwise."""
        identity, asked = self.record.identity, self.layout.users
        rule = stopping_of(identity)
        if rule is None:
            return "all users were asked."
        if rule.identity() != identity.stopping:
            raise CheckFailedError("it stopped by a rule that this version does not know.")
        choice, truth = self.layout.columns(self.rows, "choice", "truth")
        last = (self.layout.stage == self.layout.rounds) & ~self.layout.own
        accuracy = dict(zip(self.places.tolist(), (choice == truth)[:, last].mean(axis=1), strict=True))
        in_order = np.array([accuracy[place] for place in self._order[:asked].tolist()])
        looks = rule.looks(identity.users)
        ended = next((look for look in looks if look >= asked or rule.enough(in_order[:look])), asked)
        enough = asked == looks[-1] or rule.enough(in_order)
        if asked not in looks or ended != asked or not enough:
            raise CheckFailedError(f"it ended after {asked} users, which its rule ({_said(rule)}) does not allow.")
        return f"it ended after {asked} users, as its rule ({_said(rule)}) says."


def stopping_of(identity: RunIdentity) -> StoppingRule | None:
    """Return the rule by which a run stopped; None if all users were asked."""
    return read_stopping_rule(identity.stopping)


def _said(rule: StoppingRule) -> str:
    return f"width {rule.width}" if isinstance(rule, UntilWidth) else f"a sample of {rule.users}"
