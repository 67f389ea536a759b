"""The README of a folder of catalogues: what they are, and how often each attribute and each value occurs.

``python -m beliefbench.choice_models.catalogue_report domains/catalogues`` writes it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from beliefbench.choice_models.catalogue import Catalogue, read_catalogue
from beliefbench.errors import BeliefBenchError, UsageError

PREAMBLE = """\
# Catalogues

The products of beliefbench's web-shopping domains: {categories} categories, one JSON file each, with {products:,}
products in all. We wrote the data for this benchmark, under the licence of the repository (Apache-2.0). Products and
their names are invented. Any likeness to real products is chance.

## The layout of a file

    {{
      "category": "mugs",
      "attributes": ["oven safe", "stackable"],
      "options": {{"Color": ["Red", "Blue"], "Size": ["S", "L"]}},
      "products": [
        {{"title": "Mug", "attributes": ["stackable"], "options": {{"Color": ["Red"], "Size": ["L"]}}, "price": 8.5}}
      ]
    }}

The `attributes` and `options` of a category list everything that its products can have: attributes, and option types
with their values. A product has a unique title, some of the attributes, some values of each option type, and a price in
dollars. A shopper's goal is two attributes and a value of each of two option types. At least one product has all four.

## To add a category

Write a file with this layout into this folder. Its name becomes the name of the domain: `mugs.json` becomes
`webshop-mugs`. The tests (`tests/domains/test_webshop.py`) require at least 40 products that differ in more than words,
prices that are all different, and at least 500 goals. Then update this page, which is generated:

    python -m beliefbench.choice_models.catalogue_report domains/catalogues
"""


def frequency_report(catalogues: Mapping[str, Catalogue]) -> str:
    """Return the README of some catalogues as Markdown: {name of the domain: its catalogue}, in this order.

    >>> from beliefbench.choice_models.catalogue import Product
    >>> kinds = {"Color": ("Red", "Blue"), "Size": ("S", "L")}
    >>> mug = Product(title="Mug", attributes=("stackable",), options=kinds)
    >>> cup = Product(title="Cup", attributes=("stackable", "oven safe"), options={"Size": ("S",)})
    >>> jug = Product(title="Jug", attributes=(), options=kinds)
    >>> goods = Catalogue(
    ...     category="mugs", attributes=("oven safe", "stackable"), options=kinds, products=(mug, cup, jug)
    ... )
    >>> print(frequency_report({"webshop-mugs": goods}).partition("## webshop-mugs")[2])  # doctest: +ELLIPSIS
    <BLANKLINE>
    <BLANKLINE>
    3 products, 0 goals. Number of products with each attribute, and with each option value:
    <BLANKLINE>
    | attribute | products | share |
    | --- | ---: | ---: |
    | oven safe | 1 | 33% |
    | stackable | 2 | 67% |
    <BLANKLINE>
    | Color | products | share |
    ...
    """
    every = catalogues.values()
    parts = [PREAMBLE.format(categories=len(catalogues), products=sum(len(one.products) for one in every))]
    for name, catalogue in catalogues.items():
        sold = len(catalogue.products)
        parts.append(
            f"## {name}\n\n{sold} products, {len(catalogue.goals):,} goals. Number of products with each attribute, "
            "and with each option value:\n"
        )
        for kind, counts in groupby(catalogue.frequencies(), key=lambda counted: counted[0]):
            rows = [f"| {value} | {count} | {count / sold:.0%} |\n" for _, value, count in counts]
            parts.append(f"| {kind} | products | share |\n| --- | ---: | ---: |\n" + "".join(rows))
    return "\n".join(parts)


def folder_report(folder: Path) -> str:
    """Return `frequency_report` of the catalogues in a folder.

    Raises
    ------
    UsageError
        If the folder has no catalogue, or a catalogue cannot be read.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise UsageError(f"there are no catalogues (*.json) in '{folder}'; name a folder that has some.")
    return frequency_report({f"webshop-{file.stem}": read_catalogue(file) for file in files})


def main() -> None:
    """Write README.md into the folder of catalogues that is named on the command line."""
    try:
        if len(sys.argv) != 2:
            raise UsageError(
                "name one folder: `python -m beliefbench.choice_models.catalogue_report domains/catalogues`."
            )
        folder = Path(sys.argv[1])
        (folder / "README.md").write_text(folder_report(folder), encoding="utf-8")
    except BeliefBenchError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
