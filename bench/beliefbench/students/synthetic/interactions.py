"""Interactions with users of synthetic domains, and what a teacher answers and believes in them, in NumPy.

What is exact here is `beliefbench.exact`'s answer for the same domain (`tests/students/test_synthetic.py` compares the two); this
module computes it for a domain that is met once, without compiling anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beliefbench.domain import OPTIONS
from beliefbench.students.synthetic.domains import SyntheticDomain
from beliefbench.teaching.interactions import Teacher

TIE = 1e-9
STRAY = 0.2
"""The share of recommendations that are any option: a student meets its own, which are not the exact assistant's."""


@dataclass(frozen=True, eq=False)
class Interaction:
    """One user's rounds; the last set is only asked about.

    Parameters
    ----------
    options
        float64[sets, 3, features].
    chosen, recommended
        int[sets].
    answers
        float64[sets, 3]: what the teacher answers before each set's choice; 1 for one option where its answers are hard.
    believed
        float64[sets + 1, columns]: the weights that the teacher believes in before each set, and after the last.
    exact
        float64[sets, 3]: the exact predictive, whoever teaches.
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
        """Return an interaction with a user drawn from the domain's."""
        sets = rounds + 1
        options = domain.draw_options(rng, sets)
        likelihood = choice_probs(domain.expand(options), domain.weights)
        user = int(rng.integers(len(domain.weights)))
        own = likelihood[:, :, user]
        chosen = np.where(own > 0, rng.random(own.shape), -1.0).argmax(axis=-1)
        posterior = posteriors(likelihood, chosen)
        exact = np.einsum("soh,sh->so", likelihood, posterior[:-1])
        guess = np.where(exact >= exact.max(axis=-1, keepdims=True) - TIE, rng.random(exact.shape), -1.0).argmax(
            axis=-1
        )
        stray = rng.random(sets) < STRAY
        recommended = np.where(stray, rng.integers(0, OPTIONS, sets), chosen if teacher == "oracle" else guess)
        if teacher == "posterior":
            answers, belief = exact, posterior
        elif teacher == "bayesian":
            likeliest = posterior >= posterior.max(axis=-1, keepdims=True) - TIE
            answers, belief = np.eye(OPTIONS)[guess], likeliest / likeliest.sum(axis=-1, keepdims=True)
        else:
            answers, belief = np.eye(OPTIONS)[chosen], np.eye(len(domain.weights))[np.full(sets + 1, user)]
        return cls(domain, options, chosen, recommended, answers, belief @ domain.weights, exact)


def choice_probs(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return P(choice) of every hypothesis: float[sets, 3, columns], float[hypotheses, columns] -> float[sets, 3, hypotheses].

    >>> choice_probs(np.array([[[0.0], [1.0], [1.0]]]), np.array([[1.0], [-1.0]]))[0].T.tolist()
    [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]
    """
    rewards = columns @ weights.T
    best = rewards >= rewards.max(axis=1, keepdims=True) - TIE
    return best / best.sum(axis=1, keepdims=True)


def posteriors(likelihood: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the posterior before each set and after the last, float[sets + 1, hypotheses], from a uniform prior."""
    sets, _, hypotheses = likelihood.shape
    found = np.empty((sets + 1, hypotheses))
    found[0] = 1 / hypotheses
    for at, choice in enumerate(chosen):
        found[at + 1] = found[at] * likelihood[at, choice]
        found[at + 1] /= found[at + 1].sum()
    return found
