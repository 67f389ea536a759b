"""Four web-shopping users made by hand, and what their texts, goals and choices say, worked out anew."""

import json
from itertools import combinations, product
from pathlib import Path

import numpy as np

from beliefbench.domain import Domain
from beliefbench.released.files import read_interactions, read_shopper_heldout, split_option
from beliefbench.released.shoppers import shopper_domain

# What the options of rounds are called here: texts without a description, as in the interaction files.
TEXTS = {
    "sofa": "Sofa of Faux-Leather\nColor: Red\nSize: L",
    "bed": "Twin Bed 2:1 with Storage Shelf, faux leather\nColor: Blue\nSize: S\n",
    "cot": "Cot\u2028for Two\n",
    "bench": "Storage Bench\nStyle: modern shelf\nColor: RED",
    "shelf": "A Shelf for STORAGE\nSize: L\nColor: green",
    "chair": "Chair, easy to clean\nsize: s\nColor: Red",
}
HELD = {
    "sofa+": "Title: Sofa\nDescription:\n- Faux leather that is easy to clean\n- Storage\nColor: Red\nSize: S",
    "bed+": "Title: Storage Bed\nDescription:\n- With a shelf\n- Color: red\nColor: Blue\nSize: L",
    "cot+": "Title: Cot\nDescription:\n- Storage shelf below\n\nColor: Green\n",
}


def user(idx: int, attrs: list[str], options: dict[str, str], rounds: list[str], held: list[str]) -> dict:
    """A user; a set is written as three names and the number of the one taken: "sofa bed cot 0"."""

    def asked(written: str) -> dict:
        *names, chosen = written.split()
        texts = [f"Product {place}: {(TEXTS | HELD)[name]}" for place, name in enumerate(names, 1)]
        return {"options": texts, "user_idx": int(chosen), "score": [0.0, 0.5, 1.0]}

    goal = {"idx": idx, "goal_attrs": attrs, "goal_options": options}
    return {"rounds": [asked(one) for one in rounds], "heldout": [asked(one) for one in held], **goal}


FIRST = user(
    7,
    ["faux leather", "Storage Shelf"],
    {"color": "red", "size": "L"},
    ["sofa bed cot 0", "bench shelf chair 1", "cot sofa shelf 2"],
    ["sofa+ bed+ cot+ 0", "bed+ cot+ sofa+ 1", "cot+ bed+ sofa+ 2"],
)
SECOND = user(
    3,
    ["faux leather", "easy clean"],
    {"Color": "Blue ", "size": "s"},
    ["bed sofa cot 0", "bench chair shelf 1", "sofa cot bed 0"],
    ["sofa+ bed+ cot+ 0", "bed+ cot+ sofa+ 2"],
)
THIRD = user(
    5,
    ["storage shelf", "easy clean"],
    {"color": "green", "size": "l"},
    ["shelf chair cot 0", "bed sofa shelf 2", "chair bench sofa 1"],
    ["sofa+ bed+ cot+ 2", "bed+ sofa+ cot+ 1"],
)
FOURTH = user(
    4,
    ["storage shelf", "faux leather"],
    {"color": "purple", "size": "s"},
    ["bed cot sofa 0", "chair cot sofa 0", "bench cot shelf 2"],
    ["cot+ bed+ sofa+ 0", "bed+ cot+ sofa+ 1"],
)
USERS = [FIRST, SECOND, THIRD, FOURTH]


def read(folder: Path, users: list[dict], heldout: list[dict] | None = None) -> tuple:
    """Return what the readers return of users; the held-out file has the goals too, and may have other users."""
    folder.mkdir(exist_ok=True, parents=True)
    rounds, held = folder / "beds.jsonl", folder / "heldout-beds.jsonl"
    rounds.write_text("\n".join(json.dumps({**one, "heldout": None}) for one in users))
    kept = [
        {"all_options": one["heldout"], **{key: one[key] for key in one if key not in ("rounds", "heldout")}}
        for one in (users if heldout is None else heldout)
    ]
    held.write_text("\n".join(json.dumps(one) for one in kept))
    return read_interactions(rounds), read_shopper_heldout(held)


def build(folder: Path, users: list[dict] = USERS, heldout: list[dict] | None = None) -> Domain:
    return shopper_domain("released/webshop-beds", *read(folder, users, heldout))


def without(one: dict, *keys: str) -> dict:
    return {key: value for key, value in one.items() if key not in keys}


def goals_by_hand() -> list[tuple[set[str], dict[str, str]]]:
    names = ["easy clean", "faux leather", "storage shelf"]
    values = list(product(["blue", "green", "purple", "red"], ["l", "s"]))
    return [(set(pair), {"color": color, "size": size}) for pair in combinations(names, 2) for color, size in values]


def read_by_hand(text: str) -> tuple[list[set[str]], dict[str, str]]:
    """Read a text anew: where the words of lines stand, and option values."""
    spoken, values = [], {}
    for number, line in enumerate(text.lower().strip().split("\n")):
        head, colon, tail = line.partition(": ")
        if number and colon and not line.startswith("-"):
            values[head] = tail
        else:
            plain = line.removeprefix("title: ")
            for mark in ",-:\u2028":
                plain = plain.replace(mark, " ")
            spoken.append(set(plain.split()))
    return spoken, values


def score_by_hand(text: str, goal: tuple[set[str], dict[str, str]]) -> int:
    spoken, values = read_by_hand(text)
    attributes = sum(any(set(name.split()) <= line for line in spoken) for name in goal[0])
    return attributes + sum(values.get(kind) == value for kind, value in goal[1].items())


def rule_by_hand(texts: list[str], goal: tuple[set[str], dict[str, str]], lapse: float) -> np.ndarray:
    scores = np.array([score_by_hand(text, goal) for text in texts])
    best = scores == scores.max()
    return (1 - lapse) * best / best.sum() + lapse / 3


def shown_in(one: dict, key: str) -> list[list[str]]:
    return [[split_option(text, at)[1] for at, text in enumerate(a_set["options"], 1)] for a_set in one[key]]
