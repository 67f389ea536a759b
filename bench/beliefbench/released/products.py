"""Reads the product files of WebShop (Yao et al. 2022, github.com/princeton-nlp/WebShop) as catalogues.

``items_shuffle*.json`` is a list of products, and ``items_ins_v2*.json`` has the attributes that were mined from them.
The selection of fields and the format of texts follow WebShop's own loader (``web_agent_site/engine/engine.py``).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from beliefbench.choice_models.catalogue import Catalogue, Product
from beliefbench.domain import OPTIONS
from beliefbench.errors import UsageError
from beliefbench.released.located import FaultError, Located, read_text, shown

ITEMS, ATTRIBUTES = "items_shuffle", "items_ins_v2"
ASSUMED_PRICE = 100.0  # dollars, of a product without a price, as WebShop has it
LONGEST_ASIN = 10
FEWEST_GOALS = 2
LARGEST_PRODUCTS = 2**33
"""Bytes of the largest product file; WebShop's own has 5 GB."""


@dataclass(frozen=True)
class _Item:
    asin: str
    title: str
    category: str
    attributes: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    price: float


def find_products(folder: Path) -> list[tuple[Path, Path]]:
    """Return the files of products in a folder, each with its file of attributes, by name.

    ``items_shuffle_1000.json`` belongs with ``items_ins_v2_1000.json``.

    Raises
    ------
    UsageError
        If a file has no partner.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("items_shuffle_1000.json", "items_ins_v2_1000.json", "items_human_ins.json"):
    ...     (folder / name).touch()
    >>> [(items.name, attributes.name) for items, attributes in find_products(folder)]
    [('items_shuffle_1000.json', 'items_ins_v2_1000.json')]
    """
    suffixes = {beginning: _suffixes(folder, beginning) for beginning in (ITEMS, ATTRIBUTES)}
    for one, other in ((ITEMS, ATTRIBUTES), (ATTRIBUTES, ITEMS)):
        alone = sorted(suffixes[one] - suffixes[other])
        if alone:
            missing = f"{other}{alone[0]}.json"
            raise UsageError(
                f"{folder / f'{one}{alone[0]}.json'} is there without {missing}; put both into one folder."
            )
    return [(folder / f"{ITEMS}{end}.json", folder / f"{ATTRIBUTES}{end}.json") for end in sorted(suffixes[ITEMS])]


def _suffixes(folder: Path, beginning: str) -> set[str]:
    return {file.stem.removeprefix(beginning) for file in folder.glob(f"{beginning}*.json")}


def read_products(items: Path, attributes: Path) -> dict[str, Catalogue]:
    """Return the catalogue of each usable category, in the order of their first products.

    As in WebShop, the category of a product is its ``query``. Option values are in lower case, with " | " for "/". Of a
    price range the lower price counts, and a product without a price (or with price 0) costs 100 dollars. Products are
    left out if their ``asin`` is "nan", longer than 10 letters or repeated. Categories are left out if they have fewer
    than 3 products or 2 goals. A title that occurs twice in a category gets the asin in brackets.

    Both files are read into memory: WebShop's full files (1.18 million products, 5 GB) need several times as much
    memory.

    Parameters
    ----------
    items
        ``items_shuffle*.json``: a list of products with ``asin``, ``name``, ``query``, ``pricing`` ("$12.99",
        "$12.99 to $20.00", or empty) and ``customization_options``; other fields are ignored.
    attributes
        ``items_ins_v2*.json``: ``{asin: {"attributes": [...]}}``; a product that is not in this file has no attributes.

    Raises
    ------
    UsageError
        If a file has another format, or no category is left; the error names the file and the product.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> options = {"Color": [{"value": "Red"}, {"value": "Blue/Gray"}], "Size": [{"value": "S"}]}
    >>> beds = [
    ...     {"asin": f"B0{n}", "name": f"Bed {n}", "query": "Beds ", "pricing": "$99", "customization_options": options}
    ...     for n in range(3)
    ... ]
    >>> _ = (folder / "items_shuffle.json").write_text(json.dumps(beds))
    >>> _ = (folder / "items_ins_v2.json").write_text(json.dumps({"B01": {"attributes": ["faux leather", "twin bed"]}}))
    >>> beds = read_products(folder / "items_shuffle.json", folder / "items_ins_v2.json")["beds"]
    >>> beds.options, beds.goals[0].attributes
    ({'color': ('red', 'blue | gray'), 'size': ('s',)}, ('faux leather', 'twin bed'))
    """
    mined = _read_attributes(attributes)
    sold: dict[str, list[_Item]] = {}
    known: set[str] = set()
    products = _json(items)
    if not isinstance(products, list):
        raise UsageError(f"{items}: {shown(products)} is not a list; expected a list of products.")
    for number, value in enumerate(products, 1):
        try:
            asin = _asin(value)
            if asin == "nan" or len(asin) > LONGEST_ASIN or asin in known:
                continue
            known.add(asin)
            item = _item(asin, Located(value), mined.get(asin, ()))
        except FaultError as fault:
            named = value.get("asin") if isinstance(value, dict) else None
            which = f" ({named[:60]})" if isinstance(named, str) and named.strip() else ""
            raise UsageError(f"{items}, product {number}{which}: {fault}") from None
        sold.setdefault(item.category, []).append(item)
    found = {category: _catalogue(items, category, own) for category, own in sold.items() if len(own) >= OPTIONS}
    kept = {category: one for category, one in found.items() if len(one.goals) >= FEWEST_GOALS}
    if not kept:
        raise UsageError(
            f"{items}: no category has {OPTIONS} products and {FEWEST_GOALS} goals (two attributes and two option "
            f"values that one product has); check that {attributes.name} belongs to it."
        )
    return kept


def _json(path: Path) -> Any:
    try:
        return json.loads(read_text(path, LARGEST_PRODUCTS))
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else "too deep, or too long a number"
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise UsageError(f"{path}{line}: not JSON ({why}); fetch the file again.") from error


def _read_attributes(path: Path) -> dict[str, tuple[str, ...]]:
    document = _json(path)
    if not isinstance(document, dict):
        raise UsageError(f"{path}: {shown(document)} is not an object; expected attributes by asin.")
    found = {}
    for asin, value in document.items():
        try:
            given = Located(value, (asin,)).optional("attributes")
            found[asin] = () if given is None else _tidy(one.text() for one in given.entries())
        except FaultError as fault:
            raise UsageError(f"{path}, product {asin[:60]}: {fault}") from None
    return found


def _asin(value: Any) -> str:
    if not isinstance(value, dict):
        raise FaultError((), f"{shown(value)} is not an object; expected a product.")
    return _needed(Located(value), "asin")


def _item(asin: str, product: Located, attributes: tuple[str, ...]) -> _Item:
    options: dict[str, tuple[str, ...]] = {}
    given = product.optional("customization_options")
    for kind, contents in given.fields().items() if given is not None and given.value else ():
        if contents.value is not None:
            texts = (content["value"].text() for content in contents.entries())
            options[_plain(kind).lower()] = _tidy(text.strip().replace("/", " | ").lower() for text in texts)
    return _Item(
        asin=asin,
        title=_needed(product, "name"),
        category=_needed(product, "query").lower(),
        attributes=attributes,
        options={kind: values for kind, values in options.items() if kind and values},
        price=_price(product.optional("pricing")),
    )


def _needed(product: Located, key: str) -> str:
    text = _plain(product[key].text())
    if not text:
        raise FaultError((key,), f"`{key}` is empty; expected a text.")
    return text


def _price(pricing: Located | None) -> float:
    if pricing is None or not pricing.value:
        return ASSUMED_PRICE
    amounts = [re.sub(r"[^\d.]", "", part) for part in pricing.text().split("$")[1:3]]
    try:
        prices = [float(Decimal(amount)) for amount in amounts]
    except InvalidOperation:
        prices = []
    if not prices or not all(map(math.isfinite, prices)):
        raise pricing.expected_instead('a price such as "$12.99" or "$12.99 to $20.00"')
    return min(prices) or ASSUMED_PRICE


def _plain(text: str) -> str:
    """Return a text on one line, with single spaces."""
    return " ".join(text.split())


def _tidy(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the texts on one line each, each once, without empty ones."""
    return tuple(text for text in dict.fromkeys(map(_plain, texts)) if text)


def _catalogue(file: Path, category: str, items: list[_Item]) -> Catalogue:
    titles = Counter(item.title for item in items)
    options: dict[str, dict[str, None]] = {}
    for item in items:
        for kind, values in item.options.items():
            options.setdefault(kind, {}).update(dict.fromkeys(values))
    try:
        return Catalogue(
            category=category,
            attributes=tuple(dict.fromkeys(name for item in items for name in item.attributes)),
            options={kind: tuple(values) for kind, values in options.items()},
            products=tuple(
                Product(
                    title=item.title if titles[item.title] == 1 else f"{item.title} ({item.asin})",
                    attributes=item.attributes,
                    options=item.options,
                    price=item.price,
                )
                for item in items
            ),
        )
    except ValidationError as error:
        raise UsageError(f"{file}, category '{category[:60]}': {error.errors()[0]['msg']}.") from error
