"""The domain contract as executable checks: the first half of ``beliefbench check NAME`` for a domain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers

from beliefbench.checking.results import CheckFailedError, CheckResult, run_check
from beliefbench.domain import OPTIONS, Domain, Feature
from beliefbench.draws import key
from beliefbench.exact.enumeration import log_weights
from beliefbench.exact.hypothesis import joint_terms, query_values
from beliefbench.exact.inference import predictive
from beliefbench.exact.latents import unchecked_space
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.running.store import run_key

SETS = 8  # option sets that are looked at
HYPOTHESES = 40  # hypotheses that are looked at, spread over all
EXACT = 1e-9  # how far probabilities may be apart that ought to be the same number


def check_domain_contract(domain: Domain) -> list[CheckResult]:
    """Check a domain against the domain contract (`beliefbench.domain.Domain`); return one result per check.

    Raises nothing: an error in the domain is a failed check. An error in several checks is reported once.

    >>> import beliefbench as bb
    >>> [finding for finding in check_domain_contract(bb.load_domain("flights")) if not finding.passed]
    []
    """
    with jax.enable_x64(True):
        return _each_error_once([run_check(name, partial(check, domain)) for name, check in CHECKS.items()], domain)


def _each_error_once(results: list[CheckResult], domain: Domain) -> list[CheckResult]:
    first: dict[str, str] = {}
    told = []
    for result in results:
        error = result.detail.removeprefix(f"{domain.name}: its model ").rstrip(".")
        known = first.setdefault(error, result.check)
        again = not result.passed and known != result.check
        told.append(replace(result, detail=f"fails like '{known}'.") if again else result)
    return told


def _names(domain: Domain) -> str:
    for name in ("name", "version", "item"):
        value = getattr(domain, name)
        if not (isinstance(value, str) and value.strip()):
            raise CheckFailedError(f"{name} is {value!r}; expected some text.")
    return f"{domain.name}, version {domain.version}; an option is called {domain.item}."


def _features(domain: Domain) -> str:
    features = domain.features
    if not (isinstance(features, tuple) and features and all(isinstance(one, Feature) for one in features)):
        raise CheckFailedError(f"features is {features!r}; expected a tuple of one beliefbench.Feature or more.")
    names = [feature.name for feature in features]
    if len(set(names)) < len(names):
        raise CheckFailedError(f"two features have the same name; got {', '.join(names)}.")
    for feature in features:
        grid = list(feature.grid)
        if not grid or grid != sorted(set(grid)) or grid[0] < 0 or grid[-1] > 1:
            raise CheckFailedError(f"the grid of {feature.name} is {grid}; expected ascending numbers in [0, 1].")
        shown = [feature.show(value) for value in grid]
        if not (feature.label and all(isinstance(text, str) and text for text in shown)):
            raise CheckFailedError(
                f"{feature.name} needs a label and a text for each value; got {feature.label!r} and {shown}."
            )
    return f"{len(names)}: {', '.join(names)}."


def _identity(domain: Domain) -> str:
    run_key(domain.identity())
    return "identity() is canonical JSON."


def _draw(domain: Domain) -> str:
    columns, at = len(domain.features), key(0, "check", "draw")
    sets = np.asarray(domain.draw(at, SETS))
    if sets.shape != (SETS, OPTIONS, columns):
        raise CheckFailedError(f"draw(key, {SETS}) gave shape {sets.shape}; expected {(SETS, OPTIONS, columns)}.")
    for column, feature in enumerate(domain.features):
        values = sets[..., column].ravel()
        off = values[abs(values[:, None] - np.asarray(feature.grid)).min(axis=1) > 1e-6]
        if len(off):
            raise CheckFailedError(
                f"draw gave {feature.name} = {off[0]:g}, which is not on its grid {list(feature.grid)}."
            )
    if not np.array_equal(sets, np.asarray(domain.draw(at, SETS))):
        raise CheckFailedError("draw gave other sets for the same key; it must depend on the key alone.")
    if np.array_equal(sets, np.asarray(domain.draw(key(1, "check", "draw"), SETS))):
        raise CheckFailedError("draw gave the same sets for two keys; it must draw with the key.")
    traced = np.asarray(jax.jit(domain.draw, static_argnums=1)(at, SETS))
    if not np.allclose(sets, traced, atol=1e-6):
        raise CheckFailedError("draw gives other sets under jax.jit; it must be traceable by JAX.")
    return f"{SETS} sets of shape ({OPTIONS}, {columns}) on the grids, by the key alone, traceable by JAX."


def _describe(domain: Domain) -> str:
    options = np.unique(_sets(domain).reshape(-1, len(domain.features)).round(6), axis=0)
    texts: dict[str, np.ndarray] = {}
    for option in options:
        text = domain.describe(option)
        if not (isinstance(text, str) and text.strip()):
            raise CheckFailedError(f"describe({option.tolist()}) gave {text!r}; expected some text.")
        if text in texts:
            raise CheckFailedError(f"describe gave '{text}' both for {texts[text].tolist()} and for {option.tolist()}.")
        texts[text] = option
    example = " / ".join(next(iter(texts)).splitlines())
    return f"{len(options)} different options read differently, such as '{example}'."


def _latent_sites(domain: Domain) -> str:
    space = unchecked_space(domain)
    if not space.sites:
        raise CheckFailedError("the model has no latent site, so there is nothing to learn about a user.")
    sites = ", ".join(f"{site.name} {list(site.shape)} of {len(site.values)} values" for site in space.sites)
    return f"{sites}: {space.size:,} hypotheses."


def _prior(domain: Domain) -> str:
    nothing = np.empty((0, OPTIONS, len(domain.features))), np.empty(0, int)
    total = np.exp(log_weights(domain, *nothing)).sum()
    if not abs(total - 1) < 1e-6:
        raise CheckFailedError(f"the prior over all hypotheses sums to {total:.9g}; expected 1.")
    return "sums to 1 over all hypotheses, and needs no round."


def _choice(domain: Domain) -> str:
    for rounds in (1, 3):
        site = _choice_site(domain, rounds)
        if tuple(site.batch_shape) != (rounds,) or site.event_shape:
            shape = [*site.batch_shape, *site.event_shape]
            raise CheckFailedError(f"site 'choice' has shape {shape} for rounds = {rounds}; expected [{rounds}].")
    totals = _choice_terms(domain, _sets(domain))[1].sum(axis=-1).ravel()
    worst = totals[abs(totals - 1).argmax()]
    if not abs(worst - 1) < EXACT:
        raise CheckFailedError(f"the probabilities of options 0, 1 and 2 sum to {worst:.9g} for some set; expected 1.")
    return "one per round, over 3 options whose probabilities sum to 1."


def _rounds_independent(domain: Domain) -> str:
    sets = _sets(domain)
    prior, together = _choice_terms(domain, sets)
    for at in range(len(sets)):
        prior_alone, alone = _choice_terms(domain, sets[at : at + 1])
        if not (_same(alone[:, 0], together[:, at]) and _same(prior_alone, prior)):
            raise CheckFailedError(f"the choice from set {at} depends on the sets of other rounds.")
    first = {name: value[0] for name, value in _some_hypotheses(domain).items()}
    for choices in (np.zeros(len(sets), int), np.full(len(sets), OPTIONS - 1)):
        if not _same(_told_probs(domain, first, sets, choices), together[0, np.arange(len(sets)), choices]):
            raise CheckFailedError("the choice in a round depends on the choices that the model observes.")
    return f"each of {len(sets)} sets has the same probabilities alone and among others."


def _options_exchangeable(domain: Domain) -> str:
    sets, order = _sets(domain), [2, 0, 1]
    probs, turned = _choice_terms(domain, sets)[1], _choice_terms(domain, sets[:, order])[1]
    gap = abs(probs[..., order] - turned).max()
    if not gap < EXACT:
        raise CheckFailedError(f"the order of the options in a set changes a probability by {gap:.3g}.")
    return "the order of the options in a set changes no probability."


def _user_model(domain: Domain) -> str:
    own, users = unchecked_space(domain).sites, unchecked_space(replace(domain, model=domain.user_model)).sites
    if [(site.name, site.shape, site.values.tolist()) for site in own] != [
        (site.name, site.shape, site.values.tolist()) for site in users
    ]:
        names = [", ".join(site.name for site in sites) for sites in (own, users)]
        raise CheckFailedError(
            f"the latent sites of user_model ({names[1]}) are not those of model ({names[0]}) value for value."
        )
    return "users are simulated from the model itself." if domain.user_model is domain.model else "same latent sites."


def _exact_inference(domain: Domain) -> str:
    episodes = Episodes(domain, Protocol.of(domain, users=1, heldout=_heldout(domain)))
    sets = np.asarray(episodes.heldout)
    probs = predictive(domain, episodes.options[0], episodes.chosen[0], sets, on_contradiction="ignore")
    if not (np.isfinite(probs).all() and abs(probs.sum(axis=-1) - 1).max() < EXACT):
        raise CheckFailedError(
            f"the exact predictive of {len(sets)} sets is {probs.round(6).tolist()}; expected rows that sum to 1."
        )
    return "the posterior predictive after simulated rounds sums to 1."


CHECKS: dict[str, Callable[[Domain], str]] = {
    "names": _names,
    "features": _features,
    "identity": _identity,
    "draw": _draw,
    "describe": _describe,
    "latent sites": _latent_sites,
    "prior": _prior,
    "choice": _choice,
    "rounds independent": _rounds_independent,
    "options exchangeable": _options_exchangeable,
    "user model": _user_model,
    "exact inference": _exact_inference,
}
"""The checks by name. Each returns a sentence, or raises if the contract is broken. They run in double precision."""


def _heldout(domain: Domain) -> int:
    return SETS if domain.recorded is None else min(SETS, domain.recorded.truth.shape[1])


def _sets(domain: Domain) -> np.ndarray:
    return np.asarray(domain.draw(key(0, "check", "sets"), SETS), np.float64)


def _choice_site(domain: Domain, rounds: int) -> Any:
    """Return the distribution at site "choice", for its shapes only: nothing is computed."""
    sites = {}

    def trace(sets: Any) -> None:
        sites.update(handlers.trace(handlers.seed(domain.model, key(0))).get_trace(sets))

    jax.eval_shape(trace, _sets(domain)[:rounds])
    return sites["choice"]["fn"]


def _told_probs(domain: Domain, latents: dict[str, Any], sets: np.ndarray, choices: np.ndarray) -> np.ndarray:
    """Return the probabilities of the choices that the model observes, float64[sets]."""

    def told(choices: Any) -> Any:
        model = handlers.seed(handlers.substitute(domain.model, data=latents), key(0))
        return jnp.exp(handlers.trace(model).get_trace(sets, choices)["choice"]["fn"].log_prob(choices))

    return np.asarray(jax.jit(told)(choices))


def _some_hypotheses(domain: Domain) -> dict[str, Any]:
    space = unchecked_space(domain)
    return space.values(np.unique(np.linspace(0, space.size - 1, min(space.size, HYPOTHESES)).astype(int)))


def _choice_terms(domain: Domain, sets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log prior of some hypotheses and their P(choice), float64[hypotheses] and [hypotheses, sets, 3]."""
    log_prior, probs = _terms(domain, _some_hypotheses(domain), sets)
    return np.asarray(log_prior), np.asarray(probs)


@partial(jax.jit, static_argnames="domain")
def _terms(domain: Domain, hypotheses: dict[str, Any], sets: Any) -> tuple[Any, Any]:
    def terms(latents: dict[str, Any]) -> tuple[Any, Any]:
        log_prior, _ = joint_terms(domain.model, latents, sets, jnp.zeros(len(sets), int))
        return log_prior, query_values(domain.model, latents, sets)

    return jax.vmap(terms)(hypotheses)


def _same(one: Any, other: Any) -> bool:
    return np.allclose(one, other, rtol=0, atol=EXACT)
