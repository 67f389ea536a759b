"""Exact inference of random models against an enumeration in NumPy, in extended precision, that shares no code with it.

Each model is one of five families, with random sizes, priors (some of them 0), choice rules, and temperatures from
0.001 to 1,000,000; its history has 0 to 50 rounds, and once 3,000. Users choose as the model says.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import beliefbench as bb
from beliefbench.choice_models.catalogue import Catalogue, Product
from beliefbench.domain import describe_features

TOLERANCE = 1e-12
TEMPERATURES = (1e-3, 0.03, 1.0, 30.0, 1e6)
TENTHS = tuple(place / 10 for place in range(11))
Random = np.random.Generator


class Case(NamedTuple):
    """A domain, and what NumPy says of it: the prior, float[hypotheses], and ``probs(options)``, P(choice) of sets,
    float[hypotheses, sets, 3]."""

    domain: bb.Domain
    prior: np.ndarray
    probs: Callable[[np.ndarray], np.ndarray]
    draw: Callable[[Random, int], np.ndarray]


def chosen_by(rewards: np.ndarray, unit: int, rule: bb.ChoiceRule) -> np.ndarray:
    """P(choice) of rewards that are whole numbers of 1 / unit, int[..., 3]."""
    best = rewards == rewards.max(axis=-1, keepdims=True)
    own = best / best.sum(axis=-1, keepdims=True, dtype=np.longdouble)
    if rule.temperature:
        own = softmax(rewards / np.longdouble(unit), rule.temperature)
    pool = np.ones_like(best) if rule.lapse_to == "any" else ~best
    size = pool.sum(axis=-1, keepdims=True)
    lapsed = (1 - np.longdouble(rule.lapse)) * own + np.longdouble(rule.lapse) * pool / np.maximum(size, 1)
    return np.where(size > 0, lapsed, own)


def softmax(rewards: np.ndarray, temperature: float) -> np.ndarray:
    odds = np.exp((rewards - rewards.max(axis=-1, keepdims=True)) / np.longdouble(temperature))
    return odds / odds.sum(axis=-1, keepdims=True)


def random_prior(rng: Random, *shape: int) -> np.ndarray:
    """Shares that sum to 1 over the last axis; some of them may be 0."""
    shares = rng.dirichlet(np.full(shape[-1], 0.5), shape[:-1])
    shares[(rng.random(shares.shape) < 0.2) & (shares < shares.max(axis=-1, keepdims=True))] = 0
    return shares / shares.sum(axis=-1, keepdims=True)


def random_rule(rng: Random) -> bb.ChoiceRule:
    temperature = rng.choice([0.0, *TEMPERATURES])
    return bb.ChoiceRule(temperature, rng.choice([0.0, 0.2]), rng.choice(["any", "other"]))


def linear(rng: Random) -> Case:
    features = tuple(bb.Feature(f"f{number}", f"f{number}", TENTHS, str) for number in range(rng.integers(1, 4)))
    weights = tuple(sorted(rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0], rng.integers(2, 6), replace=False).tolist()))
    people = np.array([one for one in product(weights, repeat=len(features)) if any(one)])
    prior, rule = random_prior(rng, len(people)), random_rule(rng)
    domain = bb.linear_choice(
        "random", version="1", item="Thing", features=features, weights=weights, prior=prior.tolist(), rule=rule
    )

    def probs(options: np.ndarray) -> np.ndarray:
        rewards = np.rint(10 * options).astype(int) @ np.rint(2 * people).astype(int).T
        return chosen_by(np.moveaxis(rewards, -1, 0), 20, rule)

    return Case(domain, prior, probs, lambda rng, sets: rng.integers(0, 11, (sets, 3, len(features))) / 10)


def meets(good: Product, attributes: tuple[str, ...], chosen: tuple[tuple[str, str], ...]) -> bool:
    return set(attributes) <= set(good.attributes) and all(
        value in good.options.get(kind, ()) for kind, value in chosen
    )


def shopping(rng: Random) -> Case:
    attributes = tuple(f"a{number}" for number in range(rng.integers(3, 6)))
    options = {f"o{kind}": tuple(f"v{kind}{value}" for value in range(rng.integers(2, 4))) for kind in range(3)}
    goods = []
    for number in range(rng.integers(4, 8)):
        own = {
            kind: tuple(value for value in values if rng.random() < 0.7) or values[:1]
            for kind, values in options.items()
            if number == 0 or rng.random() < 0.8
        }
        has = tuple(name for name in attributes if number == 0 or rng.random() < 0.5)
        goods.append(Product(title=f"p{number}", attributes=has, options=own, price=float(rng.integers(1, 21))))
    rule = random_rule(rng)
    catalogue = Catalogue(category="random", attributes=attributes, options=options, products=tuple(goods))
    domain = bb.shopping("random", version="1", catalogue=catalogue, rule=rule)
    values = [(kind, value) for kind, kinds in options.items() for value in kinds]
    goals = [
        (wanted, chosen)
        for wanted in combinations(attributes, 2)
        for chosen in combinations(values, 2)
        if chosen[0][0] != chosen[1][0] and any(meets(one, wanted, chosen) for one in goods)
    ]
    unit = 8 * round(max(one.price for one in goods))  # reward = matches / 4 - price / dearest / 8

    def probs(sets: np.ndarray) -> np.ndarray:
        """Read each offer from its text."""
        rewards = np.zeros((len(goals), *sets.shape[:2]), int)
        for place in np.ndindex(sets.shape[:2]):
            stated = dict(line.split(": ") for line in domain.describe(sets[place]).split("\n")[1:])
            has, price = set(stated["Attributes"].split(", ")), round(float(stated["Price"].removeprefix("$")))
            for number, (wanted, chosen) in enumerate(goals):
                matches = len(has & set(wanted)) + sum(stated.get(kind) == value for kind, value in chosen)
                rewards[number, *place] = matches * unit // 4 - price
        return chosen_by(rewards, unit, rule)

    def draw(rng: Random, sets: int) -> np.ndarray:
        return np.asarray(domain.draw(jax.random.key(int(rng.integers(2**31))), sets or 1))[:sets]

    return Case(domain, np.full(len(goals), 1 / len(goals)), probs, draw)


def weighted(rng: Random, columns: int, sites: Callable, prior: np.ndarray, table: np.ndarray) -> Case:
    """People with the weights in a table, float[hypotheses, features], who choose by softmax at a random temperature.

    ``sites()`` samples the latent sites, and returns the weights, float[features].
    """
    temperature = rng.choice(TEMPERATURES)
    features = tuple(bb.Feature(f"f{number}", f"f{number}", (0.0, 1.0), str) for number in range(columns))

    def model(options, choices=None):
        logits = options @ sites() / temperature
        numpyro.sample("choice", dist.Categorical(logits=logits), obs=choices)

    def probs(options: np.ndarray) -> np.ndarray:
        return softmax(np.moveaxis(options.astype(np.longdouble) @ table.T, -1, 0), temperature)

    domain = bb.Domain("random", "1", "Thing", features, model, None, describe_features(features))
    return Case(domain, prior.ravel(), probs, lambda rng, sets: rng.random((sets, 3, columns)))


def mixture(rng: Random) -> Case:
    """Kinds of people with weights of their own, in two moods: in one of them they choose at random."""
    kinds, columns = (int(number) for number in rng.integers(2, 6, 2))
    table, shares, calm = rng.normal(size=(kinds, columns)), random_prior(rng, kinds), rng.random()

    def sites():
        kind = numpyro.sample("kind", dist.Categorical(jnp.asarray(shares)))
        return numpyro.sample("mood", dist.Bernoulli(calm)) * jnp.asarray(table)[kind]

    both = np.stack([0 * table, table], axis=1).reshape(-1, columns)
    return weighted(rng, columns, sites, np.outer(shares, [1 - calm, calm]), both)


def plate(rng: Random) -> Case:
    """A weight for each feature, each with a prior of its own."""
    columns, levels = int(rng.integers(1, 5)), int(rng.integers(2, 4))
    shares, values = random_prior(rng, columns, levels), rng.normal(size=levels)

    def sites():
        with numpyro.plate("features", columns):
            return jnp.asarray(values)[numpyro.sample("level", dist.Categorical(jnp.asarray(shares)))]

    every = np.array(list(product(range(levels), repeat=columns)))
    prior = np.array([np.prod(shares[range(columns), one]) for one in every])
    return weighted(rng, columns, sites, prior, values[every])


def conditional(rng: Random) -> Case:
    """A latent whose prior depends on another."""
    first, second, columns = (int(number) for number in rng.integers(2, 5, 3))
    outer, inner = random_prior(rng, first), random_prior(rng, first, second)
    table = rng.normal(size=(first, second, columns))

    def sites():
        one = numpyro.sample("one", dist.Categorical(jnp.asarray(outer)))
        return jnp.asarray(table)[one, numpyro.sample("other", dist.Categorical(jnp.asarray(inner)[one]))]

    return weighted(rng, columns, sites, outer[:, None] * inner, table.reshape(-1, columns))


def by_enumeration(case: Case, options: np.ndarray, choices: np.ndarray, queries: np.ndarray) -> tuple:
    """The posterior, float[hypotheses], and the predictive, float[queries, 3]."""
    with np.errstate(divide="ignore"):
        told = np.log(np.take_along_axis(case.probs(options), choices[None, :, None], axis=-1)[..., 0])
        joint = np.log(case.prior.astype(np.longdouble)) + told.sum(axis=-1)
    weights = np.exp(joint - joint.max())
    weights /= weights.sum()
    return weights, np.einsum("h,hqk->qk", weights, case.probs(queries))


def check(case: Case, rng: Random, rounds: int) -> float:
    options, queries = case.draw(rng, rounds), case.draw(rng, 6)
    user = rng.choice(len(case.prior), p=case.prior)
    probs = case.probs(options)[user].astype(float)
    choices = np.array([rng.choice(3, p=one / one.sum()) for one in probs], dtype=int)
    posterior, predictive = by_enumeration(case, options, choices, queries)
    found = bb.posterior(case.domain, options, choices)
    assert found.shape == case.prior.shape
    gaps = abs(found - posterior).max(), abs(bb.predictive(case.domain, options, choices, queries) - predictive).max()
    assert max(gaps) < TOLERANCE
    return float(max(gaps))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.reference) for seed in range(1, 10))])
@pytest.mark.parametrize("family", [linear, shopping, mixture, plate, conditional])
def test_random_models_agree_with_an_enumeration(family, seed, record_property):
    rng = np.random.default_rng([seed, *family.__name__.encode()])
    case = family(rng)
    gaps = [check(case, rng, int(rounds)) for rounds in (0, 1, *rng.integers(2, 51, 2))]
    record_property("largest difference", max(gaps))


def test_three_thousand_rounds_agree_with_an_enumeration(record_property):
    rng = np.random.default_rng(3000)
    record_property("largest difference", check(plate(rng), rng, 3_000))
