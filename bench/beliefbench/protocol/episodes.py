"""Episodes: the users, the options that they see, their choices, and the exact answer.

Everything is drawn from the domain's NumPyro models and from (seed, domain, user, round). So every agent meets the same
users, rounds and held-out sets, on any machine. Recorded users are used unchanged, and the seed only sets their order.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers

from beliefbench.domain import OPTIONS, Domain, Recorded
from beliefbench.draws import in_chunks, key, keys_for, path_keys, permutation, quick_jit
from beliefbench.errors import BeliefBenchError, UsageError, cut, guarded
from beliefbench.exact.contract import hold
from beliefbench.exact.hypothesis import query_values
from beliefbench.exact.inference import expected_information, predictives
from beliefbench.exact.latents import latent_space
from beliefbench.exact.memo import StageMemo, remembering
from beliefbench.protocol.protocol import Protocol, user_prior

CANDIDATES = 32  # sets that a set of a given informativeness is chosen from


class Episodes:
    """Everything in a run except the assistant's answers.

    users int[users], their numbers in the order in which they are asked (the number of the hypothesis or of the
    recorded user; counted from 0 if users are drawn from a prior that is not uniform); latents {site: value[users]}, or
    None if the true latents of recorded users are unknown; options float[users, rounds, 3, features]; chosen int[users,
    rounds]; heldout float[heldout, 3, features], or float[users, heldout, 3, features] where each user has their own;
    truth int[users, heldout].

    Raises
    ------
    UsageError
        If the protocol asks for more than the domain has.
    BeliefBenchError
        If the domain's model or draw raises an error, or draws options of the wrong shape.

    >>> import beliefbench as bb
    >>> episodes = Episodes(bb.load_domain("flights"), Protocol(users=2, rounds=5, heldout=10))
    >>> episodes.options.shape, episodes.truth.shape, episodes.exact.shape
    ((2, 5, 3, 4), (2, 10), (2, 6, 10, 3))
    """

    latents: dict[str, np.ndarray] | None

    def __init__(self, domain: Domain, protocol: Protocol) -> None:
        protocol.check(domain)
        self.domain, self.protocol = domain, protocol
        if domain.recorded is not None:
            self._take(domain.recorded)
            check_describe(domain, self.options if self.options.size else self.heldout)
            return
        check_draw(domain)
        with guarded(f"domain '{domain.name}' broke:"):
            self._simulate()

    def _take(self, recorded: Recorded) -> None:
        rounds, heldout = self.protocol.rounds, self.protocol.heldout
        who = key(self.protocol.seed, self.domain.name, "users")
        self.users = permutation(who, len(recorded.chosen))[: self.protocol.users]
        latents = recorded.latents
        self.latents = None if latents is None else {name: value[self.users] for name, value in latents.items()}
        self.options, self.chosen = recorded.options[self.users, :rounds], recorded.chosen[self.users, :rounds]
        sets = recorded.heldout[self.users] if recorded.heldout.ndim == 4 else recorded.heldout
        self.heldout, self.truth = sets[..., :heldout, :, :], recorded.truth[self.users, :heldout]

    def _simulate(self) -> None:
        domain, protocol = self.domain, self.protocol
        space, prior = latent_space(domain), user_prior(domain)
        if domain.user_model is not domain.model:
            hold(domain, domain.user_model, space)
        with jax.enable_x64(True):
            who = key(protocol.seed, domain.name, "users")
            if prior is None:
                self.users = permutation(who, space.size)[: protocol.users]
                latents = space.values(self.users)
            else:
                self.users = np.arange(protocol.users)
                draws = jax.vmap(jax.random.uniform)(keys_for(who, self.users))
                latents = space.values(np.searchsorted(np.cumsum(prior)[:-1], draws, side="right"))
            drawn = _draw(domain, protocol, self.users, latents)
            if domain.information is not None:
                rounds = _informative_rounds(domain, protocol.rounds, protocol.seed, self.users, latents)
                drawn = (*rounds, *drawn[2:])
            self.latents = {name: np.asarray(value) for name, value in latents.items()}
        self.options, self.chosen, self.heldout, self.truth = drawn
        for sets in (self.options, self.heldout):
            check_on_grid(domain, sets)
        check_describe(domain, self.heldout)

    @cached_property
    def exact(self) -> np.ndarray:
        """The exact posterior predictive at every stage, float64[users, rounds + 1, heldout, 3]."""
        if "_exact_of_all_sets" in vars(self):
            return self._exact_of_all_sets[:, :, : self.protocol.heldout]
        return self._predictives(self.heldout)

    @cached_property
    def _exact_of_all_sets(self) -> np.ndarray:
        """The exact posterior predictive of the held-out sets, then of the rounds' own sets, at every stage."""
        return self._predictives(np.concatenate([self._heldout_of_each, self.options], axis=1))

    def _predictives(self, sets: np.ndarray) -> np.ndarray:
        return predictives(self.domain, self.options, self.chosen, sets, stages="all", on_contradiction="ignore")

    @property
    def _heldout_of_each(self) -> np.ndarray:
        sets = self.heldout
        return sets if sets.ndim == 4 else np.broadcast_to(sets, (len(self.users), *sets.shape))

    def remembering(self) -> AbstractContextManager[None]:
        """Let an agent that asks for the exact predictive of what it is asked have it from one sweep, which gives
        ``exact`` too."""
        memo = StageMemo(self.domain, self.options, self.chosen, self._heldout_of_each, lambda: self._exact_of_all_sets)
        return remembering(memo)

    def latents_of(self, shard: np.ndarray) -> dict[str, np.ndarray]:
        """Return the true latents of some users, for privileged agents: {site: value[users]} at the positions
        int[users].

        Raises `UsageError` if they are unknown.
        """
        if self.latents is None:
            raise UsageError(f"nobody knows what the recorded users of {self.domain.name} want; leave this agent out.")
        return {name: value[shard] for name, value in self.latents.items()}

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

    >>> import beliefbench as bb
    >>> flights = bb.load_domain("flights")
    >>> loves_price = {"person": np.array([312])}  # weights 0, 0, 0, .5
    >>> options = np.zeros((1, 1, 3, 4)); options[0, 0, 2, 3] = 1.0
    >>> choice_probs(flights, loves_price, options).tolist()
    [[[0.0, 0.0, 1.0]]]
    """
    with jax.enable_x64(True):
        return np.asarray(_choice_probs(domain, latents, jnp.asarray(options)))


@partial(quick_jit, static_argnames="domain")
def _choice_probs(domain: Domain, latents: Any, options: Any) -> Any:
    return jax.vmap(lambda values, sets: query_values(domain.user_model, values, sets))(latents, options)


def check_draw(domain: Domain) -> None:
    """Raise `BeliefBenchError` if a domain draws sets of another shape than float[sets, 3, features]."""
    expected = (1, OPTIONS, len(domain.features))
    with guarded(f"domain '{domain.name}': draw raised"):
        shape = jax.eval_shape(lambda at: domain.draw(at, 1), key(0)).shape
    if shape != expected:
        raise BeliefBenchError(
            f"domain '{domain.name}': draw(key, 1) gave shape {list(shape)}; expected {list(expected)}, "
            "float[sets, 3, features]."
        )


def check_describe(domain: Domain, sets: np.ndarray) -> None:
    """Raise `BeliefBenchError` if ``describe`` gives no text of the first option in sets, float[..., 3, features]."""
    option = sets.reshape(-1, sets.shape[-1])[0]
    with guarded(f"domain '{domain.name}': describe raised"):
        text = domain.describe(option)
    if not isinstance(text, str) or not text.strip():
        raise BeliefBenchError(
            f"domain '{domain.name}': describe({option.tolist()}) gave {cut(repr(text))}; expected some text."
        )


def check_on_grid(domain: Domain, sets: np.ndarray) -> None:
    """Raise `BeliefBenchError` if sets, float[..., 3, features], have values that are not in the grids."""
    for at, feature in enumerate(domain.features):
        values = np.unique(sets[..., at])
        grid = np.asarray(feature.grid)
        off = ~(abs(values[:, None] - grid).min(axis=1) <= 1e-6)  # NaN is off too
        if off.any():
            raise BeliefBenchError(
                f"domain '{domain.name}': draw gave {feature.name} = {values[off][0]:g}, which is not in the feature's "
                "grid."
            )


def _draw(domain: Domain, protocol: Protocol, users: np.ndarray, latents: Any) -> tuple[np.ndarray, ...]:
    """Draw (options, chosen, heldout, truth). A smaller number of rounds, sets or users gives the first ones of a
    larger number."""
    seed, rounds, heldout = protocol.seed, protocol.rounds, protocol.heldout
    of_draws, of_choices = (path_keys(key(seed, domain.name), users, range(rounds), [what]) for what in (0, 1))
    owners = (users,) if domain.heldout == "own" else ()
    of_sets = path_keys(key(seed, domain.name, "held-out"), *owners, range(heldout))
    of_truth = path_keys(key(seed, domain.name, "held-out", "truth"), users, range(heldout))

    drawn = in_chunks(partial(_draw_sets, domain, 1), np.concatenate([of_draws, of_sets]))[:, 0]
    options = drawn[: len(of_draws)].reshape(len(users), rounds, *drawn.shape[1:])
    sets = drawn[len(of_draws) :].reshape(*(len(one) for one in owners), heldout, *drawn.shape[1:])
    asked = np.broadcast_to(sets, (len(users), *sets.shape[-3:]))
    return options, _choices(domain, latents, options, of_choices), sets, _choices(domain, latents, asked, of_truth)


def _informative_rounds(domain: Domain, rounds: int, seed: int, users: np.ndarray, latents: Any) -> tuple[Any, Any]:
    """Draw (options, chosen) round by round: of several sets, the one whose expected information is nearest to the
    target."""
    # As many rounds as there will be from the first, so that one shape is compiled.
    options = np.zeros((len(users), rounds, OPTIONS, len(domain.features)))
    chosen = np.zeros((len(users), rounds), np.int64)
    for number in range(rounds):
        of_draws, of_choices = (path_keys(key(seed, domain.name), users, [number], [what]) for what in (0, 1))
        candidates = in_chunks(partial(_draw_sets, domain, CANDIDATES), of_draws)
        seen = np.broadcast_to(np.arange(rounds) < number, chosen.shape)
        gain = expected_information(domain, options, chosen, candidates, seen=seen, on_contradiction="ignore")
        # Rounded, so that the last bit of a sum does not decide between sets that tell equally much.
        nearest = abs(gain - domain.information).round(9).argmin(axis=1)
        options[:, number] = candidates[np.arange(len(users)), nearest]
        chosen[:, number] = _choices(domain, latents, options[:, number : number + 1], of_choices)[:, 0]
    return options, chosen


def _choices(domain: Domain, latents: Any, options: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Let users choose, int[users, sets]: from options float[users, sets, 3, features], by a key a user and set."""
    users, sets = options.shape[:2]
    if not sets:
        return np.empty((users, 0), np.int64)
    each = {name: np.repeat(np.asarray(value), sets, axis=0) for name, value in latents.items()}
    flat = options.reshape(users * sets, *options.shape[2:])
    return in_chunks(partial(_choose, domain), each, flat, keys).reshape(users, sets)


@partial(quick_jit, static_argnames=("domain", "sets"))
def _draw_sets(domain: Domain, sets: int, keys: Any) -> Any:
    return jax.vmap(lambda at: domain.draw(jax.random.wrap_key_data(at), sets))(keys)


@partial(quick_jit, static_argnames="domain")
def _choose(domain: Domain, latents: Any, options: Any, keys: Any) -> Any:
    def choose(values: Any, one_set: Any, at: Any) -> Any:
        model = handlers.seed(handlers.substitute(domain.user_model, data=values), jax.random.wrap_key_data(at))
        return handlers.trace(model).get_trace(one_set[None])["choice"]["value"][0]

    return jax.vmap(choose)(latents, options, keys)
