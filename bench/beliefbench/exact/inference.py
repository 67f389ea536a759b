"""Exact inference: every value of a NumPyro model's finite latent sites is a hypothesis, and sums run over all of them.

This works for any model that meets the domain contract. Hypotheses are numbered in lexicographic order of the latent
sites' values; the first site changes slowest. They are visited in blocks, with sums and likelihoods in float64, so that
memory does not grow with their number (``beliefbench.exact.enumeration`` has the compiled part).

Users are handled in groups of one fixed size, so that a user's numbers do not depend on the other users in a call.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import special

from beliefbench.domain import OPTIONS, Domain
from beliefbench.errors import ContradictionError
from beliefbench.exact import latents
from beliefbench.exact.enumeration import log_weights, sweep
from beliefbench.exact.hypothesis import Of
from beliefbench.exact.latents import too_large, unchecked_space
from beliefbench.exact.memo import recall
from beliefbench.exact.query import Query

OnContradiction = Literal["raise", "ignore"]


def posterior(
    domain: Domain, options: np.ndarray, choices: np.ndarray, *, on_contradiction: OnContradiction = "raise"
) -> np.ndarray:
    """Return the posterior over hypotheses after some rounds, float64[hypotheses], summing to 1.

    Parameters
    ----------
    options
        float[rounds, 3, features]; rounds may be 0. Values between those of a feature's grid are used unchanged.
        Single-precision values are rounded to 6 decimals.
    choices
        int[rounds], each 0, 1 or 2.
    on_contradiction
        What to do with a choice that no hypothesis explains together with the earlier rounds. ``"raise"``: raise
        `ContradictionError`. ``"ignore"``: leave this round out.

    Raises
    ------
    ContradictionError
        If no hypothesis explains a choice; the error names the first such round.
    TooLargeError
        If there are too many hypotheses for the memory budget (4 GiB).

    >>> import beliefbench as bb
    >>> flights = bb.load_domain("flights")
    >>> posterior(flights, np.empty((0, 3, 4)), np.empty(0, int)).shape
    (624,)
    """
    options, choices = _history(domain, options, choices)
    _check_fallback(on_contradiction)
    joint = log_weights(domain, options, choices)
    if not np.isfinite(joint).any():
        seen = np.ones((1, len(choices)), dtype=bool)
        used = _used_rounds(domain, options[None], choices[None], on_contradiction, seen)[0]
        joint = log_weights(domain, options[used], choices[used])
    weights = np.exp(joint - joint.max())
    return weights / weights.sum()


def predictive(
    domain: Domain,
    options: np.ndarray,
    choices: np.ndarray,
    queries: np.ndarray,
    *,
    on_contradiction: OnContradiction = "raise",
) -> np.ndarray:
    """Return the posterior predictive P(choice | rounds so far) of option sets, float64[queries, 3]; rows sum to 1.

    Parameters
    ----------
    options, choices, on_contradiction
        As in `posterior`.
    queries
        float[queries, 3, features].

    >>> import beliefbench as bb
    >>> flights = bb.load_domain("flights")
    >>> # 250 of 624 people want the cheap one; to 124 the price is all the same, and they take it one time in three
    >>> cheap, dear = [0.5, 0.5, 0.5, 0.0], [0.5, 0.5, 0.5, 1.0]
    >>> seen = np.array([[dear, dear, cheap]])
    >>> predictive(flights, seen, np.array([2]), np.array([[cheap, dear, dear]])).round(3).tolist()
    [[0.905, 0.047, 0.047]]
    """
    options, choices = _history(domain, options, choices)
    return predictives(domain, options[None], choices[None], queries, on_contradiction=on_contradiction)[0, -1]


def predictives(
    domain: Domain,
    options: np.ndarray,
    choices: np.ndarray,
    queries: np.ndarray,
    *,
    stages: Literal["all", "last"] = "last",
    on_contradiction: OnContradiction = "raise",
) -> np.ndarray:
    """Return the posterior predictive for many users at once, float64[users, stages, queries, 3].

    Parameters
    ----------
    options, choices
        float[users, rounds, 3, features] and int[users, rounds].
    queries
        float[queries, 3, features], the same for every user, or float[users, queries, 3, features].
    stages
        ``"all"``: after each of 0 .. rounds rounds (stages = rounds + 1); ``"last"``: after all of them (stages = 1).
    on_contradiction
        As in `posterior`; the error names the user too.

    >>> import beliefbench as bb
    >>> flights = bb.load_domain("flights")
    >>> nothing = np.empty((2, 0, 3, 4)), np.empty((2, 0), int)
    >>> predictives(flights, *nothing, np.full((7, 3, 4), 0.5)).shape
    (2, 1, 7, 3)
    """
    options, choices, queries = _arrays(domain, options, choices, queries)
    if stages == "last" and on_contradiction == "ignore":
        known = recall(domain, options, choices, queries)
        if known is not None:
            return known[:, None]
    return _expected(domain, "choice", options, choices, queries, stages, on_contradiction)


def expected_rewards(
    domain: Domain,
    options: np.ndarray,
    choices: np.ndarray,
    queries: np.ndarray,
    *,
    on_contradiction: OnContradiction = "raise",
) -> np.ndarray:
    """Return the posterior mean of the model's ``reward`` site after all rounds, float64[users, queries, 3].

    Parameters as in `predictives`. Raises ``ValueError`` if the domain's model records no reward.

    >>> import beliefbench as bb
    >>> flights = bb.load_domain("flights")
    >>> nothing = np.empty((1, 0, 3, 4)), np.empty((1, 0), int)
    >>> abs(expected_rewards(flights, *nothing, np.full((1, 3, 4), 0.5))).max() < 1e-12
    np.True_
    """
    return _expected(domain, "reward", options, choices, queries, "last", on_contradiction)[:, 0]


def expected_information(
    domain: Domain,
    options: np.ndarray,
    choices: np.ndarray,
    queries: np.ndarray,
    *,
    seen: np.ndarray | None = None,
    on_contradiction: OnContradiction = "raise",
) -> np.ndarray:
    """Return the expected information gain of a user's choice in each query, after some rounds: float64[users,
    queries].

    In nats, from 0 to ln 3: I(latents; choice) = the entropy of the predictive minus the expected entropy of the choice
    given the latents.

    Parameters
    ----------
    options, choices, queries, on_contradiction
        As in `predictives`.
    seen
        bool[users, rounds]: the rounds to condition on; None: all.

    >>> import beliefbench as bb
    >>> flights = bb.load_domain("flights")
    >>> nothing = np.empty((1, 0, 3, 4)), np.empty((1, 0), int)
    >>> alike, apart = np.full((3, 4), 0.5), np.full((3, 4), 0.5)
    >>> apart[0, 3] = 1.0  # one dear flight and two cheap ones
    >>> expected_information(flights, *nothing, np.stack([alike, apart])).round(2).tolist()
    [[0.0, 0.56]]
    """
    probs = _expected(domain, "choice", options, choices, queries, "last", on_contradiction, seen)[:, 0]
    known = _expected(domain, "entropy", options, choices, queries, "last", on_contradiction, seen)[:, 0].sum(axis=-1)
    return np.maximum(special.entr(probs).sum(axis=-1) - known, 0.0)


def _expected(
    domain: Domain,
    of: Of,
    options: np.ndarray,
    choices: np.ndarray,
    queries: np.ndarray,
    stages: Literal["all", "last"],
    on_contradiction: OnContradiction,
    seen: np.ndarray | None = None,
) -> np.ndarray:
    """Return the posterior expectation of a value of each option, float64[users, stages, queries, 3]."""
    _check_fallback(on_contradiction)
    options, choices, queries = _arrays(domain, options, choices, queries)
    shared, own, order = _split_queries(queries, len(options))
    seen = np.ones(choices.shape, dtype=bool) if seen is None else seen
    used = seen
    while True:
        query = Query(of, stages, options, choices, used, shared, own)
        held = query.bytes_held()
        if held > latents.MEMORY_BUDGET:
            what = f"with {len(options):,} users and {len(order):,} queries a call would hold"
            raise too_large(domain.name, unchecked_space(domain).size, what, held, "ask for fewer at once")
        evidence, values = sweep(domain, query)
        if np.isfinite(evidence).all():
            return values if own is None or not len(shared) else values[:, :, order]
        used = _used_rounds(domain, options, choices, on_contradiction, seen)


def _used_rounds(
    domain: Domain, options: np.ndarray, choices: np.ndarray, on_contradiction: OnContradiction, seen: np.ndarray
) -> np.ndarray:
    """Return the rounds to condition on, bool[users, rounds]: those that do not contradict earlier rounds."""
    used = seen.copy()
    nothing = np.empty((0, OPTIONS, len(domain.features)))
    while True:
        evidence, _ = sweep(domain, Query("choice", "all", options, choices, used, nothing, None))
        impossible = ~np.isfinite(evidence)
        if not impossible.any():
            return used
        users = np.flatnonzero(impossible.any(axis=1))
        first = impossible[users].argmax(axis=1) - 1  # stage s + 1 is the first that holds round s
        if (first < 0).any():
            raise ContradictionError(f"the model of {domain.name} gives every hypothesis a prior of zero.")
        if on_contradiction == "raise":
            who = f" of user {users[0]}" if len(options) > 1 else ""
            raise ContradictionError(
                f"round {first[0] + 1}{who}: no hypothesis of {domain.name} explains the choice of option "
                f"{choices[users[0], first[0]] + 1} together with the rounds before it; "
                "pass on_contradiction='ignore' to leave such rounds out."
            )
        used[users, first] = False


def _history(domain: Domain, options: np.ndarray, choices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    nothing = np.empty((0, OPTIONS, len(domain.features)))
    many_options, many_choices, _ = _arrays(domain, np.asarray(options)[None], np.asarray(choices)[None], nothing)
    return many_options[0], many_choices[0]


def _arrays(
    domain: Domain, options: np.ndarray, choices: np.ndarray, queries: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the arguments as arrays; raise if a shape or a value is wrong, or the domain is too large."""
    unchecked_space(domain)
    options, choices, queries = _double(options), np.asarray(choices), _double(queries)
    tail = (OPTIONS, len(domain.features))
    if options.ndim != 4 or options.shape[2:] != tail:
        raise ValueError(f"options of {domain.name} are float[rounds, 3, {tail[1]}]; got shape {options.shape[1:]}")
    if choices.shape != options.shape[:2]:
        raise ValueError(f"{options.shape[1]} rounds of options need as many choices; got shape {choices.shape[1:]}")
    if choices.size and not np.issubdtype(choices.dtype, np.integer):
        raise ValueError(f"choices are integers 0, 1 or 2; got an array of {choices.dtype}")
    if choices.size and not (choices.min() >= 0 and choices.max() < OPTIONS):
        raise ValueError(f"choices are 0, 1 or 2; got values from {choices.min()} to {choices.max()}")
    if queries.shape[-2:] != tail or queries.ndim not in (3, 4):
        raise ValueError(f"queries of {domain.name} are float[queries, 3, {tail[1]}]; got shape {queries.shape}")
    if queries.ndim == 4 and len(queries) != len(options):
        raise ValueError(f"queries for {len(queries)} users, but rounds of {len(options)}")
    if not (np.isfinite(options).all() and np.isfinite(queries).all()):
        raise ValueError("options and queries must be finite numbers; got NaN or infinity")
    return options, choices.astype(np.int64), queries


def _double(values: np.ndarray) -> np.ndarray:
    """Return double precision. Single-precision values are rounded to 6 decimals, so that equal rewards stay equal. So
    are decimals that were single before they were made double.

    >>> _double(np.float32([0.1])).tolist(), _double(np.float32([0.1, 0.5]).astype(float)).tolist(), _double([1 / 128])
    ([0.1], [0.1, 0.5], array([0.0078125]))
    """
    values = np.asarray(values)
    exact = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = exact.round(6)
        # By chance, a double is a single once in 500 million times.
        were_single = (exact == exact.astype(np.float32)) & (abs(exact - rounded) <= 2**-24 * abs(exact))
    return rounded if values.dtype == np.float32 or were_single.all() else exact


def _check_fallback(on_contradiction: str) -> None:
    if on_contradiction not in ("raise", "ignore"):
        raise ValueError(f"on_contradiction is 'raise' or 'ignore'; got {on_contradiction!r}")


def _split_queries(queries: np.ndarray, users: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Split queries into those that all users share and those of single users, with the order that restores the
    answers.

    Shared queries are computed once for all users, which makes shared held-out sets cheap.
    """
    if queries.ndim == 3:
        return queries, None, np.arange(len(queries))
    if users == 0:
        return queries[:0].reshape(0, *queries.shape[2:]), queries, np.arange(queries.shape[1])
    same = (queries == queries[:1]).all(axis=(0, 2, 3))
    order = np.argsort(np.concatenate([np.flatnonzero(same), np.flatnonzero(~same)]))
    own = queries[:, ~same] if not same.all() else None
    return queries[0, same], own, order
