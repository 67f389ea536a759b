"""Information gain of rounds, expected and actual, in nats (paper, section 7: informativeness)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from beliefbench.domain import OPTIONS, Domain
from beliefbench.exact.enumeration import sweep
from beliefbench.exact.query import Query
from beliefbench.protocol.episodes import Episodes, choice_probs


def informative(domain: Domain, nats: float) -> Domain:
    """Return the domain with rounds whose expected information gain is near ``nats``.

    For each round, 32 sets are drawn by the domain's own rule. The set whose expected information gain
    (`beliefbench.exact.inference.expected_information`) is nearest to ``nats`` is used. It depends on the user's
    earlier choices and on nothing else about the user, so the exact answer stays calibrated. Held-out sets do not
    change.

    Parameters
    ----------
    nats
        From 0 to ln 3 = 1.099, the maximum for a choice among three options.

    Raises
    ------
    ValueError
        If ``nats`` is out of range, or the domain's users were recorded.

    >>> import beliefbench as bb
    >>> informative(bb.load_domain("flights"), 0.5).name
    'flights,information=0.5'
    """
    if not 0 <= nats <= np.log(OPTIONS):
        raise ValueError(f"information is from 0 to {np.log(OPTIONS):.3f} nats a round; got {nats}")
    if domain.recorded is not None:
        raise ValueError("the rounds of recorded users cannot be drawn again")
    parameters = {**domain.parameters, "information": nats}
    return replace(domain, name=f"{domain.name},information={nats:g}", information=nats, parameters=parameters)


def information_gain(episodes: Episodes) -> np.ndarray:
    """Return the information gain of each round about the user's true latents, float64[users, rounds].

    This is the increase of the log posterior of the truth: log P(choice | truth) - log P(choice | rounds before), in
    nats. It is negative if a round misleads. Its mean is the x axis of the paper's plot (section 7).

    Raises
    ------
    ValueError
        If the users' true latents are unknown, or a choice contradicts the model.

    >>> import beliefbench as bb
    >>> episodes = bb.Episodes(bb.load_domain("flights"), bb.Protocol(users=624, heldout=1))
    >>> bool(0.68 < information_gain(episodes).mean() < 0.75)
    True
    """
    domain = episodes.domain
    if episodes.latents is None:
        raise ValueError(f"nobody knows what the users of {domain.name} want")
    used = np.ones(episodes.chosen.shape, dtype=bool)
    no_queries = np.empty((0, OPTIONS, len(domain.features)))
    evidence, _ = sweep(domain, Query("choice", "all", episodes.options, episodes.chosen, used, no_queries, None))
    probs = choice_probs(replace(domain, user_model=domain.model), episodes.latents, episodes.options)
    with np.errstate(divide="ignore", invalid="ignore"):
        known = np.log(np.take_along_axis(probs, episodes.chosen[..., None], axis=-1)[..., 0])
        gain = known - np.diff(evidence, axis=1)
    if not np.isfinite(gain).all():
        raise ValueError(f"some choices of the users of {domain.name} contradict its model")
    return gain
