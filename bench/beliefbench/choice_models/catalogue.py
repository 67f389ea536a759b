"""Catalogues: products with attributes, option values and prices, and the goals that a shopper can have."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from itertools import combinations, product
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from beliefbench.domain import OPTIONS
from beliefbench.errors import UsageError
from beliefbench.folders import regular

MAX_GOALS = 20_000
MAX_AT_ONCE = 10_000_000  # goals, repeated or not, that are held before the repeated ones are dropped


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    repeated = sorted(value for value, count in Counter(values).items() if count > 1)
    if repeated:
        raise ValueError(f"{', '.join(repeated)} occurs twice")
    return values


Text = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Text, ...], AfterValidator(_distinct)]


class Goal(NamedTuple):
    """What a shopper wants: two attributes, and a value of each of two option types."""

    attributes: tuple[str, str]
    choices: tuple[tuple[str, str], tuple[str, str]]
    """(option type, value), twice."""


class Product(BaseModel):
    """One product: its title, its attributes, the values that each option type comes in, and its price in dollars."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Text
    attributes: Names
    options: dict[Text, Annotated[Names, Field(min_length=1)]]
    price: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class Catalogue(BaseModel):
    """The products of one category, and the attributes and option values that they can have.

    >>> mug = Product(title="Mug", attributes=("oven safe", "stackable"), options={"Color": ("Red",)}, price=8)
    >>> cup = Product(title="Cup", attributes=("stackable",), options={"Color": ("Red", "Blue")}, price=7)
    >>> bowl = Product(title="Bowl", attributes=(), options={"Color": ("Blue",)}, price=9)
    >>> Catalogue(
    ...     category="mugs",
    ...     attributes=("oven safe", "stackable"),
    ...     options={"Color": ("Red", "Blue")},
    ...     products=(mug, cup, bowl),
    ... ).goals  # it takes two option types to make a goal
    ()
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

    category: Text
    attributes: Names
    options: dict[Text, Annotated[Names, Field(min_length=1)]]
    products: Annotated[tuple[Product, ...], Field(min_length=OPTIONS)]

    @model_validator(mode="after")
    def _one_vocabulary(self) -> Catalogue:
        titles: set[str] = set()
        attributes = set(self.attributes)
        options = {kind: set(values) for kind, values in self.options.items()}
        priced = self.products[0].price is not None
        for one in self.products:
            if one.title in titles:
                raise ValueError(f"two products are called '{one.title}'")
            titles.add(one.title)
            unknown = set(one.attributes) - attributes
            if unknown:
                raise ValueError(f"'{one.title}' has attributes that the catalogue does not list: {sorted(unknown)}")
            for kind, values in one.options.items():
                if not set(values) <= options.get(kind, set()):
                    raise ValueError(f"'{one.title}' has values of '{kind}' that the catalogue does not list: {values}")
            if (one.price is not None) != priced:
                raise ValueError(f"'{one.title}': either all products have a price or none has")
        return self

    @cached_property
    def goals(self) -> tuple[Goal, ...]:
        """The goals that at least one product meets completely, in the order of the vocabulary.

        If there are more than 20,000, only 20,000 of them, evenly spaced. Raises `UsageError` if the vocabulary is too
        large to count them.
        """
        kinds = list(self.options)
        values = [(kind, value) for kind in kinds for value in self.options[kind]]
        attribute_at = {name: at for at, name in enumerate(self.attributes)}
        value_at = {value: at for at, value in enumerate(values)}
        # A goal as one number, so that the millions of a large catalogue are sorted as numbers.
        digits = (len(attribute_at), len(attribute_at), len(values), len(values))
        if math.prod(digits) > np.iinfo(np.int64).max:
            raise UsageError(
                f"the catalogue of {self.category} has {digits[0]:,} attributes and {digits[2]:,} values, too many "
                "to count their goals; remove the rare ones."
            )
        met, pending = np.empty(0, np.int64), [np.empty(0, np.int64)]
        for one in self.products:
            pairs = np.array(list(combinations(sorted(attribute_at[name] for name in one.attributes), 2)), np.int64)
            offered = [[value_at[kind, value] for value in one.options[kind]] for kind in kinds if kind in one.options]
            chosen = np.array([two for both in combinations(offered, 2) for two in product(*both)], np.int64)
            if len(pairs) and len(chosen):
                wanted = pairs @ np.array([digits[1], 1]) * digits[2] * digits[3]
                pending.append((wanted[:, None] + chosen @ np.array([digits[3], 1])).ravel())
            if sum(map(len, pending)) > MAX_AT_ONCE:
                met, pending = _each_once([met, *pending]), []
        met = _each_once([met, *pending])
        if len(met) > MAX_GOALS:
            met = met[np.linspace(0, len(met) - 1, MAX_GOALS).astype(int)]
        return tuple(
            Goal((self.attributes[first], self.attributes[second]), (values[this], values[that]))
            for first, second, this, that in np.stack(np.unravel_index(met, digits), axis=-1)
        )

    @property
    def digest(self) -> str:
        """The SHA-256 of the whole catalogue: part of the identity of every run on it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def frequencies(self) -> Iterator[tuple[str, str, int]]:
        """Yield (``"attribute"`` or the option type, the attribute or value, how many products have it)."""
        for name in self.attributes:
            yield "attribute", name, sum(name in one.attributes for one in self.products)
        for kind, values in self.options.items():
            for value in values:
                yield kind, value, sum(value in one.options.get(kind, ()) for one in self.products)


def _each_once(numbers: list[np.ndarray]) -> np.ndarray:
    """Return all numbers, sorted: what np.unique does, without its hash table, which takes longer for millions."""
    every = np.sort(np.concatenate(numbers))
    return every[np.diff(every, prepend=-1) > 0]


def read_catalogue(file: Path) -> Catalogue:
    """Return the catalogue in a JSON file (layout: ``domains/catalogues/README.md``).

    Raises
    ------
    UsageError
        If the file cannot be read or is not a catalogue; the error names the file and the place.
    """
    try:
        return Catalogue.model_validate_json(regular(file).read_bytes())
    except OSError as error:
        raise UsageError(f"catalogue '{file}' cannot be read ({error.strerror}).") from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        place = f", at {where}" if where else ""
        raise UsageError(f"'{file}' is not a catalogue{place}: {problem['msg']}.") from error
