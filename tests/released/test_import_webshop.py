"""``beliefbench import`` of web shopping: the paper's shoppers, and the products of WebShop."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest

import beliefbench as bb
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
