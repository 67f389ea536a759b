"""Web shopping on our own catalogues: what they hold, that the model is the shopper it claims to be, what is learnt."""

import re
from collections import defaultdict
from itertools import combinations, product
from pathlib import Path

import jax
import numpy as np
import pytest

import beliefbench as bb
from beliefbench import UsageError
from beliefbench.choice_models.catalogue import Catalogue, Product
from beliefbench.choice_models.catalogue_report import folder_report, frequency_report
from beliefbench.domain import Domain
from beliefbench.protocol.episodes import choice_probs
from beliefbench.protocol.protocol import population

FOLDER = Path(__file__).parents[2] / "domains" / "catalogues"
FILES = {f"webshop-{file.stem}": file for file in sorted(FOLDER.glob("*.json"))}
NAMES = list(FILES)


def catalogue(name: str) -> Catalogue:
    return bb.read_catalogue(FILES[name])


def drawn(domain: Domain, sets: int, seed: int = 0) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(domain.draw(jax.random.key(seed), sets))


def test_the_suite_is_the_catalogues():
    assert [domain.name for domain in bb.load_suite("webshop")] == NAMES
    assert len(NAMES) >= 12
    assert {domain.item for domain in bb.load_suite("webshop")} == {"Product"}
    assert {domain.heldout for domain in bb.load_suite("webshop")} == {"own"}


@pytest.mark.parametrize("name", NAMES)
def test_a_catalogue_is_large_and_its_products_differ(name):
    goods = catalogue(name)
    assert len(goods.products) >= 40
    assert len(goods.goals) >= 500
    assert len({one.price for one in goods.products}) == len(goods.products)
    features = [
        set(one.attributes) | {(kind, value) for kind, values in one.options.items() for value in values}
        for one in goods.products
    ]
    words = [set(one.title.casefold().split()) for one in goods.products]
    for one, other in combinations(range(len(goods.products)), 2):
        titles = goods.products[one].title, goods.products[other].title
        assert len(features[one] ^ features[other]) >= 3, titles
        assert 2 * len(words[one] & words[other]) <= min(len(words[one]), len(words[other])), titles


@pytest.mark.parametrize("name", NAMES)
def test_everything_of_the_vocabulary_tells_products_apart(name):
    """What all products have, or none, says nothing about a shopper; nor may a name be mistaken for two."""
    goods = catalogue(name)
    assert all(0 < count < len(goods.products) for _, _, count in goods.frequencies())
    assert not [text for _, text, _ in goods.frequencies() if re.search(r"[,:\n]", text)]


@pytest.mark.parametrize("name", NAMES)
def test_goals_are_those_that_some_product_meets(name):
    goods = catalogue(name)
    met = set()
    for pair in combinations(goods.attributes, 2):
        for kinds in combinations(goods.options, 2):
            for values in product(*(goods.options[kind] for kind in kinds)):
                wanted = tuple(zip(kinds, values, strict=True))
                for one in goods.products:
                    if set(pair) <= set(one.attributes) and all(v in one.options.get(k, ()) for k, v in wanted):
                        met.add((pair, wanted))
    assert {tuple(goal) for goal in goods.goals} == met
    assert len(goods.goals) == len(met) == population(bb.load_domain(name))
    places = [
        [goods.attributes.index(name) for name in goal.attributes]
        + [
            number
            for kind, value in goal.choices
            for number in (list(goods.options).index(kind), goods.options[kind].index(value))
        ]
        for goal in goods.goals
    ]
    assert places == sorted(places)


def test_many_goals_are_thinned_evenly(monkeypatch):
    """Also where they are counted in several goes."""
    import beliefbench.choice_models.catalogue

    goods = catalogue("webshop-backpacks")
    whole, fields = goods.goals, goods.model_dump()
    for limit, at_once in ((100, 10**7), (100, 500), (10**6, 500)):
        monkeypatch.setattr(beliefbench.choice_models.catalogue, "MAX_GOALS", limit)
        monkeypatch.setattr(beliefbench.choice_models.catalogue, "MAX_AT_ONCE", at_once)
        found = Catalogue(**fields).goals
        kept = np.linspace(0, len(whole) - 1, min(limit, len(whole))).astype(int)
        assert found == tuple(whole[number] for number in kept)


def test_a_vocabulary_beyond_counting_is_refused():
    names = tuple(f"attribute {number}" for number in range(60_000))
    values = {"Color": tuple(map(str, range(60_000))), "Size": ("S",)}
    offers = [Product(title=str(n), attributes=names[:2], options={"Color": ("1",), "Size": ("S",)}) for n in range(3)]
    with pytest.raises(UsageError, match="has 60,000 attributes and 60,001 values, too many"):
        _ = Catalogue(category="all", attributes=names, options=values, products=tuple(offers)).goals


def read_back(text: str) -> tuple[set[str], dict[str, str], float]:
    """Return what an offer's text says: attributes, {option type: value} and price."""
    lines = dict(line.split(": ", 1) for line in text.split("\n")[1:])
    attributes = set(lines.pop("Attributes").split(", ")) - {"none"}
    return attributes, lines, float(lines.pop("Price").removeprefix("$").replace(",", ""))


def taken(texts: list[str], attributes: tuple[str, str], choices: tuple[tuple[str, str], ...]) -> int:
    """Return which of three a shopper takes who reads the texts: the most matched, and of these the cheapest."""
    offers = [read_back(text) for text in texts]

    def rank(number: int) -> tuple[int, float]:
        has, options, price = offers[number]
        return sum(name in has for name in attributes) + sum(options.get(k) == v for k, v in choices), -price

    return max(range(3), key=rank)


def check_choices(name: str, sets: np.ndarray, goals: range) -> None:
    domain, goods = bb.load_domain(name), catalogue(name)
    texts = [[domain.describe(option) for option in one] for one in sets]
    probs = choice_probs(domain, {"goal": np.array(goals)}, np.broadcast_to(sets, (len(goals), *sets.shape)))
    for number, found in zip(goals, probs, strict=True):
        expected = [taken(one, *goods.goals[number]) for one in texts]
        np.testing.assert_allclose(found, np.eye(3)[expected], atol=1e-12, err_msg=f"goal {number} of {name}")


def test_everybody_chooses_as_a_shopper_who_reads_the_texts():
    name = "webshop-headphones"
    check_choices(name, drawn(bb.load_domain(name), 40), range(len(catalogue(name).goals)))


@pytest.mark.parametrize("name", NAMES)
def test_some_of_every_category_choose_as_shoppers_who_read_the_texts(name):
    check_choices(name, drawn(bb.load_domain(name), 15, seed=1), range(0, len(catalogue(name).goals), 37))


@pytest.mark.parametrize("name", NAMES)
def test_a_text_is_that_of_a_product_with_a_value_of_each_type(name):
    domain, goods = bb.load_domain(name), catalogue(name)
    products = {one.title: one for one in goods.products}
    shown = defaultdict(set)
    for one in drawn(domain, 400):
        titles = []
        for option in one:
            text = domain.describe(option)
            title, *lines = text.split("\n")
            attributes, values, price = read_back(text)
            own = products[title]
            assert attributes == set(own.attributes)
            assert price == own.price
            assert list(values) == list(own.options)
            assert all(value in own.options[kind] for kind, value in values.items())
            assert [line.partition(":")[0] for line in lines] == ["Attributes", *own.options, "Price"]
            shown[title].add(tuple(values.items()))
            titles.append(title)
        assert len(set(titles)) == 3
    assert shown.keys() == products.keys()
    offered = {
        title: set(product(*([(k, v) for v in vs] for k, vs in one.options.items()))) for title, one in products.items()
    }
    assert sum(map(len, shown.values())) > 0.7 * sum(map(len, offered.values()))


def test_products_and_their_values_are_drawn_evenly():
    """Chi-square on 20,000 sets: of products, and of one product's values. Fails with probability 0.002 at any seed."""
    from scipy import stats

    name = "webshop-water-bottles"
    domain, goods = bb.load_domain(name), catalogue(name)
    options = drawn(domain, 20_000).reshape(-1, len(domain.features))
    number = np.rint(options[:, -1] * (len(goods.products) - 1)).astype(int)
    assert stats.chisquare(np.bincount(number)).pvalue > 0.001
    most = max(range(len(goods.products)), key=lambda at: len(goods.products[at].options["Color"]))
    column = [feature.label for feature in domain.features].index("Color")
    counts = np.unique(options[number == most, column], return_counts=True)[1]
    assert len(counts) == len(goods.products[most].options["Color"])
    assert stats.chisquare(counts).pvalue > 0.001


def test_an_offer_reads_to_the_letter():
    domain, goods = bb.load_domain("webshop-backpacks"), catalogue("webshop-backpacks")
    pack = goods.products[0]
    has = [float(name in pack.attributes) for name in goods.attributes]
    dearest = max(one.price for one in goods.products)
    assert domain.describe(np.array([*has, 1.0, 1 / 3, pack.price / dearest, 0.0])) == (
        "Harrowgate Lane Rolltop Commuter Pack\n"
        "Attributes: water resistant, laptop sleeve, chest strap, luggage strap, reflective trim, recycled fabric\n"
        "Color: Rust\n"
        "Capacity: 18 L\n"
        "Price: $89.50"
    )


def test_features_are_named_and_on_their_grids():
    domain = bb.load_domain("webshop-backpacks")
    names = [feature.name for feature in domain.features]
    assert names[:2] == ["has_water_resistant", "has_laptop_sleeve"]
    assert names[-4:] == ["option_color", "option_capacity", "price", "product"]
    for column, feature in enumerate(domain.features):
        assert set(drawn(domain, 50)[..., column].ravel()) <= set(feature.grid)


def test_price_only_decides_between_offers_that_match_alike():
    """The largest difference in price is worth less than a match; the smallest, more than the tolerance of ties."""
    for name in NAMES:
        prices = np.sort([one.price for one in catalogue(name).products])
        assert (prices[-1] - prices[0]) / prices[-1] / 8 < 0.25
        assert np.diff(prices).min() / prices[-1] / 8 > 1e-5


def test_an_option_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError, match=r"an option has 14 features; got an array of shape \(4,\)"):
        bb.load_domain("webshop-backpacks").describe(np.zeros(4))


def test_a_catalogue_without_goals_is_refused():
    offers = tuple(Product(title=str(n), attributes=("a", "b"), options={"Color": ("Red",)}) for n in range(3))
    goods = Catalogue(category="mugs", attributes=("a", "b"), options={"Color": ("Red",)}, products=offers)
    with pytest.raises(ValueError, match=r"the catalogue of mugs has 0 goals .* expected 2 or more"):
        bb.shopping("mugs", version="1", catalogue=goods)


def test_settings():
    plain, noisy = bb.load_domain("webshop-backpacks"), bb.load_domain("webshop-backpacks,user_lapse=0.2")
    assert noisy.parameters["user_rule"]["lapse"] == 0.2
    assert noisy.parameters["rule"]["lapse"] == 0.0
    assert noisy.identity() != plain.identity()
    sets = np.broadcast_to(drawn(plain, 30), (5, 30, 3, 14))
    who = {"goal": np.arange(0, 500, 100)}
    np.testing.assert_allclose(
        choice_probs(noisy, who, sets), 0.8 * choice_probs(plain, who, sets) + 0.2 / 3, atol=1e-12
    )
    with pytest.raises(UsageError, match="no setting 'lapsus'"):
        bb.load_domain("webshop-backpacks,lapsus=0.2")


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, *(pytest.param(at, marks=pytest.mark.reference) for at in range(1, 6))])
def test_five_rounds_teach_what_the_benchmark_needs(first, record_property):
    """The exact answer closes 35% of the gap to somebody who knows the goal, and under 10% of sets leave one torn.

    On average over each sixth of the categories, and so over all; all but the first with ``-m reference``. 100 users a
    category, each with 20 held-out sets: the mean of a sixth, about 41% at seed 0, has a standard error of 3 points.
    """
    closed, tied = [], []
    for domain in map(bb.load_domain, NAMES[first::6]):
        episodes = bb.Episodes(domain, bb.Protocol(users=100, rounds=5, heldout=20))
        assert episodes.heldout.shape == (100, 20, 3, len(domain.features))
        right = (episodes.exact.argmax(axis=-1) == episodes.truth[:, None]).mean(axis=(0, 2))
        known = choice_probs(domain, episodes.latents, episodes.heldout)
        oracle = (known.argmax(axis=-1) == episodes.truth).mean()
        closed.append((right[-1] - right[0]) / (oracle - right[0]))
        tied.append((known.max(axis=-1) < 1 - 1e-9).mean())
    record_property("share of the gap closed, of sets torn", np.round([np.mean(closed), np.mean(tied)], 3))
    assert np.mean(closed) >= 0.35, np.round(closed, 3)
    assert np.mean(tied) < 0.1, np.round(tied, 3)


def test_the_page_beside_the_catalogues_is_up_to_date():
    """If not: python -m beliefbench.choice_models.catalogue_report domains/catalogues"""
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == folder_report(FOLDER)


def test_the_page_counts_what_stands_in_the_files():
    page = frequency_report({name: catalogue(name) for name in NAMES})
    for name in NAMES:
        section = page.partition(f"## {name}\n")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| (.+) \| (\d+) \| (\d+)% \|$", section, re.MULTILINE)
        goods = catalogue(name)
        expected = [(value, sum(value in one.attributes for one in goods.products)) for value in goods.attributes]
        for kind, values in goods.options.items():
            expected += [(value, sum(value in one.options[kind] for one in goods.products)) for value in values]
        assert [(value, int(count)) for value, count, _ in rows] == expected
        assert all(abs(int(share) - 100 * int(count) / len(goods.products)) <= 0.5 for _, count, share in rows)


def test_a_folder_without_catalogues_has_no_page(tmp_path):
    with pytest.raises(UsageError, match="there are no catalogues"):
        folder_report(tmp_path)
