"""``beliefbench import`` of web shopping: the paper's shoppers, and the products of WebShop."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import jax
import numpy as np
import pytest

import beliefbench as bb
from beliefbench.choice_models.catalogue import read_catalogue
from beliefbench.released.importing import import_path


def test_shoppers_are_imported_with_their_heldout_file(tmp_path, data_folder):
    texts = ["Sofa, storage\\nColor: Red", "Bed, storage, soft\\nColor: Blue", "Cot, soft\\nColor: Red"]
    texts = [text.replace("\\n", "\n") for text in texts]
    asked = [f"Product {number}: {text}" for number, text in enumerate(texts, start=1)]
    users, held = [], []
    for color, attribute, chosen in (("Red", "storage", 0), ("Blue", "soft", 1), ("Red", "soft", 2)):
        one = {"options": asked, "user_idx": chosen, "score": [float(option == chosen) for option in range(3)]}
        goal = {"goal_attrs": [attribute], "goal_options": {"Color": color}}
        users.append({**goal, "rounds": [one, one]})
        held.append({**goal, "all_options": [one]})
    for kind, lines in (("interaction", users), ("heldout", held)):
        (tmp_path / "files" / kind / "webshop").mkdir(parents=True)
        file = tmp_path / "files" / kind / "webshop" / "living_room_sets.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    said: list[str] = []
    assert import_path(tmp_path / "files", said.append) == ["released/webshop-living-room-sets"]
    assert "3 shoppers" in said[0]
    run = bb.run("released/webshop-living-room-sets", "bayesian", preset="paper", results=tmp_path / "results")
    assert run.rows().num_rows == 3 * (3 * 1 + 2)
    (tmp_path / "files/heldout/webshop/living_room_sets.jsonl").unlink()
    with pytest.raises(bb.UsageError, match="shoppers need their held-out file"):
        import_path(tmp_path / "files", said.append)


ASKED = {"options": ["Product 1: Bed, soft", "Product 2: Bed", "Product 3: Cot"], "score": [1, 0, 0], "user_idx": 0}


def write_lines(file: Path, lines: Iterable[dict]) -> None:
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_fewer_shoppers_do_not_replace_more(tmp_path, data_folder):
    goals = [{"goal_attrs": [name], "goal_options": {}} for name in ("soft", "bed", "soft")]
    for users, sets, refused in ((3, 2, False), (2, 2, True), (3, 1, True), (3, 3, False)):
        write_lines(tmp_path / "files/beds.jsonl", [goal | {"rounds": [ASKED]} for goal in goals[:users]])
        write_lines(tmp_path / "files/heldout/beds.jsonl", [{"all_options": [ASKED] * sets}] * users)
        if refused:
            with pytest.raises(bb.UsageError, match="imported with 3 users, 1 rounds, 2 held-out sets, and is kept"):
                import_path(tmp_path / "files", lambda line: None)
        else:
            import_path(tmp_path / "files", lambda line: None)
        assert bb.load_domain("released/webshop-beds").recorded.truth.shape == (3, 2 if refused else sets)


def test_shoppers_without_a_number_each_are_matched_by_their_order(tmp_path, data_folder):
    users = [{"goal_attrs": [name], "goal_options": {}, "rounds": [ASKED]} for name in ("soft", "bed")]
    write_lines(tmp_path / "files/beds.jsonl", [users[0], users[1] | {"idx": 3}])
    for number in (2, None, 3):
        write_lines(tmp_path / "files/heldout/beds.jsonl", [{"all_options": [ASKED], "idx": at} for at in (1, number)])
        if number == 2:
            with pytest.raises(bb.UsageError, match="line 2: `idx` is 2, and 3 in "):
                import_path(tmp_path / "files", lambda line: None)
        else:
            assert import_path(tmp_path / "files", lambda line: None) == ["released/webshop-beds"]


def write_products(folder: Path, **sizes: int) -> None:
    """So many products of each category."""
    options = {"Color": [{"value": "Red"}, {"value": "Blue"}], "Size": [{"value": "S"}]}
    products = [
        {"asin": f"{query}{at}", "name": f"Mug {at}", "query": query, "customization_options": options}
        for query, size in sizes.items()
        for at in range(size)
    ]
    (folder / "items_shuffle.json").write_text(json.dumps(products))
    mined = {product["asin"]: {"attributes": ["lid", "light"]} for product in products}
    (folder / "items_ins_v2.json").write_text(json.dumps(mined))


def test_fewer_products_do_not_replace_more(tmp_path, data_folder):
    write_products(tmp_path, jugs=4, cups=4)
    assert import_path(tmp_path, lambda line: None) == ["products/jugs", "products/cups"]
    before = {file: file.read_bytes() for file in (data_folder / "products").iterdir()}
    write_products(tmp_path, jugs=5, cups=3)
    with pytest.raises(bb.UsageError, match=r"items_shuffle.json has 3 products; .*cups.json was imported with 4 prod"):
        import_path(tmp_path, lambda line: None)
    assert {file: file.read_bytes() for file in (data_folder / "products").iterdir()} == before
    write_products(tmp_path, jugs=5, cups=4)
    import_path(tmp_path, lambda line: None)
    assert len(read_catalogue(data_folder / "products/jugs.json").products) == 5


def test_categories_whose_names_differ_in_punctuation_are_both_kept(tmp_path, data_folder):
    write_products(tmp_path, **{"mugs x": 3, "mugs-x": 4, "mugs.x": 5})
    names = import_path(tmp_path, lambda line: None)
    assert names == ["products/mugs-x", "products/mugs-x-2", "products/mugs-x-3"]
    sizes = [len(read_catalogue(data_folder / f"{name}.json").products) for name in names]
    assert sizes == [3, 4, 5]


def test_products_of_webshop_are_further_categories(tmp_path, data_folder):
    products = [
        {
            "asin": f"A{number}",
            "name": f"Jug number {number}",
            "query": "jugs",
            "pricing": f"${number + 5}.50",
            "customization_options": {
                "Color": [{"value": "Red"}, {"value": "Blue"}],
                "Size": [{"value": "S"}, {"value": "L"}],
            },
        }
        for number in range(4)
    ]
    wanted = {f"A{number}": {"attributes": ["lid", "light", "steel"][: 2 + number % 2]} for number in range(4)}
    (tmp_path / "items_shuffle_4.json").write_text(json.dumps(products))
    (tmp_path / "items_ins_v2_4.json").write_text(json.dumps(wanted))
    said: list[str] = []
    assert import_path(tmp_path, said.append) == ["products/jugs"]
    assert said == ["items_shuffle_4.json: 4 products in 1 categories with two goals or more."]
    domain = bb.load_domain("products/jugs")
    assert domain.parameters["goals"] == 12  # 3 pairs of attributes, 4 of values
    assert domain.describe(np.asarray(domain.draw(jax.random.key(0), 1))[0, 0]).startswith("Jug number ")
    assert bb.run(domain, "bayesian", users=3, rounds=2, heldout=2, results=tmp_path / "results").rows().num_rows == 24
