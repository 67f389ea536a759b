"""The protocol (paper, section 1): who the users are, what they are shown, what they choose.

Everything here is drawn from the domain's own NumPyro models and from (seed, domain, user, round), so that every agent
meets exactly the same users, rounds and held-out sets, on any machine.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers

from bench.domain import OPTIONS, Domain
from bench.draws import key, keys_for
from bench.enumeration import MEMORY_BUDGET, latent_space, log_weights, query_values
from bench.errors import UsageError
from bench.inference import predictives

LARGEST_SEED = 2**32 - 1
MOST_ROUNDS, MOST_HELDOUT = 10_000, 1_000_000
MOST_DRAWN_USERS = 1_000_000


@dataclass(frozen=True)
class Protocol:
    """How much is asked: users, rounds, held-out sets (asked at every stage 0 .. rounds), and the seed of all draws."""

    users: int
    rounds: int = 5
    heldout: int = 100
    seed: int = 0

    def check(self, domain: Domain) -> None:
        """Raise `UsageError` where a number is out of range for a domain."""
        for name, least, most in (("rounds", 0, MOST_ROUNDS), ("heldout", 1, MOST_HELDOUT), ("seed", 0, LARGEST_SEED)):
            value = getattr(self, name)
            if not isinstance(value, int) or not least <= value <= most:
                raise UsageError(f"{name} = {value}; expected {least} to {most:,}.")
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
    """Return how many users can be asked for.

    Where all hypotheses of the users' model have the same prior, each is one user, and nobody is met twice. Where they
    have not, users are drawn from the prior, and there is no end of them but 1,000,000.

    >>> import bench
    >>> population(bench.load_domain("flights"))
    624
    """
    return latent_space(domain).size if _user_prior(domain) is None else MOST_DRAWN_USERS


@lru_cache(maxsize=64)
def _user_prior(domain: Domain) -> np.ndarray | None:
    """Return the prior over hypotheses that users are drawn from, or None where it is uniform."""
    no_rounds = np.empty((0, OPTIONS, len(domain.features))), np.empty(0, np.int64)
    users_only = domain if domain.user_model is domain.model else replace(domain, model=domain.user_model)
    joint = log_weights(users_only, *no_rounds)
    prior = np.exp(joint - joint.max())
    return None if np.ptp(prior) < 1e-9 else prior / prior.sum()


class Episodes:
    """All that happens between the users and any assistant, but for the assistant's answers.

    users int[users], their numbers in the order in which they are asked (those of hypotheses, or counted from 0 where
    users are drawn from a prior that is not uniform); latents {site: value[users]};
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
        prior = _user_prior(domain)
        with jax.enable_x64(True):
            who = key(protocol.seed, domain.name, "users")
            if prior is None:
                self.users = np.asarray(jax.random.permutation(who, space.size))[: protocol.users]
                latents = space.values(self.users)
            else:
                self.users = np.arange(protocol.users)
                draws = jax.vmap(jax.random.uniform)(keys_for(who, self.users))
                latents = space.values(np.searchsorted(np.cumsum(prior)[:-1], draws, side="right"))
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
    return jax.vmap(lambda values, sets: query_values(domain.user_model, values, sets))(latents, options)


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
