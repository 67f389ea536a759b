"""Web shopping: the paper's third domain, on our own catalogues, with an exact answer, which the paper's domain does
not have.

Each category is a domain. Differences from the paper (section 1): products, attributes and option values are ours. The
text of an offer states its attributes and price, so it contains everything that the model uses. If scores are equal,
the shopper takes the cheaper offer; the paper leaves ties open. A category has about 700 users, one for each goal that
at least one product meets; the paper has 10 users per category.
"""

from pathlib import Path

from beliefbench import read_catalogue, shopping

CATALOGUES = Path(__file__).parent / "catalogues"

webshop = tuple(
    shopping(f"webshop-{file.stem}", version="1", catalogue=read_catalogue(file))
    for file in sorted(CATALOGUES.glob("*.json"))
)
