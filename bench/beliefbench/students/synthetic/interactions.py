"""Interactions with users of synthetic domains, and what a teacher answers and believes in them, in NumPy.

The exact answers are those of `beliefbench.exact` for the same domain (`tests/students/test_synthetic.py` compares the
two). They are computed here again because each domain is used once, and JAX would compile each domain anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beliefbench.domain import OPTIONS
from beliefbench.students.synthetic.domains import SyntheticDomain
from beliefbench.teaching.interactions import Teacher

TIE = 1e-9
"""Rewards and probabilities that differ by no more are equal."""
RANDOM_SHARE = 0.2
"""The share of recommendations that are a random option: a student also reads its own, which are not the teacher's."""


@dataclass(frozen=True, eq=False)
class Interaction:
    """One user's rounds, and a last set of options that is only asked about: rounds + 1 sets.

    Parameters
    ----------
    domain
        The synthetic domain.
    options
        float64[sets, 3, features].
    chosen, recommended
        int[sets]: the user's choices, and the recommendations in the conversation.
    answers
        float64[sets, 3]: the teacher's answer before each choice: the exact predictive for the teacher ``"posterior"``,
        otherwise 1 for one option.
    believed
        float64[sets + 1, columns]: the weights that the teacher expects before each set and after the last.
    exact
        float64[sets, 3]: the exact predictive before each choice, whoever teaches.
    """

    domain: SyntheticDomain
    options: np.ndarray
    chosen: np.ndarray
    recommended: np.ndarray
    answers: np.ndarray
    believed: np.ndarray
    exact: np.ndarray

    @classmethod
    def draw(
        cls, domain: SyntheticDomain, rng: np.random.Generator, rounds: int, teacher: Teacher = "posterior"
    ) -> Interaction:
        """Return an interaction with a random user of the domain.

        >>> rng = np.random.default_rng(0)
        >>> interaction = Interaction.draw(SyntheticDomain.draw(rng), rng, rounds=2)
        >>> interaction.answers.shape, interaction.chosen.shape
        ((3, 3), (3,))
        """
        sets = rounds + 1
        options = domain.draw_options(rng, sets)
        likelihood = choice_probs(domain.expand(options), domain.weights)
        user = int(rng.integers(len(domain.weights)))
        chosen = _random_of(rng, likelihood[:, :, user] > 0)
        posterior = posteriors(likelihood, chosen)
        exact = np.einsum("soh,sh->so", likelihood, posterior[:-1])
        guess = _random_of(rng, exact >= exact.max(axis=-1, keepdims=True) - TIE)
        random = rng.random(sets) < RANDOM_SHARE
        recommended = np.where(random, rng.integers(0, OPTIONS, sets), chosen if teacher == "oracle" else guess)
        if teacher == "posterior":
            answers, belief = exact, posterior
        elif teacher == "bayesian":
            likeliest = posterior >= posterior.max(axis=-1, keepdims=True) - TIE
            answers, belief = np.eye(OPTIONS)[guess], likeliest / likeliest.sum(axis=-1, keepdims=True)
        else:
            answers, belief = np.eye(OPTIONS)[chosen], np.eye(len(domain.weights))[np.full(sets + 1, user)]
        return cls(domain, options, chosen, recommended, answers, belief @ domain.weights, exact)


def choice_probs(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the probability of each choice under each hypothesis, float64[sets, 3, hypotheses].

    Parameters
    ----------
    columns
        float[sets, 3, columns].
    weights
        float[hypotheses, columns].

    >>> choice_probs(np.array([[[0.0], [1.0], [1.0]]]), np.array([[1.0], [-1.0]]))[0].T.tolist()
    [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]
    """
    rewards = columns @ weights.T
    best = rewards >= rewards.max(axis=1, keepdims=True) - TIE
    return best / best.sum(axis=1, keepdims=True)


def posteriors(likelihood: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the posterior before each set and after the last, float64[sets + 1, hypotheses]; the prior is uniform.

    Parameters
    ----------
    likelihood
        float[sets, 3, hypotheses], from `choice_probs`.
    chosen
        int[sets].

    >>> posteriors(np.array([[[0.0, 1.0], [0.5, 0.0], [0.5, 0.0]]]), np.array([0])).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    sets, _, hypotheses = likelihood.shape
    found = np.empty((sets + 1, hypotheses))
    found[0] = 1 / hypotheses
    for at, choice in enumerate(chosen):
        found[at + 1] = found[at] * likelihood[at, choice]
        found[at + 1] /= found[at + 1].sum()
    return found


def _random_of(rng: np.random.Generator, allowed: np.ndarray) -> np.ndarray:
    """Return a random allowed option of each set: bool[sets, 3] -> int[sets]."""
    return np.where(allowed, rng.random(allowed.shape), -1.0).argmax(axis=-1)
