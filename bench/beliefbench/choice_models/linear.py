"""Domains where people choose by a weighted sum of features: the constructor behind flights and hotels.

reward = weights . features, with finitely many candidate weights. A person chooses by a rule
(`beliefbench.choice_models.rules`). By default they take the best option, and one of the best at random if several tie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from beliefbench.choice_models.rules import ChoiceRule, pymc_probs, varied
from beliefbench.domain import OPTIONS, Domain, Feature, Questionnaire, Scale, describe_features

PAPER_WEIGHTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
BEST = ChoiceRule()


def linear_choice(
    name: str,
    *,
    version: str,
    item: str,
    features: tuple[Feature, ...],
    purpose: str = "",
    weights: tuple[float, ...] = PAPER_WEIGHTS,
    prior: Sequence[float] | None = None,
    rule: ChoiceRule = BEST,
    user_rule: ChoiceRule | None = None,
) -> Domain:
    """Return a linear-choice domain. Each feature of an option is drawn uniformly and independently from its grid.

    Parameters
    ----------
    purpose
        The purpose of the options, as a person says it: ``"for my trips"``.
    weights
        The values that the weight of a feature can have. The people are all combinations of weights in lexicographic
        order, without the one with all weights 0. The paper's five values and four features give 624 people.
    prior
        The prior over people, in the same order; None: uniform. It need not sum to 1.
    rule
        The choice rule that the exact assistant assumes.
    user_rule
        The choice rule that people follow; None: the same as ``rule``.

    Raises
    ------
    ValueError
        If there is no feature, two features have the same name, the item or the version is not a text, or the prior
        does not have one entry per person.

    >>> coin = Feature("coin", "coin", (0.0, 1.0), lambda value: "heads" if value else "tails")
    >>> domain = linear_choice("coins", version="1", item="Coin", features=(coin,), weights=(-1.0, 1.0))
    >>> domain.describe(np.array([1.0]))
    'coin: heads'
    """
    names = [feature.name for feature in features]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{name} needs one feature or more, each with a name of its own; got {names}")
    for member, value in (("item", item), ("version", version)):
        if not (isinstance(value, str) and value.strip()):
            raise ValueError(f"the {member} of {name} is some text; got {value!r}")
    people = len(weights) ** len(features) - (0.0 in weights)
    if prior is not None and (len(prior) != people or min(prior) < 0 or sum(prior) <= 0):
        raise ValueError(f"a prior of {name} is {people} numbers of 0 or more; got {len(prior)}")
    parameters = {
        "features": [{"name": feature.name, "grid": list(feature.grid)} for feature in features],
        "weights": list(weights),
        "prior": None if prior is None else [float(share) for share in prior],
        "rule": rule.parameters(),
        "user_rule": (user_rule or rule).parameters(),
    }

    def vary(**settings: str) -> Domain:
        changed = varied(rule, user_rule, settings)
        return linear_choice(
            name,
            version=version,
            item=item,
            features=features,
            purpose=purpose,
            weights=weights,
            prior=prior,
            rule=changed[0],
            user_rule=changed[1],
        )

    model = _numpyro_model(len(features), weights, prior, rule)
    return Domain(
        name=name,
        version=version,
        item=item,
        features=features,
        model=model,
        draw=_uniform_draw(features),
        describe=describe_features(features),
        purpose=purpose,
        user_model=model if user_rule is None else _numpyro_model(len(features), weights, prior, user_rule),
        pymc_model=_pymc_model(len(features), weights, prior, rule),
        questionnaire=_questionnaire(features, weights),
        vary=vary,
        parameters=parameters,
    )


def weights_of(person: Any, features: int, weights: tuple[float, ...]) -> jax.Array:
    """Return the weights of people by their numbers: int[...] -> float[..., features].

    Computed digit by digit, so that no table of all people is needed: flights-8 has 390,624.

    >>> weights_of(jnp.arange(3), 2, (-1.0, 0.0, 1.0)).tolist()
    [[-1.0, -1.0], [-1.0, 0.0], [-1.0, 1.0]]
    >>> weights_of(jnp.arange(3, 5), 2, (-1.0, 0.0, 1.0)).tolist()  # (0, 0) is nobody
    [[0.0, -1.0], [0.0, 1.0]]
    """
    base = len(weights)
    if 0.0 in weights:
        indifferent = sum(weights.index(0.0) * base**place for place in range(features))
        person = person + (person >= indifferent)
    places = base ** np.arange(features)[::-1]
    return jnp.asarray(weights)[(jnp.asarray(person)[..., None] // places) % base]


def _numpyro_model(
    features: int, weights: tuple[float, ...], prior: Sequence[float] | None, rule: ChoiceRule
) -> Callable[..., None]:
    people = len(weights) ** features - (0.0 in weights)
    shares = None if prior is None else np.asarray(prior) / np.sum(prior)

    def model(options: Any, choices: Any = None) -> None:
        who = dist.DiscreteUniform(0, people - 1) if shares is None else dist.Categorical(probs=jnp.asarray(shares))
        person = numpyro.sample("person", who)
        weight = numpyro.deterministic("weights", weights_of(person, features, weights))
        reward = numpyro.deterministic("reward", jnp.asarray(options) @ weight)
        numpyro.sample("choice", dist.Categorical(probs=rule.probs(reward)), obs=choices)

    return model


def _questionnaire(features: tuple[Feature, ...], weights: tuple[float, ...]) -> Questionnaire | None:
    """Return one question per feature, answered by its weight; None if a feature has no words for it."""
    if not all(feature.lower and feature.higher for feature in features):
        return None

    def answers(latents: Any) -> jax.Array:
        wanted = weights_of(latents["person"], len(features), weights)
        return (wanted[..., None] == jnp.asarray(sorted(weights))).argmax(axis=-1)

    scales = tuple(Scale(feature.label, feature.lower, feature.higher) for feature in features)
    return Questionnaire(scales, len(weights), answers)


def _uniform_draw(features: tuple[Feature, ...]) -> Callable[[Any, int], jax.Array]:
    most = max(len(feature.grid) for feature in features)
    grids = np.array([np.pad(feature.grid, (0, most - len(feature.grid)), mode="edge") for feature in features])
    lengths = np.array([len(feature.grid) for feature in features])

    def draw(key: Any, sets: int) -> jax.Array:
        def column(feature_key: Any, grid: Any, length: Any) -> Any:
            return grid[jax.random.randint(feature_key, (sets, OPTIONS), 0, length)]

        with jax.enable_x64(True):  # a grid's .1 in single precision is another number, and breaks ties
            # All features at once: a random generator takes a tenth of a second to compile.
            columns = jax.vmap(column)(jax.random.split(key, len(features)), jnp.asarray(grids), jnp.asarray(lengths))
            return jnp.moveaxis(columns, 0, -1)

    return draw


def _pymc_model(
    features: int, weights: tuple[float, ...], prior: Sequence[float] | None, rule: ChoiceRule
) -> Callable[..., Any]:
    """Return the same model in PyMC, sharing no code with the NumPyro one, so that a slip in one shows."""

    def model(options: np.ndarray, choices: np.ndarray) -> Any:
        import pymc as pm
        import pytensor.tensor as pt

        people = [vector for vector in product(weights, repeat=features) if any(vector)]
        shares = np.ones(len(people)) if prior is None else np.array(prior, dtype=float)
        with pm.Model() as built:
            person = pm.Categorical("person", p=shares / shares.sum())
            reward = pt.sum(np.asarray(options) * pt.as_tensor(np.array(people))[person], axis=-1)
            pm.Categorical("choice", p=pymc_probs(rule, reward), observed=choices)
        return built

    return model
