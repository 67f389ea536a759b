"""WebShop's product files as catalogues: what is kept of a product, and what is said of a faulty file."""

import json
from pathlib import Path

import numpy as np
import pytest

from beliefbench import UsageError, shopping
from beliefbench.choice_models.catalogue import Goal, Product
from beliefbench.released.products import find_products, read_products

# As in the real files: many fields that are passed over, options with images, a null option type, prices as text.
BEDS = """[
{"asin": "B000000001", "name": "Twin Bed\\n with  Shelf", "query": "Beds ", "category": "garden", "pricing": "$129.99",
 "customization_options": {"Color": [{"value": " Black/Gray ", "image": "x.jpg"}, {"value": "White", "image": null}],
  "Size": [{"value": "Twin"}, {"value": "TWIN "}, {"value": " "}], "Style": null, "Material": []},
 "images": ["a.jpg"], "small_description": ["Soft"], "full_description": "", "list_price": null},
{"asin": "nan", "query": "beds"},
{"asin": "B0000000012", "name": 7},
{"asin": "B000000002", "name": "Bed", "query": "beds", "pricing": "$1,200.50 to $1,100.25",
 "customization_options": {"COLOR": [{"value": "white"}], "size": [{"value": "Queen"}]}},
{"asin": "B000000002", "name": "Repeated", "query": "beds", "pricing": "none"},
{"asin": "B000000003", "name": "Bed", "query": "BEDS", "pricing": "", "customization_options": null},
{"asin": "B000000004", "name": "Sofa", "query": "sofas", "pricing": null, "customization_options": ""}
]"""
ATTRIBUTES = """{
"B000000001": {"attributes": ["storage shelf", "eco friendly ", "", "storage shelf"], "instruction_attributes": ["a"]},
"B000000002": {"attributes": ["eco friendly", "faux leather"], "instruction": null},
"B000000003": {"attributes": null},
"B000000009": {"attributes": ["of nothing"]}
}"""


def written(folder: Path, items: str, attributes: str = ATTRIBUTES) -> tuple[Path, Path]:
    files = folder / "items_shuffle.json", folder / "items_ins_v2.json"
    for file, text in zip(files, (items, attributes), strict=True):
        file.write_text(text)
    return files


def refusal(files: tuple[Path, Path]) -> str:
    with pytest.raises(UsageError) as caught:
        read_products(*files)
    return str(caught.value)


def changed(number: int, **fields: object) -> str:
    """The products with fields of one of them changed; a field of ... is left out."""
    products = json.loads(BEDS)
    products[number] = {key: value for key, value in (products[number] | fields).items() if value is not ...}
    return json.dumps(products)


def test_a_catalogue_is_read_exactly(tmp_path):
    catalogues = read_products(*written(tmp_path, BEDS))
    assert list(catalogues) == ["beds"]  # one sofa is no category
    beds = catalogues["beds"]
    assert beds.category == "beds"
    assert beds.attributes == ("storage shelf", "eco friendly", "faux leather")
    assert beds.options == {"color": ("black | gray", "white"), "size": ("twin", "queen")}
    assert beds.products == (
        Product(
            title="Twin Bed with Shelf",
            attributes=("storage shelf", "eco friendly"),
            options={"color": ("black | gray", "white"), "size": ("twin",)},
            price=129.99,
        ),
        Product(
            title="Bed (B000000002)",
            attributes=("eco friendly", "faux leather"),
            options={"color": ("white",), "size": ("queen",)},
            price=1100.25,
        ),
        Product(title="Bed (B000000003)", attributes=(), options={}, price=100.0),
    )
    assert beds.goals == (
        Goal(("storage shelf", "eco friendly"), (("color", "black | gray"), ("size", "twin"))),
        Goal(("storage shelf", "eco friendly"), (("color", "white"), ("size", "twin"))),
        Goal(("eco friendly", "faux leather"), (("color", "white"), ("size", "queen"))),
    )


@pytest.mark.slow
def test_it_can_be_shopped_in(tmp_path):
    """A product without options has none in its text, and its offers can be drawn as anybody's."""
    import beliefbench as bb
    from beliefbench.checking.domain_contract import check_domain_contract

    domain = shopping("released/webshop-beds", version="1", catalogue=read_products(*written(tmp_path, BEDS))["beds"])
    assert [finding for finding in check_domain_contract(domain) if not finding.passed] == []
    episodes = bb.Episodes(domain, bb.Protocol(users=3, rounds=4, heldout=5))
    texts = {domain.describe(option) for option in episodes.heldout.reshape(-1, len(domain.features))}
    assert texts == {
        "Twin Bed with Shelf\nAttributes: storage shelf, eco friendly\ncolor: black | gray\nsize: twin\nPrice: $129.99",
        "Twin Bed with Shelf\nAttributes: storage shelf, eco friendly\ncolor: white\nsize: twin\nPrice: $129.99",
        "Bed (B000000002)\nAttributes: eco friendly, faux leather\ncolor: white\nsize: queen\nPrice: $1,100.25",
        "Bed (B000000003)\nAttributes: none\nPrice: $100.00",
    }
    np.testing.assert_allclose(episodes.exact.sum(axis=-1), 1.0)


@pytest.mark.parametrize(
    ("pricing", "price"),
    [
        ("$12.99", 12.99),
        ("$12.99 to $20.00", 12.99),
        ("$20.00 to $12.99", 12.99),
        ("$1,234.50", 1234.5),
        ("", 100.0),
        (None, 100.0),
        ("$0.00", 100.0),
    ],
)
def test_prices(tmp_path, pricing, price):
    beds = read_products(*written(tmp_path, changed(0, pricing=pricing)))["beds"]
    assert beds.products[0].price == price


def test_a_product_without_prices_or_options_fields(tmp_path):
    beds = read_products(*written(tmp_path, changed(5, pricing=..., customization_options=...)))["beds"]
    assert beds.products[2] == Product(title="Bed (B000000003)", attributes=(), options={}, price=100.0)


@pytest.mark.parametrize(
    ("number", "fields", "expected"),
    [
        (0, {"asin": ...}, "product 1: `asin` is missing; expected a value."),
        (0, {"asin": " "}, "product 1: `asin` is empty; expected a text."),
        (0, {"asin": 4}, "product 1: `asin` is 4; expected a text."),
        (3, {"name": ...}, "product 4 (B000000002): `name` is missing; expected a value."),
        (3, {"name": "\n"}, "product 4 (B000000002): `name` is empty; expected a text."),
        (3, {"query": None}, "product 4 (B000000002): `query` is null; expected a value."),
        (3, {"query": ["beds"]}, 'product 4 (B000000002): `query` is ["beds"]; expected a text.'),
        (3, {"pricing": 12.5}, "product 4 (B000000002): `pricing` is 12.5; expected a text."),
        (
            3,
            {"pricing": "12.99"},
            'product 4 (B000000002): `pricing` is "12.99"; expected a price such as "$12.99" or "$12.99 to $20.00".',
        ),
        (
            3,
            {"pricing": "$1.2.3"},
            'product 4 (B000000002): `pricing` is "$1.2.3"; expected a price such as "$12.99" or "$12.99 to $20.00".',
        ),
        (
            3,
            {"pricing": "$" + "9" * 400},
            'expected a price such as "$12.99" or "$12.99 to $20.00".',
        ),
        (
            3,
            {"customization_options": ["red"]},
            'product 4 (B000000002): `customization_options` is ["red"]; expected an object.',
        ),
        (
            3,
            {"customization_options": {"Color": "red"}},
            'product 4 (B000000002): `customization_options.Color` is "red"; expected a list.',
        ),
        (
            3,
            {"customization_options": {"Color": [{"image": "x.jpg"}]}},
            "product 4 (B000000002): `customization_options.Color[0].value` is missing; expected a value.",
        ),
        (
            3,
            {"customization_options": {"Color": ["red"]}},
            'product 4 (B000000002): `customization_options.Color[0]` is "red"; expected an object.',
        ),
    ],
)
def test_a_faulty_product_is_named(tmp_path, number, fields, expected):
    files = written(tmp_path, changed(number, **fields))
    assert refusal(files).startswith(f"{files[0]}, product {number + 1}")
    assert refusal(files).endswith(expected)


@pytest.mark.parametrize(
    ("items", "attributes", "which", "expected"),
    [
        ("[", ATTRIBUTES, 0, ", line 1: not JSON (Expecting value); fetch the file again."),
        ("[" * 100_000, ATTRIBUTES, 0, ": not JSON (too deep, or too long a number); fetch the file again."),
        ("{}", ATTRIBUTES, 0, ": {} is not a list; expected a list of products."),
        ("", ATTRIBUTES, 0, ", line 1: the file is empty; fetch it again."),
        ("[7]", ATTRIBUTES, 0, ", product 1: 7 is not an object; expected a product."),
        (BEDS, "[]", 1, ": [] is not an object; expected attributes by asin."),
        (BEDS, '{"B01": []}', 1, ", product B01: `B01` is []; expected an object."),
        (BEDS, '{"B01": {"attributes": "soft"}}', 1, ', product B01: `B01.attributes` is "soft"; expected a list.'),
        (BEDS, '{"B01": {"attributes": [1]}}', 1, ", product B01: `B01.attributes[0]` is 1; expected a text."),
    ],
)
def test_a_faulty_file_is_named(tmp_path, items, attributes, which, expected):
    files = written(tmp_path, items, attributes)
    assert refusal(files) == f"{files[which]}{expected}"


def test_a_missing_file(tmp_path):
    files = written(tmp_path, BEDS)
    files[1].unlink()
    assert refusal(files) == f"{files[1]} does not exist; name another file."


@pytest.mark.parametrize(("items", "attributes"), [(BEDS, "{}"), ("[]", ATTRIBUTES)])
def test_files_that_leave_no_category_are_refused(tmp_path, items, attributes):
    files = written(tmp_path, items, attributes)
    assert refusal(files) == (
        f"{files[0]}: no category has 3 products and 2 goals (two attributes and two option values that one product "
        "has); check that items_ins_v2.json belongs to it."
    )


def test_titles_that_cannot_be_told_apart_are_refused(tmp_path):
    """A title that is another's with its asin: nobody's data, but an error of ours, not of pydantic's."""
    files = written(tmp_path, changed(0, name="Bed (B000000002)"))
    assert refusal(files).startswith(f"{files[0]}, category 'beds': ")
    assert "two products are called 'Bed (B000000002)'" in refusal(files)


def test_files_are_paired_by_their_endings(tmp_path):
    for name in ("items_shuffle.json", "items_shuffle_1000.json", "items_ins_v2.json", "items_ins_v2_1000.json"):
        (tmp_path / name).touch()
    (tmp_path / "items_human_ins.json").touch()
    assert find_products(tmp_path) == [
        (tmp_path / "items_shuffle.json", tmp_path / "items_ins_v2.json"),
        (tmp_path / "items_shuffle_1000.json", tmp_path / "items_ins_v2_1000.json"),
    ]
    assert find_products(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("alone", "missing"),
    [("items_shuffle_1000.json", "items_ins_v2_1000.json"), ("items_ins_v2_1000.json", "items_shuffle_1000.json")],
)
def test_a_file_without_its_partner_is_an_error(tmp_path, alone, missing):
    for name in ("items_shuffle.json", "items_ins_v2.json", alone):
        (tmp_path / name).touch()
    with pytest.raises(UsageError) as caught:
        find_products(tmp_path)
    assert str(caught.value) == f"{tmp_path / alone} is there without {missing}; put both into one folder."
