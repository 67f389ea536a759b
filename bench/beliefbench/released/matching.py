"""From the texts and weights of released files to a domain's features and hypotheses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import jax
import numpy as np
from numpyro import handlers

from beliefbench.domain import Domain
from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.exact.latents import latent_space
from beliefbench.plugins.names import load_suite, names
from beliefbench.released.located import shown


def domain_of(features: Sequence[str], item: str, where: str) -> Domain:
    """Return the installed domain that has these features in this order, and this item word.

    Parameters
    ----------
    where
        The file and line, for the error.

    Raises
    ------
    UsageError
        If there is no such domain; a feature that no domain has is named.
    """
    known: set[str] = set()
    for name in names("domain"):
        if "/" in name:  # imported itself
            continue
        try:
            domains = load_suite(name)
        except BeliefBenchError:  # a plugin that is broken is none that a file could belong to
            continue
        for domain in domains:
            own = [feature.name for feature in domain.features]
            if own == list(features) and domain.item == item:
                return domain
            if domain.item == item:
                known.update(own)
    unknown = [name for name in features if name not in known]
    if unknown and known:
        raise UsageError(
            f"{where}: unknown feature '{unknown[0][:60]}'; a {item.lower()} has {', '.join(sorted(known))}."
        )
    raise UsageError(
        f"{where}: no installed domain of a {item[:60]} has the features {shown(list(features), 300)} in this order."
    )


def values_of(domain: Domain, text: str) -> np.ndarray | None:
    """Return the features that a text describes, float64[features], or None if it is not a text of the domain.

    >>> import beliefbench as bb
    >>> text = "distance to downtown: 1 miles, price: $100, rating: 1 stars, amenities: free parking and free breakfast"
    >>> values_of(bb.load_domain("hotels"), text).tolist()
    [0.1, 0.0, 0.0, 0.5]
    """
    values = _values_of(domain, text)
    return None if values is None else np.array(values)


@lru_cache(maxsize=2**16)  # many users see the same options
def _values_of(domain: Domain, text: str) -> tuple[float, ...] | None:
    found = _pattern(domain).fullmatch(text)
    if found is None:
        return None
    given = zip(domain.features, found.groups(), strict=True)
    values = tuple(feature.grid[[feature.show(v) for v in feature.grid].index(part)] for feature, part in given)
    return values if domain.describe(np.array(values)) == text else None


@lru_cache(maxsize=16)
def _pattern(domain: Domain) -> re.Pattern[str]:
    """Return a pattern for the texts of a domain, with a group per feature; the text of a value may contain commas."""
    parts = []
    for feature in domain.features:
        texts = sorted((feature.show(value) for value in feature.grid), key=len, reverse=True)
        parts.append(f"{re.escape(feature.label)}: ({'|'.join(map(re.escape, texts))})")
    return re.compile(", ".join(parts))


def hypotheses_of(domain: Domain, weights: np.ndarray) -> np.ndarray:
    """Return the hypotheses with these ``weights``, float[users, features] -> int[users]; -1 if there is none.

    >>> import beliefbench as bb
    >>> hypotheses_of(bb.load_domain("flights"), np.array([[-1, -1, -1, -1], [1, 1, 1, 1], [0, 0, 0, 0]])).tolist()
    [0, 623, -1]
    """
    numbers = {row.tobytes(): number for number, row in enumerate(_weights(domain))}
    return np.array([numbers.get(row.tobytes(), -1) for row in np.asarray(weights, dtype=float).round(6) + 0.0])


@lru_cache(maxsize=2)
def _weights(domain: Domain) -> np.ndarray:
    """Return the ``weights`` site of every hypothesis, float64[hypotheses, features]."""
    space = latent_space(domain)
    set_, unasked = np.zeros((1, 3, len(domain.features))), np.zeros(1, int)

    def one(values: dict[str, jax.Array]) -> jax.Array:
        model = handlers.substitute(domain.model, data=values)
        return handlers.trace(model).get_trace(set_, unasked)["weights"]["value"]

    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.vmap(one))(space.values(np.arange(space.size)))).round(6) + 0.0
