"""What a domain's NumPyro model says under one hypothesis: its prior, the probabilities of choices, rewards.

The model is traced by JAX. Probabilities are read from the distribution of the site ``choice`` where it has them, since
``log_prob`` and ``exp`` take most of the time of exact inference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from numpyro import handlers
from numpyro.distributions import BernoulliProbs, CategoricalLogits, CategoricalProbs, ExpandedDistribution

from beliefbench.domain import OPTIONS

LEAST_LOG_PRIOR = -100.0  # times the least product of probabilities, floats still hold it
IMPOSSIBLE = -1e300  # NumPyro's logarithm of a prior of 0 is the lowest float
Of = Literal["choice", "reward", "entropy"]


def joint_terms(model: Callable[..., Any], values: dict[str, Any], options: Any, choices: Any) -> tuple[Any, Any]:
    """Return (log prior, log P(choices) float[sets]) of one hypothesis; traceable by JAX.

    values
        {site: value} of all latent sites.
    options, choices
        float[sets, 3, features], int[sets].
    """
    traced = _traced(model, values, options)
    log_probs = _log_probs(traced["choice"]["fn"], len(options))
    return log_prior_of(traced), jnp.take_along_axis(log_probs, choices[:, None], axis=-1)[:, 0]


def terms_of_batch(model: Callable[..., Any], values: dict[str, Any], options: Any, choices: Any) -> tuple[Any, ...]:
    """Return (log prior, log P(choices) float[sets], sum over options of P(choice) float[sets]) of one hypothesis;
    traceable by JAX.

    Arguments as in `joint_terms`.
    """
    traced = _traced(model, values, options)
    choice = traced["choice"]["fn"]
    told = jnp.take_along_axis(_log_probs(choice, len(options)), choices[:, None], axis=-1)[:, 0]
    return log_prior_of(traced), told, _probs(choice, len(options)).sum(axis=-1)


def log_prior(model: Callable[..., Any], values: dict[str, Any], options: Any) -> Any:
    """Return the log prior of one hypothesis; traceable by JAX.

    options
        float[sets, 3, features]: any.
    """
    return log_prior_of(_traced(model, values, options))


def linear_prior(model: Callable[..., Any], values: dict[str, Any], options: Any) -> Any:
    """Return the prior probability of one hypothesis, NaN if it is so small that products with it may be lost;
    traceable by JAX.

    options
        float[sets, 3, features]: any.
    """
    log = log_prior(model, values, options)
    small = (log > IMPOSSIBLE) & (log < LEAST_LOG_PRIOR)
    return jnp.where(small, jnp.nan, jnp.exp(log))


def linear_probs(model: Callable[..., Any], values: dict[str, Any], options: Any, choices: Any, least: float) -> Any:
    """Return P(choices), float[sets], of one hypothesis; traceable by JAX.

    A probability above 0 and below ``least`` is NaN, and so is every product with it: it may be lost among floats.
    """
    choice, at = _traced(model, values, options)["choice"]["fn"], choices[:, None]
    probs = jnp.take_along_axis(_probs(choice, len(options)), at, axis=-1)[:, 0]
    if _has_probs(choice):
        possible = probs > 0
    else:
        possible = jnp.take_along_axis(_log_probs(choice, len(options)), at, axis=-1)[:, 0] > -jnp.inf
    return jnp.where(possible & ~(probs >= least), jnp.nan, probs)


def query_values(model: Callable[..., Any], values: dict[str, Any], options: Any, of: Of = "choice") -> Any:
    """Return a value of every option under one hypothesis, float[sets, 3]; traceable by JAX.

    options
        float[sets, 3, features].
    of
        ``"choice"``: P(choice = k); ``"entropy"``: its part of the choice's entropy, -P ln P; ``"reward"``: the model's
        ``reward`` site.
    """
    traced = _traced(model, values, options)
    if of != "reward":
        probs = _probs(traced["choice"]["fn"], len(options))
        return probs if of == "choice" else jax.scipy.special.entr(probs)
    if of not in traced:
        raise ValueError(
            f"the domain's model records no '{of}' site; add numpyro.deterministic('{of}', ...), float[rounds, 3]."
        )
    return traced[of]["value"]


def _traced(model: Callable[..., Any], values: dict[str, Any], options: Any) -> Any:
    return handlers.trace(handlers.seed(handlers.substitute(model, data=values), jax.random.key(0))).get_trace(options)


def log_prior_of(traced: Any) -> Any:
    """Return the log prior of a traced hypothesis: of all sites but ``choice``."""
    log_prior = jnp.zeros(())
    for name, site in traced.items():
        if site["type"] == "sample" and name != "choice":
            terms = _log_prob(site["fn"], site["value"])
            shape = jnp.broadcast_shapes(terms.shape, site["fn"].batch_shape)
            log_prior = log_prior + jnp.broadcast_to(terms, shape).sum()
    return log_prior


def _log_prob(fn: Any, value: Any) -> Any:
    """Return the log probability of a value; minus infinity if it is impossible, where NumPyro gives about -700."""
    plain = _plain(fn)
    if isinstance(plain, BernoulliProbs):
        return jnp.where(value == 1, jnp.log(plain.probs), jnp.log1p(-plain.probs))
    if isinstance(plain, CategoricalProbs):
        value = jnp.asarray(value)
        probs = jnp.broadcast_to(plain.probs, (*value.shape, plain.probs.shape[-1]))
        return jnp.log(jnp.take_along_axis(probs, value[..., None], axis=-1)[..., 0])
    return fn.log_prob(value)


def _plain(fn: Any) -> Any:
    """Return a distribution without what plates wrap around it."""
    while isinstance(fn, ExpandedDistribution):
        fn = fn.base_dist
    return fn


def _has_probs(choice: Any) -> bool:
    return isinstance(_plain(choice), CategoricalProbs) and _plain(choice).probs.shape[-1] == OPTIONS


def _has_logits(choice: Any) -> bool:
    return isinstance(_plain(choice), CategoricalLogits) and _plain(choice).logits.shape[-1] == OPTIONS


def _probs(choice: Any, sets: int) -> Any:
    """Return P(choice = k), float[sets, 3]."""
    if _has_probs(choice):
        return jnp.broadcast_to(_plain(choice).probs, (sets, OPTIONS))
    if _has_logits(choice):
        return jnp.broadcast_to(jax.nn.softmax(_plain(choice).logits, axis=-1), (sets, OPTIONS))
    return jnp.exp(_log_probs(choice, sets))


def _log_probs(choice: Any, sets: int) -> Any:
    """Return log P(choice = k), float[sets, 3]."""
    if _has_probs(choice):
        return jnp.broadcast_to(jnp.log(_plain(choice).probs), (sets, OPTIONS))
    if _has_logits(choice):
        return jnp.broadcast_to(jax.nn.log_softmax(_plain(choice).logits, axis=-1), (sets, OPTIONS))
    of_option = jax.vmap(lambda option: choice.log_prob(jnp.full(sets, option)))(jnp.arange(OPTIONS))
    return jnp.moveaxis(of_option, 0, -1)
