"""docs/importing.md: its examples can be imported as they are, and its tables name all fields that are read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.released.importing import import_path

PAGE = (Path(__file__).parents[2] / "docs" / "importing.md").read_text()
EXAMPLES = dict(re.findall(r"^`([\w/]+\.jsonl?)`:\n\n```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
FIELDS = {
    field: kind
    for row in re.findall(r"^\| `.*$|^The second is an object.*$", PAGE, re.MULTILINE)
    for kind in [row]
    for field in re.findall(r"`(\w+)`", row)
}


@pytest.fixture
def folder(tmp_path) -> Path:
    for name, content in EXAMPLES.items():
        (tmp_path / "page" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "page" / name).write_text(content)
    return tmp_path / "page"


def test_every_example_can_be_imported_and_run(folder, data_folder, tmp_path):
    assert len(EXAMPLES) == PAGE.count("```json") == 7
    names = import_path(folder, lambda line: None)
    assert sorted(names) == ["products/jugs", "released/flights-2", "released/people", "released/webshop-beds"]
    users = {"released/flights-2": 2, "released/people": 2, "released/webshop-beds": 2, "products/jugs": 2}
    for name in names:
        done = bb.run(name, "bayesian", users=users[name], rounds=1, heldout=1, results=tmp_path / "results")
        assert done.rows().num_rows == users[name] * 3


def removals(value: object, where: tuple = ()) -> list[tuple]:
    """The places of all fields in a JSON value: of a list, in its first value alone."""
    if isinstance(value, dict):
        inner = [place for key, one in value.items() for place in removals(one, (*where, key))]
        return [(*where, key) for key in value] + inner
    return removals(value[0], (*where, 0)) if isinstance(value, list) and value else []


WEIGHTS = {"reward_fn", "rounds", "features", "options", "user_idx"}
NEEDED = {
    "eval/interaction/flight_2features.jsonl": WEIGHTS,
    "eval/heldout/flight_2features.json": {"features", "all_options", "user_idxs", "reward_fn", "idxs"},
    "eval/interaction/hotel_human.jsonl": WEIGHTS,
    "eval/interaction/beds.jsonl": {"goal_attrs", "goal_options", "rounds", "options", "user_idx", "score"},
    "eval/heldout/beds.jsonl": {"all_options", "options", "user_idx"},
    "items_shuffle.json": {"asin", "name", "query", "value"},
    "items_ins_v2.json": set(),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_field_may_be_missing_where_the_page_says_so(folder, data_folder, name):
    """Each field of the first value of an example is removed in turn."""
    file = folder / name
    for other in folder.rglob("*.json*"):
        if other.name[:5] != file.name[:5]:  # of another kind
            other.unlink()
    first, *rest = EXAMPLES[name].splitlines() if file.suffix == ".jsonl" else [EXAMPLES[name]]
    places, needed = removals(json.loads(first)), set()
    for place in places:
        at = changed = json.loads(first)
        for step in place[:-1]:
            at = at[step]
        del at[place[-1]]
        file.write_text("\n".join([json.dumps(changed), *rest]))
        try:
            import_path(folder, lambda line: None)
        except bb.UsageError:
            needed.add(place[-1])
    assert needed == NEEDED[name]
    keys = {"color", "Color", "Size", "B01", "B02"}  # of objects whose keys are values
    assert {place[-1] for place in places} - keys <= set(FIELDS)
    optional = {field for field, kind in FIELDS.items() if "may be missing" in kind}
    assert {place[-1] for place in places} - keys - needed - {"score", "idx"} <= optional | {"attributes"}
