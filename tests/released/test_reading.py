"""The paper's released files: what is in them is read exactly."""

from pathlib import Path

import pytest

from beliefbench.errors import UsageError
from beliefbench.released.files import (
    Heldout,
    HeldoutUser,
    Interaction,
    ShopperHeldout,
    read_heldout,
    read_interactions,
    read_shopper_heldout,
    split_option,
)

SAMPLES = Path(__file__).parent / "samples"
FLIGHT = (SAMPLES / "flights.jsonl").read_text("utf-8")
HUMAN = (SAMPLES / "people.jsonl").read_text("utf-8")
HOTEL = (SAMPLES / "hotels.jsonl").read_text("utf-8")
WEBSHOP = (SAMPLES / "webshop.jsonl").read_text("utf-8")
HELDOUT = (SAMPLES / "flights-heldout.json").read_text("utf-8")
SHOPPERS = (SAMPLES / "webshop-heldout.jsonl").read_text("utf-8")


def test_flights_are_read_exactly(tmp_path, written):
    file = written(tmp_path, "flight.jsonl", FLIGHT)
    features = ("departure_time", "duration", "number_of_stops", "price")
    first = Interaction(
        file=file,
        line=1,
        idx=0,
        reward_fn=(-1.0, -0.5, 0.0, 1.0),
        features=features,
        options=(
            (
                "Flight 1: departure time: 02:00 PM, duration: 30 min, number of stops: 1, price: $370",
                "Flight 2: departure time: 06:00 AM, duration: 4 hr 24 min, number of stops: 0, price: $730",
                "Flight 3: departure time: 03:36 PM, duration: 16 hr 6 min, number of stops: 0, price: $1000",
            ),
            (
                "Flight 1: departure time: 10:00 PM, duration: 20 hr, number of stops: 2, price: $190",
                "Flight 2: departure time: 10:48 AM, duration: 16 hr 6 min, number of stops: 0, price: $730",
                "Flight 3: departure time: 10:48 AM, duration: 30 min, number of stops: 2, price: $460",
            ),
        ),
        chosen=(1, 2),
        rounds_numpy=(
            ((0.5, 0.0, 0.5, 0.3), (0.0, 0.2, 0.0, 0.7), (0.6, 0.8, 0.0, 1.0)),
            ((1.0, 1.0, 1.0, 0.1), (0.3, 0.8, 0.0, 0.7), (0.3, 0.0, 1.0, 0.4)),
        ),
        seed=0,
        goal_attrs=None,
        goal_options=None,
        scores=None,
    )
    users = read_interactions(file)
    assert users[0] == first
    assert len(users) == 2
    assert (users[1].line, users[1].idx, users[1].chosen, users[1].rounds_numpy) == (2, 1, (0, 0), None)
    assert [type(weight) for weight in users[1].reward_fn] == [float] * 4
    assert len(set(users)) == 2  # they can be hashed


def test_human_users_share_a_list_of_rounds(tmp_path, written):
    users = read_interactions(written(tmp_path, "flight_human.jsonl", HUMAN))
    assert [(user.line, user.idx, user.reward_fn, user.chosen) for user in users] == [
        (1, 0, (0.5, -1.0), (2,)),
        (2, 0, (0.0, -0.5), (0,)),
    ]
    assert users[0].options == users[1].options
    assert all(user.rounds_numpy is None and user.seed is None for user in users)


def test_hotels_are_read_and_unknown_fields_passed_over(tmp_path, written):
    (user,) = read_interactions(written(tmp_path, "hotel.jsonl", HOTEL))
    assert user.features == ("distance_to_downtown", "price", "rating", "amenities")
    assert user.reward_fn == (-1.0, -1.0, 0.5, 1.0)
    assert user.idx is None
    assert user.options[0][1] == (
        "Hotel 2: distance to downtown: 10 miles, price: $820, rating: 2 stars, "
        "amenities: free parking, free breakfast, and pool"
    )


def test_shoppers_are_read_exactly(tmp_path, written):
    file = written(tmp_path, "beds.jsonl", WEBSHOP)
    users = read_interactions(file)
    assert users[0] == Interaction(
        file=file,
        line=1,
        idx=0,
        reward_fn=None,
        features=None,
        options=(
            (
                "Product 1: Twin Bed\u2028with Shelf: 2 in 1\nColor: black\nSize: twin",
                "Product 2: Café Bed 🌜\n",
                "Product 3: Bed Frame, Queen\nSize: queen",
            ),
        ),
        chosen=(0,),
        rounds_numpy=None,
        seed=None,
        goal_attrs=("storage shelf", "eco friendly"),
        goal_options={"size": "twin", "pattern name": "bed frame"},
        scores=((0.5, 0.0, 0.25),),
    )
    assert (users[1].goal_attrs, users[1].goal_options, users[1].scores) == (("metal legs",), {}, ((0.0, 0.0, 1.0),))
    assert len(set(users)) == 2


def test_shared_heldout_sets_are_read_exactly(tmp_path, written):
    file = written(tmp_path, "flight_2features.json", HELDOUT)
    assert read_heldout(file) == Heldout(
        file=file,
        features=("duration", "price"),
        options=(
            (
                "Flight 1: duration: 16 hr 6 min, price: $820",
                "Flight 2: duration: 12 hr 12 min, price: $280",
                "Flight 3: duration: 16 hr 6 min, price: $730",
            ),
            (
                "Flight 1: duration: 4 hr 24 min, price: $190",
                "Flight 2: duration: 10 hr 15 min, price: $1000",
                "Flight 3: duration: 8 hr 18 min, price: $460",
            ),
        ),
        users=(
            HeldoutUser("user_idxs[0]", (-1.0, 0.5), (1, 2)),
            HeldoutUser("user_idxs[1]", (1.0, 1.0), (0, 1)),
        ),
        options_numpy=(
            ((0.8, 0.8), (0.6, 0.2), (0.8, 0.7)),
            ((0.2, 0.1), (0.5, 1.0), (0.4, 0.4)),
        ),
    )


def test_shoppers_heldout_sets_are_read_exactly(tmp_path, written):
    file = written(tmp_path, "beds.jsonl", SHOPPERS)
    plain = ("Product 1: A", "Product 2: B", "Product 3: C")
    described = (
        "Product 1: Title: Bed\nDescription:\n- Soft",
        "Product 2: Title: Bed\nColor: b",
        "Product 3: Title: Bed",
    )
    assert read_shopper_heldout(file) == [
        ShopperHeldout(
            file=file,
            line=1,
            idx=4,
            goal_attrs=("faux leather", "white item"),
            options=(described, plain),
            chosen=(1, 0),
            scores=((0.0, 0.75, 0.25), (1.0, 0.0, 0.0)),
            goal_options={"size": "king"},
        ),
        ShopperHeldout(file=file, line=2, idx=None, goal_attrs=None, options=(plain,), chosen=(2,), scores=None),
    ]


def test_a_byte_order_mark_windows_lines_and_raw_line_separators_do_no_harm(tmp_path, written):
    raw = "\ufeff" + HUMAN.replace("20 hr", "20\u2028hr").replace("\n", "\r\n")
    users = read_interactions(written(tmp_path, "flight_human.jsonl", raw))
    assert [user.options[0][1] for user in users] == ["Flight 2: duration: 20\u2028hr, price: $370"] * 2


@pytest.mark.parametrize(
    ("text", "number", "expected"),
    [
        ("Product 3: Set 2: two beds\nSize: king", 3, ("Product", "Set 2: two beds\nSize: king")),
        ("Hotel room 1: price: $100", 1, ("Hotel room", "price: $100")),
        ("Product 2: \n", 2, ("Product", "\n")),
    ],
)
def test_an_option_is_split_behind_its_number(text, number, expected):
    assert split_option(text, number) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Flight 1: a",
        "Flight 02: a",
        "Flight: a",
        "2: a",
        " 2: a",
        "Flight 2:a",
        "Flight 2: ",
        "Flight  2: a",
        "a: b 2: c",
        "",
    ],
)
def test_an_option_without_its_number_is_an_error(text):
    with pytest.raises(UsageError, match=r'^option 2 is ".*; expected it to begin as in "Flight 2: "\.$'):
        split_option(text, 2)
