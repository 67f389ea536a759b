"""The paper's released files, product files, imported data and teaching data, changed in any way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import strategies as st

from beliefbench.released.files import read_heldout, read_interactions, read_shopper_heldout
from beliefbench.released.importing import import_path
from beliefbench.released.products import read_products
from beliefbench.released.storage import RecordedUsers, read_record
from beliefbench.teaching.reading import ABOUT, conversations

from .changes import json_files, json_line_files

SAMPLES = Path(__file__).parents[1] / "released" / "samples"


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def test_interaction_files(tried, tmp_path):
    def read(content: bytes) -> None:
        (tmp_path / "users.jsonl").write_bytes(content)
        read_interactions(tmp_path / "users.jsonl")

    tried(read, st.one_of(*(json_line_files(sample(name)) for name in ("flights.jsonl", "webshop.jsonl"))))


def test_heldout_files(tried, tmp_path):
    def read(content: bytes) -> None:
        (tmp_path / "sets.json").write_bytes(content)
        read_heldout(tmp_path / "sets.json")

    tried(read, json_files(sample("flights-heldout.json")))


def test_heldout_files_of_shoppers(tried, tmp_path):
    def read(content: bytes) -> None:
        (tmp_path / "sets.jsonl").write_bytes(content)
        read_shopper_heldout(tmp_path / "sets.jsonl")

    tried(read, json_line_files(sample("webshop-heldout.jsonl")))


PAIRS = {
    "flights.jsonl": "flights-heldout.json",
    "webshop.jsonl": "webshop-heldout.jsonl",
    "people-human.jsonl": None,
}


@st.composite
def folders(draw: st.DrawFn) -> dict[str, bytes]:
    """Contents of a released folder, by name: one of its files is changed."""
    name, beside = draw(st.sampled_from(list(PAIRS.items())))
    own = sample(name.replace("-human", ""))
    if beside is None:
        return {f"interaction/{name}": draw(json_line_files(own))}
    # Held-out files have the name of the file that they belong to.
    place, kept = f"heldout/{Path(name).stem}{Path(beside).suffix}", sample(beside)
    if draw(st.booleans()):
        return {f"interaction/{name}": draw(json_line_files(own)), place: kept}
    changed = json_files(kept) if beside.endswith(".json") else json_line_files(kept)
    return {f"interaction/{name}": own, place: draw(changed)}


def test_folders_of_released_files(tried, tmp_path, data_folder):
    def read(files: dict[str, bytes]) -> None:
        folder = tmp_path / "released"
        shutil.rmtree(folder, ignore_errors=True)
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        import_path(folder, lambda sentence: None)

    tried(read, folders(), examples=25, longest=60)  # exact answers are compiled


BEDS = [
    {
        "asin": f"B0{number}",
        "name": f"Bed {number}",
        "query": "Beds",
        "pricing": "$12.99 to $20.00",
        "customization_options": {"Color": [{"value": "Red"}, {"value": "Blue/Gray"}], "Size": [{"value": "S"}]},
    }
    for number in range(3)
]
MINED = {f"B0{number}": {"attributes": ["faux leather", "twin bed"]} for number in range(3)}


def test_product_files(tried, tmp_path):
    def read(contents: tuple[bytes, bytes]) -> None:
        items, mined = tmp_path / "items_shuffle.json", tmp_path / "items_ins_v2.json"
        items.write_bytes(contents[0])
        mined.write_bytes(contents[1])
        read_products(items, mined)

    items, mined = (json.dumps(one).encode() for one in (BEDS, MINED))
    tried(read, st.tuples(json_files(items), st.just(mined)) | st.tuples(st.just(items), json_files(mined)))


def test_imported_records(tried, tmp_path):
    sound = RecordedUsers(
        name="few",
        base="flights-2",
        sources={"a.jsonl": "0" * 64},
        options=[[[[0.1, 0.2]] * 3] * 2] * 2,
        chosen=[[0, 1]] * 2,
        heldout=[[[0.1, 0.2]] * 3],
        truth=[[0], [1]],
        hypotheses=[0, 1],
        lapse=None,
    )

    def read(content: bytes) -> None:
        (tmp_path / "few.json").write_bytes(content)
        read_record(tmp_path / "few.json").arrays()

    tried(read, json_files(sound.model_dump_json().encode()))


TAUGHT = [
    {
        "idx": 0,
        "messages": [
            {"role": "user", "content": "Which?"},
            {"role": "assistant", "content": "The best option is Flight 1.", "answer": "The best option is Flight 2."},
            {"role": "user", "content": "Which?"},
            {"role": "assistant", "content": "The best option is Flight 3.", "probs": [0.2, 0.3, 0.5]},
        ],
    }
]


@pytest.mark.parametrize("every_turn", [True, None])
def test_teaching_data(tried, tmp_path, every_turn):
    lines = b"\n".join(json.dumps(one).encode() for one in TAUGHT * 2)
    about = b'{"whole": true, "records": 2}'

    def read(contents: tuple[bytes, bytes]) -> None:
        file = tmp_path / "data.jsonl"
        file.write_bytes(contents[0])
        file.with_name(file.name + ABOUT).write_bytes(contents[1])
        for one in conversations(file, every_turn):
            for turn in one.taught:
                assert abs(sum(turn.probs) - 1) < 2e-3

    changed = st.tuples(json_line_files(lines), st.just(about))
    tried(read, changed if every_turn else st.tuples(st.just(lines), json_files(about)))
