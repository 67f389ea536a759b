"""The protocol (paper, section 1): who the users are, what they are shown, what they choose.

Everything here is drawn from the domain's own NumPyro models and from (seed, domain, user, round), so that every agent
meets exactly the same users, rounds and held-out sets, on any machine.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers

from bench.domain import Domain
from bench.draws import key, keys_for
from bench.enumeration import hypothesis_terms, latent_space
from bench.errors import UsageError
from bench.inference import predictives

LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Protocol:
    """How much is asked: users, rounds, held-out sets (asked at every stage 0 .. rounds), and the seed of all draws."""

    users: int
    rounds: int = 5
    heldout: int = 100
    seed: int = 0

    def check(self, domain: Domain) -> None:
        """Raise `UsageError` where a number is out of range for a domain."""
        most = population(domain)
        if not 1 <= self.users <= most:
            raise UsageError(
                f"users = {self.users}, but {domain.name} has {most:,} different users; ask for 1 to {most:,}."
            )
        if self.rounds < 0:
            raise UsageError(f"rounds = {self.rounds}; expected 0 or more.")
        if self.heldout < 1:
            raise UsageError(f"heldout = {self.heldout}; expected 1 held-out set or more.")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise UsageError(f"seed = {self.seed}; expected 0 to {LARGEST_SEED:,}.")

    def identity(self) -> dict[str, int]:
        """Return the protocol as JSON values."""
        return asdict(self)


def population(domain: Domain) -> int:
    """Return how many different users there are: one for each hypothesis of the users' model.

    >>> import bench
    >>> population(bench.load_domain("flights"))
    624
    """
    return latent_space(domain).size


class Episodes:
    """All that happens between the users and any assistant, but for the assistant's answers.

    users int[users] (hypothesis numbers, in the order in which they are asked); latents {site: value[users]};
    options float[users, rounds, 3, features]; chosen int[users, rounds]; heldout float[heldout, 3, features];
    truth int[users, heldout].

    >>> import bench
    >>> episodes = Episodes(bench.load_domain("flights"), Protocol(users=2, rounds=5, heldout=10))
    >>> episodes.options.shape, episodes.truth.shape, episodes.exact.shape
    ((2, 5, 3, 4), (2, 10), (2, 6, 10, 3))
    """

    def __init__(self, domain: Domain, protocol: Protocol) -> None:
        protocol.check(domain)
        self.domain, self.protocol = domain, protocol
        space = latent_space(domain)
        with jax.enable_x64(True):
            everyone = jax.random.permutation(key(protocol.seed, domain.name, "users"), space.size)
            self.users = np.asarray(everyone)[: protocol.users]
            latents = space.values(self.users)
            drawn = _draw(domain, protocol.rounds, protocol.heldout, protocol.seed, self.users, latents)
            self.latents = {name: np.asarray(value) for name, value in latents.items()}
        self.options, self.chosen, self.heldout, self.truth = (np.asarray(part) for part in drawn)

    @cached_property
    def exact(self) -> np.ndarray:
        """The exact posterior predictive at every stage, float64[users, rounds + 1, heldout, 3]."""
        return predictives(
            self.domain, self.options, self.chosen, self.heldout, stages="all", on_contradiction="ignore"
        )

    def agent_keys(self, agent: str) -> Any:
        """Return an agent's random keys, key[users]; a user's key does not depend on the other users."""
        return keys_for(key(self.protocol.seed, self.domain.name, "agent", agent), self.users)


def choice_probs(domain: Domain, latents: dict[str, np.ndarray], options: np.ndarray) -> np.ndarray:
    """Return P(choice | latents) under the users' own model, float64[users, sets, 3].

    Parameters
    ----------
    latents
        {site: value[users]} of all latent sites.
    options
        float[users, sets, 3, features].

    >>> import bench
    >>> flights = bench.load_domain("flights")
    >>> loves_price = {"person": np.array([312])}  # weights 0, 0, 0, .5
    >>> options = np.zeros((1, 1, 3, 4)); options[0, 0, 2, 3] = 1.0
    >>> choice_probs(flights, loves_price, options).tolist()
    [[[0.0, 0.0, 1.0]]]
    """
    with jax.enable_x64(True):
        return np.asarray(_choice_probs(domain, latents, jnp.asarray(options)))


@partial(jax.jit, static_argnames="domain")
def _choice_probs(domain: Domain, latents: Any, options: Any) -> Any:
    return jax.vmap(lambda values, sets: hypothesis_terms(domain.user_model, values, sets)[2])(latents, options)


@partial(jax.jit, static_argnames=("domain", "rounds", "heldout"))
def _draw(domain: Domain, rounds: int, heldout: int, seed: Any, users: Any, latents: Any) -> tuple[Any, ...]:
    """Draw (options, chosen, heldout, truth); fewer rounds, sets or users are the first of more."""
    base = key(seed, domain.name)
    round_keys = keys_for(keys_for(keys_for(base, users), np.arange(rounds)), np.arange(2))
    set_keys = keys_for(key(seed, domain.name, "held-out"), np.arange(heldout))
    truth_keys = keys_for(keys_for(key(seed, domain.name, "held-out", "truth"), users), np.arange(heldout))

    sets = _draw_sets(domain, jnp.concatenate([round_keys[..., 0].reshape(-1), set_keys]))
    options = sets[:-heldout].reshape(len(users), rounds, *sets.shape[1:])
    shared = jnp.broadcast_to(sets[-heldout:], (len(users), heldout, *sets.shape[1:]))
    asked = jnp.concatenate([options, shared], axis=1)
    choices = _choose(domain, latents, asked, jnp.concatenate([round_keys[..., 1], truth_keys], axis=1))
    return options, choices[:, :rounds], sets[-heldout:], choices[:, rounds:]


def _draw_sets(domain: Domain, keys: Any) -> Any:
    return jax.vmap(lambda at: domain.draw(at, 1)[0])(keys)


def _choose(domain: Domain, latents: Any, options: Any, keys: Any) -> Any:
    def choose(values: Any, one_set: Any, at: Any) -> Any:
        model = handlers.seed(handlers.substitute(domain.user_model, data=values), at)
        return handlers.trace(model).get_trace(one_set[None])["choice"]["value"][0]

    return jax.vmap(jax.vmap(choose, in_axes=(None, 0, 0)))(latents, options, keys)
