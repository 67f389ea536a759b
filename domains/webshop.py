"""Web shopping: the paper's third domain, on catalogues of our own, with the exact answer that the paper lacks.

Each category is a domain. Where this departs from the paper (section 1): products, attributes and option values are
ours; an offer's text states its attributes and price, so that all the model reads stands there; of offers that score
alike the shopper takes the cheaper, where the paper leaves ties open; and a category has some 700 goals, all that one
of its products meets, where the paper has 10 users a category.
"""

from pathlib import Path

from beliefbench import read_catalogue, shopping

CATALOGUES = Path(__file__).parent / "catalogues"

webshop = tuple(
    shopping(f"webshop-{file.stem}", version="1", catalogue=read_catalogue(file))
    for file in sorted(CATALOGUES.glob("*.json"))
)
