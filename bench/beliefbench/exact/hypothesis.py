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
from numpyro.distributions import CategoricalLogits, CategoricalProbs

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
    return _log_prior(traced), jnp.take_along_axis(log_probs, choices[:, None], axis=-1)[:, 0]


def linear_prior(model: Callable[..., Any], values: dict[str, Any], options: Any) -> Any:
    """Return the prior probability of one hypothesis, NaN if it is so small that products with it may be lost;
    traceable by JAX.

    options
        float[sets, 3, features]: any.
    """
    log_prior = _log_prior(_traced(model, values, options))
    small = (log_prior > IMPOSSIBLE) & (log_prior < LEAST_LOG_PRIOR)
    return jnp.where(small, jnp.nan, jnp.exp(log_prior))


def linear_probs(model: Callable[..., Any], values: dict[str, Any], options: Any, choices: Any, least: float) -> Any:
    """Return P(choices), float[sets], of one hypothesis; traceable by JAX.

    A probability above 0 and below ``least`` is NaN, and so is every product with it: it may be lost among floats.
    """
    choice, at = _traced(model, values, options)["choice"]["fn"], choices[:, None]
    probs = jnp.take_along_axis(_probs(choice, len(options)), at, axis=-1)[:, 0]
    if _has_probs(choice, len(options)):
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


def _log_prior(traced: Any) -> Any:
    log_prior = jnp.zeros(())
    for name, site in traced.items():
        if site["type"] == "sample" and name != "choice":
            log_prior = log_prior + site["fn"].log_prob(site["value"]).sum()
    return log_prior


def _has_probs(choice: Any, sets: int) -> bool:
    return isinstance(choice, CategoricalProbs) and jnp.shape(choice.probs) == (sets, OPTIONS)


def _has_logits(choice: Any, sets: int) -> bool:
    return isinstance(choice, CategoricalLogits) and jnp.shape(choice.logits) == (sets, OPTIONS)


def _probs(choice: Any, sets: int) -> Any:
    """Return P(choice = k), float[sets, 3]."""
    if _has_probs(choice, sets):
        return choice.probs
    if _has_logits(choice, sets):
        return jax.nn.softmax(choice.logits, axis=-1)
    return jnp.exp(_log_probs(choice, sets))


def _log_probs(choice: Any, sets: int) -> Any:
    """Return log P(choice = k), float[sets, 3]."""
    if _has_probs(choice, sets):
        return jnp.log(choice.probs)
    if _has_logits(choice, sets):
        return jax.nn.log_softmax(choice.logits, axis=-1)
    of_option = jax.vmap(lambda option: choice.log_prob(jnp.full(sets, option)))(jnp.arange(OPTIONS))
    return jnp.moveaxis(of_option, 0, -1)
