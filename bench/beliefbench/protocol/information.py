"""How much option sets can tell about a user, in nats, and how much they told (paper, section 7: informativeness)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from beliefbench.domain import OPTIONS, Domain
from beliefbench.exact.enumeration import Query, sweep
from beliefbench.protocol.episodes import Episodes, choice_probs


def informative(domain: Domain, nats: float) -> Domain:
    """Return the domain with rounds whose sets are expected to tell about ``nats`` each.

    A round's set is, of 32 drawn by the domain's own rule, the one whose expected information gain after the user's
    earlier rounds (`beliefbench.exact.inference.expected_information`) is nearest. It depends on what the user has
    already chosen and on nothing else about them, so that the exact answer stays calibrated. Held-out sets stay as they
    are.

    Parameters
    ----------
    nats
        From 0 to ln 3 = 1.099, which no choice among three options exceeds.

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
        raise ValueError("the rounds of recorded users cannot be drawn anew")
    parameters = {**domain.parameters, "information": nats}
    return replace(domain, name=f"{domain.name},information={nats:g}", information=nats, parameters=parameters)


def information_gain(episodes: Episodes) -> np.ndarray:
    """Return how much each round told the exact assistant about what the user truly wants, float64[users, rounds].

    The rise of the log posterior of the truth: log P(choice | truth) - log P(choice | rounds before), in nats. A round
    may mislead, and then the gain is negative; its mean is the x axis of the paper's plot (section 7).

    Raises
    ------
    ValueError
        If nobody knows what the users want, or a choice contradicts the model.

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
