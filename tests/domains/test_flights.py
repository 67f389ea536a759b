"""Flights as the paper shows them, to the letter (paper, sections 1 and 2)."""

import numpy as np
import pytest

TENTHS = [step / 10 for step in range(11)]


def shown(flights, feature: str) -> list[str]:
    """How a feature reads at each value of its grid."""
    found = next(one for one in flights.features if one.name == feature)
    return [found.show(value) for value in found.grid]


def test_the_four_features_stand_in_the_papers_order(flights):
    assert [feature.name for feature in flights.features] == ["departure_time", "duration", "number_of_stops", "price"]
    assert [list(feature.grid) for feature in flights.features] == [TENTHS, TENTHS, [0, 0.5, 1], TENTHS]
    assert flights.item == "Flight"


def test_departure_times(flights):
    # 06:00 AM to 10:00 PM in steps of 96 minutes.
    assert shown(flights, "departure_time") == [
        "06:00 AM",
        "07:36 AM",
        "09:12 AM",
        "10:48 AM",
        "12:24 PM",
        "02:00 PM",
        "03:36 PM",
        "05:12 PM",
        "06:48 PM",
        "08:24 PM",
        "10:00 PM",
    ]


def test_durations(flights):
    # 30 minutes to 20 hours in steps of 117 minutes; no hours where there are none, no minutes where there are none.
    assert shown(flights, "duration") == [
        "30 min",
        "2 hr 27 min",
        "4 hr 24 min",
        "6 hr 21 min",
        "8 hr 18 min",
        "10 hr 15 min",
        "12 hr 12 min",
        "14 hr 9 min",
        "16 hr 6 min",
        "18 hr 3 min",
        "20 hr",
    ]


def test_stops(flights):
    assert shown(flights, "number_of_stops") == ["0", "1", "2"]


def test_prices(flights):
    # $100 to $1000 in steps of $90, and no comma in the thousand.
    expected = ["$100", "$190", "$280", "$370", "$460", "$550", "$640", "$730", "$820", "$910", "$1000"]
    assert shown(flights, "price") == expected


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ([0.5, 0.2, 0.0, 0.7], "departure time: 02:00 PM, duration: 4 hr 24 min, number of stops: 0, price: $730"),
        ([0.5, 0.0, 0.5, 0.3], "departure time: 02:00 PM, duration: 30 min, number of stops: 1, price: $370"),
        ([0.0, 1.0, 1.0, 1.0], "departure time: 06:00 AM, duration: 20 hr, number of stops: 2, price: $1000"),
    ],
)
def test_an_option_reads_as_in_the_paper(flights, option, text):
    assert flights.describe(np.array(option)) == text
    assert flights.describe(option) == text


def test_every_option_that_is_drawn_can_be_described(flights):
    import jax

    options = np.asarray(flights.draw(jax.random.key(0), 300)).reshape(-1, 4)  # single precision, as JAX gives it
    texts = {flights.describe(option) for option in options}
    read = {tuple(part.partition(": ")[2] for part in text.split(", ")) for text in texts}
    for column, feature in enumerate(("departure_time", "duration", "number_of_stops", "price")):
        assert {one[column] for one in read} == set(shown(flights, feature))


def test_an_option_of_the_wrong_size_is_refused(flights):
    with pytest.raises(ValueError, match=r"an option has 4 features; got an array of shape \(3,\)"):
        flights.describe(np.zeros(3))
