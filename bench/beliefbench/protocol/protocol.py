"""The protocol (paper, section 1): the numbers of users, rounds and held-out sets, and their limits on a domain."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import numpy as np

from beliefbench.domain import OPTIONS, Domain
from beliefbench.errors import UsageError
from beliefbench.exact.enumeration import log_weights
from beliefbench.exact.latents import MEMORY_BUDGET, latent_space
from beliefbench.protocol.recorded import check_recorded

MAX_SEED = 2**32 - 1
MAX_ROUNDS, MAX_HELDOUT = 10_000, 1_000_000
MAX_DRAWN_USERS = 1_000_000
QUICK = "quick"
PRESETS = {QUICK: (8, 8), "standard": (100, 30), "paper": (1000, 100)}
"""Users (all of them, if there are fewer) and held-out sets of each preset."""


@dataclass(frozen=True)
class Protocol:
    """The size of a run: users, rounds, held-out sets (asked at every stage 0 .. rounds), and the seed of all draws."""

    users: int
    rounds: int = 5
    heldout: int = 100
    seed: int = 0

    @classmethod
    def of(
        cls,
        domain: Domain,
        *,
        users: int | None = None,
        rounds: int | None = None,
        heldout: int | None = None,
        seed: int = 0,
        preset: str = "paper",
    ) -> Protocol:
        """Return the protocol for a domain, checked.

        A number that is None is 5 for rounds and that of the preset for users and held-out sets (`PRESETS`), or all
        that a domain has, if that is less.

        >>> import beliefbench as bb
        >>> Protocol.of(bb.load_domain("flights"), heldout=8)
        Protocol(users=624, rounds=5, heldout=8, seed=0)
        """
        if preset not in PRESETS:
            raise UsageError(f"there is no preset '{preset}'; use {', '.join(PRESETS)}.")
        most_users, most_sets = PRESETS[preset]
        most_rounds, most_heldout = _recorded_sets(domain)
        protocol = cls(
            users=min(most_users, population(domain)) if users is None else users,
            rounds=min(5, most_rounds) if rounds is None else rounds,
            heldout=min(most_sets, most_heldout) if heldout is None else heldout,
            seed=seed,
        )
        protocol.check(domain)
        return protocol

    def check(self, domain: Domain) -> None:
        """Raise an error if a number is out of range for a domain.

        Raises
        ------
        UsageError
            If a number is out of range.
        BeliefBenchError
            If what the domain recorded is not as `beliefbench.domain.Recorded` says.
        """
        rounds, heldout = _recorded_sets(domain)
        for name, least, most in (("rounds", 0, rounds), ("heldout", 1, heldout), ("seed", 0, MAX_SEED)):
            value = getattr(self, name)
            if not isinstance(value, int) or not least <= value <= most:
                recorded = f" on {domain.name}, whose users were recorded" if domain.recorded and name != "seed" else ""
                raise UsageError(f"{name} = {value}; expected {least} to {most:,}{recorded}.")
        most = population(domain)
        if not isinstance(self.users, int) or not 1 <= self.users <= most:
            raise UsageError(
                f"users = {self.users}, but {domain.name} has {most:,} different users; ask for 1 to {most:,}."
            )
        held = self.users * (self.rounds + 1) * self.heldout * OPTIONS * 8
        if held > MEMORY_BUDGET:
            raise UsageError(
                f"{self.users} users x {self.rounds + 1} stages x {self.heldout} held-out sets make answers of "
                f"{held / 2**30:,.1f} GiB, and the limit is {MEMORY_BUDGET / 2**30:,.0f} GiB; ask for fewer."
            )

    def identity(self) -> dict[str, int]:
        """Return the protocol as JSON values."""
        return asdict(self)


def population(domain: Domain) -> int:
    """Return the largest number of users of a domain: of recorded users, all that were recorded.

    If all hypotheses of the users' model have the same prior, each hypothesis is one user, and no user occurs twice.
    Otherwise users are drawn from the prior, at most 1,000,000.

    >>> import beliefbench as bb
    >>> population(bb.load_domain("flights"))
    624
    """
    if domain.recorded is not None:
        return len(domain.recorded.chosen)
    return latent_space(domain).size if user_prior(domain) is None else MAX_DRAWN_USERS


def _recorded_sets(domain: Domain) -> tuple[int, int]:
    """Return the most rounds a user and the most held-out sets that can be asked for."""
    if domain.recorded is None:
        return MAX_ROUNDS, MAX_HELDOUT
    check_recorded(domain)
    return domain.recorded.chosen.shape[1], domain.recorded.truth.shape[1]


@lru_cache(maxsize=64)
def user_prior(domain: Domain) -> np.ndarray | None:
    """Return the prior over hypotheses that users are drawn from, or None if it is uniform."""
    no_rounds = np.empty((0, OPTIONS, len(domain.features))), np.empty(0, np.int64)
    users_only = domain if domain.user_model is domain.model else replace(domain, model=domain.user_model)
    joint = log_weights(users_only, *no_rounds)
    prior = np.exp(joint - joint.max())
    return None if np.ptp(prior) < 1e-9 else prior / prior.sum()
