"""The paper's other domains: how their features read, which stand in which order, and what the exact answer reaches."""

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol, population


def shown(domain: str, feature: str) -> list[str]:
    """How a feature reads at each value of its grid."""
    found = next(one for one in bb.load_domain(domain).features if one.name == feature)
    return [found.show(value) for value in found.grid]


@pytest.mark.parametrize(
    ("name", "features", "users"),
    [
        ("flights-2", "duration price", 24),
        ("flights-3", "price departure_time duration", 124),
        ("flights-4", "departure_time duration number_of_stops price", 624),
        ("flights-5", "price departure_time bags number_of_stops duration", 3_124),
        ("flights-6", "arrival_time flexibility bags duration number_of_stops price", 15_624),
        (
            "flights-7",
            "bags departure_time layover_duration number_of_stops duration flexibility arrival_time",
            78_124,
        ),
        (
            "flights-8",
            "departure_time arrival_time layover_duration duration flexibility bags number_of_stops price",
            390_624,
        ),
        ("hotels", "distance_to_downtown price rating amenities", 624),
    ],
)
def test_features_stand_in_the_papers_order(name, features, users):
    domain = bb.load_domain(name)
    assert [feature.name for feature in domain.features] == features.split()
    assert population(domain) == users


def test_flights_and_flights_4_are_one_domain():
    assert bb.load_domain("flights-4") is bb.load_domain("flights")


def test_more_flight_features():
    assert shown("flights-8", "arrival_time") == shown("flights-8", "departure_time")
    assert shown("flights-8", "layover_duration") == [
        "0 hr",
        "30 min",
        "1 hr",
        "1 hr 30 min",
        "2 hr",
        "2 hr 30 min",
        "3 hr",
        "3 hr 30 min",
        "4 hr",
        "4 hr 30 min",
        "5 hr",
    ]
    assert shown("flights-8", "flexibility") == ["non-refundable", "refundable with fee", "fully refundable"]
    assert shown("flights-8", "bags") == [
        "0 carry-on bags, 0 checked bags",
        "1 carry-on bag, 0 checked bags",
        "1 carry-on bag, 1 checked bag",
    ]


def test_hotel_features():
    assert shown("hotels", "distance_to_downtown") == [f"{miles} miles" for miles in range(11)]
    assert shown("hotels", "price")[::5] == ["$100", "$550", "$1000"]
    assert shown("hotels", "rating") == ["1 stars", "2 stars", "3 stars", "4 stars", "5 stars"]
    assert shown("hotels", "amenities") == [
        "no amenities",
        "free parking",
        "free parking and free breakfast",
        "free parking, free breakfast, and pool",
        "free parking, free breakfast, pool, and fitness center",
    ]
    assert bb.load_domain("hotels").describe(np.array([0.3, 0.3, 0.75, 0.0])) == (
        "distance to downtown: 3 miles, price: $370, rating: 4 stars, amenities: no amenities"
    )


def accuracy(name: str, seed: int) -> np.ndarray:
    """Percent right of the exact answer after each of 0 .. 5 rounds."""
    domain = bb.load_domain(name)
    episodes = Episodes(domain, Protocol(min(1000, population(domain)), rounds=5, heldout=100, seed=seed))
    return 100 * (episodes.exact.argmax(axis=-1) == episodes.truth[:, None]).mean(axis=(0, 2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected", "within", "seeds"),
    [
        pytest.param("hotels", (57.8, 80.5), 1.0, 5, marks=pytest.mark.reference),
        ("flights-2", (73.0, 90.6), 2.0, 20),
        ("flights-3", (62.7, 85.3), 1.5, 5),
        pytest.param("flights-5", (54.1, 76.5), 1.0, 5, marks=pytest.mark.reference),
        pytest.param("flights-6", (52.2, 72.8), 1.0, 5, marks=pytest.mark.reference),
        pytest.param("flights-7", (50.7, 69.8), 1.0, 5, marks=pytest.mark.reference),
        pytest.param("flights-8", (49.0, 69.0), 3.0, 1, marks=pytest.mark.reference),
    ],
)
def test_exact_accuracies_are_the_reference_ones(name, expected, within, seeds, record_property):
    """After rounds 1 and 5, averaged over the seeds 0, 1, ...: the deviations of single seeds are in the paper's notes.

    A seed of flights-2 scatters by 3.1 points after round 1: the mean of twenty is within 2 points but for 0.4% of
    the choices of twenty seeds; the others fail less often.
    """
    found = np.mean([accuracy(name, seed) for seed in range(seeds)], axis=0)
    record_property("accuracy after rounds 1 and 5, %", found[[1, 5]].round(1).tolist())
    assert abs(found[1] - expected[0]) < within, found.round(2)
    assert abs(found[5] - expected[1]) < within, found.round(2)


def test_eight_features_at_small_size():
    """390,624 hypotheses: probabilities that sum to 1, and certainty only where it is due."""
    episodes = Episodes(bb.load_domain("flights-8"), Protocol(users=3, rounds=2, heldout=5))
    np.testing.assert_allclose(episodes.exact.sum(axis=-1), 1.0, atol=1e-12)
    assert (np.diff(-(episodes.exact * np.log(np.maximum(episodes.exact, 1e-300))).sum(-1).mean((0, 2))) < 0).all()
