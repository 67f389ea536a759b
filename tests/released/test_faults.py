"""A fault in one of the paper's released files is named with its file, line and place."""

import json
import re
from pathlib import Path

import pytest

from beliefbench.errors import UsageError
from beliefbench.released.files import read_heldout, read_interactions, read_shopper_heldout

from .json_changes import MISSING, changed

SAMPLES = Path(__file__).parent / "samples"
FLIGHT = (SAMPLES / "flights.jsonl").read_text("utf-8")
WEBSHOP = (SAMPLES / "webshop.jsonl").read_text("utf-8")
HELDOUT = (SAMPLES / "flights-heldout.json").read_text("utf-8")
SHOPPERS = (SAMPLES / "webshop-heldout.jsonl").read_text("utf-8")


def second_line(lines: str, path: tuple, value: object) -> str:
    """JSONL whose second line has one value replaced."""
    first, second = lines.splitlines()[:2]
    return f"{first}\n{json.dumps(changed(json.loads(second), path, value))}\n"


def in_flights(*path_and_value: object) -> str:
    # Its second line with what the first has, so that every field can be spoilt there.
    first = FLIGHT.splitlines()[0]
    return second_line(f"{first}\n{first}", path_and_value[:-1], path_and_value[-1])


def in_shopping(*path_and_value: object) -> str:
    return second_line(WEBSHOP, path_and_value[:-1], path_and_value[-1])


def in_heldout(*path_and_value: object) -> str:
    return json.dumps(changed(json.loads(HELDOUT), path_and_value[:-1], path_and_value[-1]), indent=2)


def in_shoppers(*path_and_value: object) -> str:
    first = SHOPPERS.splitlines()[0]
    return second_line(f"{first}\n{first}", path_and_value[:-1], path_and_value[-1])


ONE_ROUND = [{"options": ["Flight 1: a", "Flight 2: b", "Flight 3: c"], "user_idx": 0}]
FOUR = ["Flight 1: a", "Flight 2: b", "Flight 3: c", "Flight 4: d"]

FAULTS = [
    # a file or a line that is no JSON object
    (read_interactions, "", 1, "the file is empty"),
    (read_interactions, " \n\n", 1, "the file is empty"),
    (read_heldout, "", 1, "the file is empty"),
    (read_interactions, FLIGHT.encode() + b'{"idx": "\xff"}', 3, "byte 0xff is not UTF-8"),
    (read_heldout, b'{\n"a": "\xe9"}', 2, "byte 0xe9 is not UTF-8"),
    (read_interactions, FLIGHT.encode("utf-16"), 1, "byte 0xff is not UTF-8"),
    (
        read_interactions,
        FLIGHT + '{"idx": 2,',
        3,
        "column 11: not JSON (Expecting property name enclosed in double quotes)",
    ),
    (read_interactions, FLIGHT + '{"idx": [' + "1" * 5000 + "]}", 3, "JSON of thousands of digits"),
    (read_interactions, FLIGHT + "[" * 100_000, 3, "JSON of thousands of brackets"),
    (read_interactions, FLIGHT + "[1, 2]", 3, "[1, 2] is not a JSON object"),
    (read_interactions, FLIGHT + "null", 3, "null is not a JSON object"),
    (read_interactions, FLIGHT.replace("\n", "\n\n", 1), 2, "the line is blank"),
    (read_shopper_heldout, SHOPPERS + "{'idx': 1}", 3, "column 2: not JSON"),
    (read_heldout, HELDOUT.replace("    },", "    }"), 29, "column 5: not JSON (Expecting ',' delimiter)"),
    (read_heldout, SHOPPERS, 2, "column 1: not JSON (Extra data); expected one JSON object in the whole file"),
    (read_heldout, "\n\n3", 1, "3 is not a JSON object"),
    # fields that are missing
    *[
        (read_interactions, in_flights(field, MISSING), 2, f"`{field}` is missing")
        for field in ("reward_fn", "features")
    ],
    (read_interactions, in_flights("rounds", MISSING), 2, "`rounds` is missing"),
    (read_interactions, in_flights("rounds", 1, "options", MISSING), 2, "round 2: `options` is missing"),
    (read_interactions, in_flights("rounds", 1, "user_idx", MISSING), 2, "round 2: `user_idx` is missing"),
    (read_interactions, in_flights("reward_fn", None), 2, "`reward_fn` is null; expected a value"),
    (read_interactions, in_shopping("goal_attrs", MISSING), 2, "`goal_attrs` is missing"),
    (read_interactions, in_shopping("goal_options", MISSING), 2, "`goal_options` is missing"),
    (read_interactions, in_shopping("rounds", 0, "score", MISSING), 2, "round 1: `score` is missing"),
    (read_heldout, in_heldout("features", MISSING), 1, "`features` is missing"),
    (read_heldout, in_heldout("all_options", MISSING), 1, "`all_options` is missing"),
    (read_heldout, in_heldout("user_idxs", 1, "idxs", MISSING), 29, "`user_idxs[1].idxs` is missing"),
    (read_shopper_heldout, in_shoppers("all_options", MISSING), 2, "`all_options` is missing"),
    (
        read_shopper_heldout,
        in_shoppers("all_options", 1, "user_idx", MISSING),
        2,
        "`all_options[1].user_idx` is missing",
    ),
    (read_shopper_heldout, in_shoppers("all_options", 1, "score", MISSING), 2, "`all_options[1].score` is missing"),
    (read_shopper_heldout, FLIGHT, 1, "`all_options` is missing"),
    # users of two kinds, or of none
    (read_interactions, FLIGHT + WEBSHOP, 3, "the user has `goal_attrs`, while line 1 has `reward_fn`"),
    (read_interactions, WEBSHOP + FLIGHT, 3, "the user has `reward_fn`, while line 1 has `goal_attrs`"),
    (read_interactions, in_flights("goal_attrs", []), 2, "both `reward_fn` and `goal_attrs`"),
    (read_interactions, '{"rounds": []}', 1, "neither `reward_fn` nor `goal_attrs`"),
    (read_interactions, SHOPPERS.splitlines()[1], 1, "neither `reward_fn` nor `goal_attrs`"),
    # options and their texts
    (read_interactions, in_flights("rounds", 1, "options", FOUR), 2, "round 2 has 4 options; expected 3"),
    (read_interactions, in_flights("rounds", 1, "options", FOUR[:2]), 2, "round 2 has 2 options; expected 3"),
    (read_interactions, in_flights("rounds", 1, "options", "abc"), 2, 'round 2: `options` is "abc"; expected a list'),
    (read_interactions, in_flights("rounds", 1, "options", 2, 7), 2, "round 2: `options[2]` is 7; expected a text"),
    (read_interactions, in_flights("rounds", 1, "options", 2, "\ud800"), 2, "expected a text without lone surrogates"),
    (read_interactions, in_flights("rounds", 1, "options", 2, FOUR[0]), 2, 'round 2: option 3 is "Flight 1: a"'),
    (read_interactions, in_flights("rounds", 1, "options", 2, "price: $1"), 2, 'begin as in "Flight 3: "'),
    (read_interactions, in_flights("rounds", 1, "options", 2, "Hotel 3: a"), 2, 'is a "Hotel"; expected a "Flight"'),
    (read_interactions, in_flights("rounds", []), 2, "`rounds` is empty"),
    (read_interactions, in_flights("rounds", {}), 2, "`rounds` is {}; expected a list"),
    (read_interactions, in_flights("rounds", 0, "three"), 2, 'round 1 is "three"; expected an object'),
    (
        read_interactions,
        second_line(FLIGHT, ("rounds",), ONE_ROUND),
        2,
        "the user has 1 rounds; expected 2, as in line 1",
    ),
    (read_heldout, in_heldout("all_options", 1, FOUR), 12, "`all_options[1]` has 4 options; expected 3"),
    (read_heldout, in_heldout("all_options", 1, 2, FOUR[0]), 15, '`all_options[1]`: option 3 is "Flight 1: a"'),
    (read_heldout, in_heldout("all_options", 1, 2, "Hotel 3: a"), 15, '`all_options[1]`: option 3 is a "Hotel"'),
    (read_heldout, in_heldout("all_options", []), 6, "`all_options` is empty"),
    (read_heldout, in_heldout("user_idxs", []), 18, "`user_idxs` is empty"),
    (read_shopper_heldout, in_shoppers("all_options", []), 2, "`all_options` is empty"),
    (read_shopper_heldout, in_shoppers("all_options", 1, "options", FOUR), 2, "`all_options[1].options` has 4 options"),
    (
        read_shopper_heldout,
        in_shoppers("all_options", 0, "options", FOUR[:3]),
        2,
        'is a "Flight"; expected a "Product"',
    ),
    # choices
    *[
        (
            read_interactions,
            in_flights("rounds", 1, "user_idx", given),
            2,
            f"round 2: `user_idx` is {shown}; expected 0, 1 or 2",
        )
        for given, shown in [(3, "3"), (-1, "-1"), (1.0, "1.0"), (True, "true"), ("1", '"1"'), ([], "[]")]
    ],
    (read_heldout, in_heldout("user_idxs", 0, "idxs", 1, 3), 26, "`user_idxs[0].idxs[1]` is 3; expected 0, 1 or 2"),
    (
        read_heldout,
        in_heldout("user_idxs", 0, "idxs", 1, False),
        26,
        "`user_idxs[0].idxs[1]` is false; expected 0, 1 or 2",
    ),
    (read_heldout, in_heldout("user_idxs", 1, "idxs", [1, 2, 0]), 34, "`user_idxs[1].idxs` has 3 answers; expected 2"),
    (read_shopper_heldout, in_shoppers("all_options", 1, "user_idx", 3), 2, "`all_options[1].user_idx` is 3"),
    # numbers
    (read_interactions, in_flights("reward_fn", 2, float("nan")), 2, "`reward_fn[2]` is NaN; expected a finite number"),
    (read_interactions, in_flights("reward_fn", 2, float("-inf")), 2, "`reward_fn[2]` is -Infinity; expected a finite"),
    (read_interactions, in_flights("reward_fn", 2, 10**400), 2, "`reward_fn[2]` is 1000"),
    (read_interactions, in_flights("reward_fn", 2, True), 2, "`reward_fn[2]` is true; expected a finite number"),
    (read_interactions, in_flights("reward_fn", 2, "1"), 2, '`reward_fn[2]` is "1"; expected a finite number'),
    (read_interactions, in_flights("reward_fn", [1, 2, 3]), 2, "`reward_fn` has 3 weights; expected 4, one a feature"),
    (read_interactions, in_flights("rounds_numpy", 1, 0, 3, float("nan")), 2, "`rounds_numpy[1][0][3]` is NaN"),
    (read_interactions, in_flights("rounds_numpy", [[]]), 2, "`rounds_numpy` has 1 entries; expected 2, one a round"),
    (
        read_interactions,
        in_flights("rounds_numpy", 1, [[0.5] * 4] * 4),
        2,
        "`rounds_numpy[1]` has 4 options; expected 3",
    ),
    (
        read_interactions,
        in_flights("rounds_numpy", 1, 2, [0.5] * 3),
        2,
        "`rounds_numpy[1][2]` has 3 numbers; expected 4",
    ),
    (read_interactions, in_flights("rounds_numpy", 0.5), 2, "`rounds_numpy` is 0.5; expected a list"),
    (read_interactions, in_flights("idx", 1.5), 2, "`idx` is 1.5; expected an integer"),
    (read_interactions, in_flights("seed", True), 2, "`seed` is true; expected an integer"),
    (read_interactions, in_shopping("rounds", 0, "score", [0, 1]), 2, "round 1 has 2 scores; expected 3"),
    (read_interactions, in_shopping("rounds", 0, "score", 1, float("inf")), 2, "round 1: `score[1]` is Infinity"),
    (read_heldout, in_heldout("user_idxs", 0, "reward_fn", 1, float("nan")), 22, "`user_idxs[0].reward_fn[1]` is NaN"),
    (
        read_heldout,
        in_heldout("user_idxs", 0, "reward_fn", [1]),
        20,
        "`user_idxs[0].reward_fn` has 1 weights; expected 2",
    ),
    (
        read_heldout,
        in_heldout("all_options_numpy", [[]]),
        40,
        "`all_options_numpy` has 1 entries; expected 2, one a set",
    ),
    # names
    (read_interactions, in_flights("features", 0, "cost"), 2, '"price"], as in line 1'),
    (read_interactions, in_flights("features", 3, "extra"), 2, "expected ["),
    (
        read_interactions,
        in_flights("features", 3, "duration"),
        2,
        '`features[3]` is "duration"; expected each feature once',
    ),
    (read_interactions, in_flights("features", []), 2, "`features` is empty"),
    (read_interactions, in_flights("features", 3, 4), 2, "`features[3]` is 4; expected a text"),
    (read_interactions, in_shopping("goal_options", ["size"]), 2, '`goal_options` is ["size"]; expected an object'),
    (read_interactions, in_shopping("goal_options", {"size": 3}), 2, "`goal_options.size` is 3; expected a text"),
    (read_interactions, in_shopping("goal_attrs", "soft"), 2, '`goal_attrs` is "soft"; expected a list'),
    (read_heldout, in_heldout("features", 1, "duration"), 4, '`features[1]` is "duration"; expected each feature once'),
]


@pytest.mark.parametrize(
    ("read", "content", "line", "words"), FAULTS, ids=[f"{at}-{f[3][:40]}" for at, f in enumerate(FAULTS)]
)
def test_a_fault_is_one_sentence_with_file_line_and_place(tmp_path, read, content, line, words, written):
    file = written(tmp_path, "some_file", content)
    with pytest.raises(UsageError) as caught:
        read(file)
    message = str(caught.value)
    assert message.startswith((f"{file}, line {line}: ", f"{file}, line {line}, column "))
    assert words in message
    assert message.endswith(".")
    assert "\n" not in message
    assert message.encode()


@pytest.mark.parametrize("read", [read_interactions, read_heldout, read_shopper_heldout])
def test_a_file_that_cannot_be_opened_is_named(tmp_path, read):
    with pytest.raises(UsageError, match=re.escape(f"{tmp_path / 'none.jsonl'} does not exist")):
        read(tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match=re.escape(f"{tmp_path} cannot be read (Is a directory)")):
        read(tmp_path)
