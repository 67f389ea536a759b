"""Domains where people shop from a catalogue: the constructor behind web shopping.

A shopper wants two attributes and two option values. An offer is a product with a value for each of its option types.
Its score is the share of the four that it matches. The shopper takes the best score, and the cheaper offer if scores
are equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from beliefbench.choice_models.catalogue import Catalogue
from beliefbench.choice_models.rules import ChoiceRule, varied
from beliefbench.domain import OPTIONS, Domain, Feature

# Of the price as a share of the dearest: less than a match is worth, so that it decides ties alone.
PRICE_WEIGHT = 1 / 8
NOT_OFFERED = "(not offered)"
BEST = ChoiceRule()


def shopping(
    name: str,
    *,
    version: str,
    catalogue: Catalogue,
    item: str = "Product",
    rule: ChoiceRule = BEST,
    user_rule: ChoiceRule | None = None,
    heldout: Literal["shared", "own"] = "own",
) -> Domain:
    """Return a shopping domain: sets of three different products, each with option values drawn from those it comes in.

    The features of an offer are: 0 or 1 for each attribute of the catalogue; for each option type the position of the
    value in the catalogue (0 first, 1 last); the price as a share of the highest price; and the product's number, which
    only ``describe`` uses, for the title. Shoppers have the goals of the catalogue with equal probability. reward =
    matched / 4 - price / 8.

    Parameters
    ----------
    rule, user_rule
        The choice rule that the exact assistant assumes, and the rule that people follow (None: the same).
    heldout
        ``"shared"``: all users have the same held-out sets. ``"own"``: each user has their own, as in the paper.

    Raises
    ------
    ValueError
        If the catalogue leaves fewer than two goals to choose between.

    >>> from pathlib import Path
    >>> from beliefbench.choice_models.catalogue import Catalogue, Product
    >>> kinds = {"Color": ("Red", "Blue"), "Size": ("S", "L")}
    >>> jug = Product(title="Jug", attributes=("light", "lid"), options=kinds, price=5)
    >>> pot = Product(title="Pot", attributes=("light",), options=kinds, price=9)
    >>> cup = Product(title="Cup", attributes=("lid",), options=kinds, price=4)
    >>> goods = Catalogue(category="jugs", attributes=("light", "lid"), options=kinds, products=(jug, pot, cup))
    >>> domain = shopping("jugs", version="1", catalogue=goods)
    >>> print(domain.describe(np.array([1, 1, 0, 1, 5 / 9, 0])))
    Jug
    Attributes: light, lid
    Color: Red
    Size: L
    Price: $5.00
    """
    goals = catalogue.goals
    if len(goals) < 2:
        raise ValueError(
            f"the catalogue of {catalogue.category} has {len(goals)} goals (two attributes and two option values "
            "that one product has); expected 2 or more"
        )

    def vary(**settings: str) -> Domain:
        changed = varied(rule, user_rule, settings)
        return shopping(
            name,
            version=version,
            catalogue=catalogue,
            item=item,
            rule=changed[0],
            user_rule=changed[1],
            heldout=heldout,
        )

    columns = _Columns(catalogue)
    model = _numpyro_model(catalogue, columns, rule)
    return Domain(
        name=name,
        version=version,
        item=item,
        features=columns.features,
        model=model,
        draw=_draw(catalogue, columns),
        describe=columns.describe,
        heldout=heldout,
        user_model=model if user_rule is None else _numpyro_model(catalogue, columns, user_rule),
        pymc_model=_pymc_model(catalogue, columns, rule),
        vary=vary,
        parameters={
            "catalogue": catalogue.digest,
            "goals": len(goals),
            "rule": rule.parameters(),
            "user_rule": (user_rule or rule).parameters(),
            "heldout": heldout,
        },
    )


class _Columns:
    """The columns of an offer, and its text."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.attributes = {name: column for column, name in enumerate(catalogue.attributes)}
        self.kinds = {kind: len(self.attributes) + place for place, kind in enumerate(catalogue.options)}
        self.values = {
            kind: values if all(kind in one.options for one in catalogue.products) else (NOT_OFFERED, *values)
            for kind, values in catalogue.options.items()
        }
        self.places = {kind: {value: at for at, value in enumerate(values)} for kind, values in self.values.items()}
        prices = [one.price for one in catalogue.products if one.price is not None]
        self.dearest = max(prices, default=None)
        self.features = (
            *(Feature(f"has_{slug}", name, (0.0, 1.0), yes_or_no) for slug, name in slugs(catalogue.attributes)),
            *(self._option(slug, kind) for slug, kind in slugs(tuple(catalogue.options))),
            *([] if self.dearest is None else [self._price(sorted(set(prices)), self.dearest)]),
            self._product(),
        )

    def place(self, kind: str, value: str) -> float:
        """Return the number for a value in the column of an option type."""
        return self.places[kind][value] / max(1, len(self.values[kind]) - 1)

    def describe(self, option: np.ndarray) -> str:
        """Return the text of an offer, float[features]. It contains everything that the model uses."""
        option = np.asarray(option, dtype=float)
        if option.shape != (len(self.features),):
            raise ValueError(f"an option has {len(self.features)} features; got an array of shape {option.shape}")
        shown = [feature.show(float(value)) for feature, value in zip(self.features, option, strict=True)]
        has = [name for name, column in self.attributes.items() if option[column] > 0.5]
        lines = [shown[-1], f"Attributes: {', '.join(has) or 'none'}"]
        lines += [f"{kind}: {shown[column]}" for kind, column in self.kinds.items() if shown[column] != NOT_OFFERED]
        return "\n".join(lines + ([] if self.dearest is None else [f"Price: {shown[-2]}"]))

    def _option(self, slug: str, kind: str) -> Feature:
        values = self.values[kind]
        grid = tuple(self.place(kind, value) for value in values)
        return Feature(f"option_{slug}", kind, grid, lambda at: values[round(at * max(1, len(values) - 1))])

    def _price(self, prices: list[float], dearest: float) -> Feature:
        return Feature("price", "Price", tuple(p / dearest for p in prices), lambda share: f"${share * dearest:,.2f}")

    def _product(self) -> Feature:
        titles = [one.title for one in self.catalogue.products]
        grid = tuple(number / (len(titles) - 1) for number in range(len(titles)))
        return Feature("product", "product", grid, lambda at: titles[round(at * (len(titles) - 1))])


def _numpyro_model(catalogue: Catalogue, columns: _Columns, rule: ChoiceRule) -> Callable[..., None]:
    goals = catalogue.goals
    has = np.array([[columns.attributes[name] for name in goal.attributes] for goal in goals])
    kinds = np.array([[columns.kinds[kind] for kind, _ in goal.choices] for goal in goals])
    values = np.array([[columns.place(kind, value) for kind, value in goal.choices] for goal in goals])

    def model(options: Any, choices: Any = None) -> None:
        options = jnp.asarray(options)
        goal = numpyro.sample("goal", dist.DiscreteUniform(0, len(goals) - 1))
        matched = jnp.zeros(options.shape[:-1], options.dtype)
        for wanted in range(2):
            matched += jnp.take(options, jnp.asarray(has)[goal, wanted], axis=-1)
            chosen = jnp.take(options, jnp.asarray(kinds)[goal, wanted], axis=-1)
            matched += jnp.abs(chosen - jnp.asarray(values)[goal, wanted]) < 1e-5
        price = 0.0 if columns.dearest is None else PRICE_WEIGHT * options[..., -2]
        reward = numpyro.deterministic("reward", matched / 4 - price)
        numpyro.sample("choice", dist.Categorical(probs=rule.probs(reward)), obs=choices)

    return model


def _draw(catalogue: Catalogue, columns: _Columns) -> Callable[[Any, int], jax.Array]:
    products = catalogue.products
    fixed = np.array([[name in one.attributes for name in catalogue.attributes] for one in products], dtype=float)
    # What each product offers of each type, one after the other: a table by value would be mostly empty.
    offered = [[one.options.get(kind, (NOT_OFFERED,)) for kind in columns.kinds] for one in products]
    count = np.array([[len(values) for values in row] for row in offered])
    start = np.cumsum(count).reshape(count.shape) - count
    place = {(kind, value): columns.place(kind, value) for kind, values in columns.values.items() for value in values}
    offers = (zip(columns.kinds, row, strict=True) for row in offered)
    flat = np.array([place[kind, value] for row in offers for kind, values in row for value in values])
    last = [np.arange(len(products)) / (len(products) - 1)]
    if columns.dearest is not None:
        last.insert(0, np.array([one.price for one in products], dtype=float) / columns.dearest)

    def draw(key: Any, sets: int) -> jax.Array:
        with jax.enable_x64(True):  # a share of a price in single precision is another number, and breaks ties
            # One stream of noise for products and for values: every further one takes XLA seconds to compile.
            noise = jax.random.uniform(key, (sets, len(products) + OPTIONS * len(columns.kinds)))
            numbers = noise[:, : len(products)].argsort(axis=-1)[:, :OPTIONS]
            choices = jnp.asarray(count)[numbers]
            chosen = (noise[:, len(products) :].reshape(choices.shape) * choices).astype(int)
            values = jnp.asarray(flat)[jnp.asarray(start)[numbers] + chosen]
            return jnp.concatenate(
                [jnp.asarray(fixed)[numbers], values, *(jnp.asarray(one)[numbers][..., None] for one in last)], axis=-1
            )

    return draw


def _pymc_model(catalogue: Catalogue, columns: _Columns, rule: ChoiceRule) -> Callable[..., Any]:
    """Return the same model in PyMC, sharing only the choice of columns: offers spread to one column a value, weights
    of a goal over all columns."""

    def model(options: np.ndarray, choices: np.ndarray) -> Any:
        import pymc as pm
        import pytensor.tensor as pt

        from beliefbench.choice_models.rules import pymc_probs

        spread = [np.asarray(options)[..., column] for column in columns.attributes.values()]
        names: list[Any] = list(columns.attributes)
        for kind, column in columns.kinds.items():
            shown = np.rint(np.asarray(options)[..., column] * max(1, len(columns.values[kind]) - 1))
            for number, value in enumerate(columns.values[kind]):
                spread.append((shown == number).astype(float))
                names.append((kind, value))
        weights = np.zeros((len(catalogue.goals), len(names)))
        for row, goal in enumerate(catalogue.goals):
            for wanted in (*goal.attributes, *goal.choices):
                weights[row, names.index(wanted)] = 0.25
        cost = 0.0 if columns.dearest is None else np.asarray(options)[..., len(columns.features) - 2] / 8
        with pm.Model() as built:
            goal_number = pm.Categorical("goal", p=np.full(len(weights), 1 / len(weights)))
            reward = pt.sum(np.stack(spread, axis=-1) * pt.as_tensor(weights)[goal_number], axis=-1) - cost
            pm.Categorical("choice", p=pymc_probs(rule, reward), observed=choices)
        return built

    return model


def slugs(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return (identifier, name) for each name; the same identifier twice gets a number.

    >>> slugs(("wi-fi", "wi fi", "BPA free"))
    [('wi_fi', 'wi-fi'), ('wi_fi_2', 'wi fi'), ('bpa_free', 'BPA free')]
    """
    plain = [re.sub(r"\W+", "_", name.lower()).strip("_") for name in names]
    return [
        (slug if (nth := plain[: at + 1].count(slug)) == 1 else f"{slug}_{nth}", name)
        for at, (slug, name) in enumerate(zip(plain, names, strict=True))
    ]


def yes_or_no(value: float) -> str:
    return "yes" if value > 0.5 else "no"
