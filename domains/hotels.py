"""Hotels: the paper's transfer domain (paper, section 1)."""

from beliefbench import Feature, linear_choice

TENTHS = tuple(step / 10 for step in range(11))
QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


def miles(value: float) -> str:
    """0 miles at 0 to 10 miles at 1; "1 miles" as in the released files."""
    return f"{10 * value:.0f} miles"


def dollars(value: float) -> str:
    """$100 at 0 to $1000 at 1."""
    return f"${100 + 900 * value:.0f}"


def stars(value: float) -> str:
    """1 stars at 0 to 5 stars at 1; "1 stars" as in the released files."""
    return f"{1 + 4 * value:.0f} stars"


def amenities(value: float) -> str:
    """Each quarter adds one to those before."""
    return (
        "no amenities",
        "free parking",
        "free parking and free breakfast",
        "free parking, free breakfast, and pool",
        "free parking, free breakfast, pool, and fitness center",
    )[round(4 * value)]


hotels = linear_choice(
    "hotels",
    version="1",
    item="Hotel",
    purpose="for my trips",
    features=(
        Feature(
            "distance_to_downtown",
            "distance to downtown",
            TENTHS,
            miles,
            "hotels near downtown",
            "hotels far from downtown",
        ),
        Feature("price", "price", TENTHS, dollars, "cheaper hotels", "more expensive hotels"),
        Feature("rating", "rating", QUARTERS, stars, "hotels with fewer stars", "hotels with more stars"),
        Feature(
            "amenities", "amenities", QUARTERS, amenities, "hotels without amenities", "hotels with more amenities"
        ),
    ),
)
