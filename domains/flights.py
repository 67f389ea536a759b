"""Flights: the paper's main domain with 4 features, and its subsets of 2 to 8 features (paper, section 1)."""

from beliefbench import Feature, linear_choice

TENTHS = tuple(step / 10 for step in range(11))
HALVES = (0.0, 0.5, 1.0)


def clock(value: float) -> str:
    """06:00 AM at 0 to 10:00 PM at 1."""
    hour, minute = divmod(round(6 * 60 + 16 * 60 * value), 60)
    return f"{(hour - 1) % 12 + 1:02d}:{minute:02d} {'AM' if hour < 12 else 'PM'}"


def hours(value: float) -> str:
    """30 min at 0 to 20 hr at 1."""
    return _duration(round(30 + 1170 * value))


def layover(value: float) -> str:
    """0 hr at 0 to 5 hr at 1."""
    return _duration(round(300 * value))


def stops(value: float) -> str:
    """0, 1 or 2."""
    return f"{2 * value:.0f}"


def flexibility(value: float) -> str:
    """Not refundable, refundable with a fee, or fully refundable."""
    return ("non-refundable", "refundable with fee", "fully refundable")[round(2 * value)]


def bags(value: float) -> str:
    """None, one carry-on bag, or a checked bag too."""
    return (
        "0 carry-on bags, 0 checked bags",
        "1 carry-on bag, 0 checked bags",
        "1 carry-on bag, 1 checked bag",
    )[round(2 * value)]


def dollars(value: float) -> str:
    """$100 at 0 to $1000 at 1."""
    return f"${100 + 900 * value:.0f}"


def _duration(minutes: int) -> str:
    hour, minute = divmod(minutes, 60)
    return " ".join(part for part in (f"{hour} hr" * (hour > 0), f"{minute} min" * (minute > 0)) if part) or "0 hr"


FEATURES = {
    feature.name: feature
    for feature in (
        Feature(
            "departure_time",
            "departure time",
            TENTHS,
            clock,
            "an earlier morning departure time",
            "a later evening departure time",
        ),
        Feature(
            "arrival_time",
            "arrival time",
            TENTHS,
            clock,
            "an earlier morning arrival time",
            "a later evening arrival time",
        ),
        Feature("duration", "duration", TENTHS, hours, "shorter flights", "longer flights"),
        Feature("number_of_stops", "number of stops", HALVES, stops, "non-stop flights", "flights with stops"),
        Feature("layover_duration", "layover duration", TENTHS, layover, "shorter layovers", "longer layovers"),
        Feature(
            "flexibility", "flexibility", HALVES, flexibility, "non-refundable flights", "fully refundable flights"
        ),
        Feature("bags", "bags", HALVES, bags, "flights without bags", "flights with more bags"),
        Feature("price", "price", TENTHS, dollars, "cheaper flights", "more expensive flights"),
    )
}

SUBSETS = {
    "flights-2": "duration price",
    "flights-3": "price departure_time duration",
    "flights": "departure_time duration number_of_stops price",
    "flights-5": "price departure_time bags number_of_stops duration",
    "flights-6": "arrival_time flexibility bags duration number_of_stops price",
    "flights-7": "bags departure_time layover_duration number_of_stops duration flexibility arrival_time",
    "flights-8": "departure_time arrival_time layover_duration duration flexibility bags number_of_stops price",
}

flights_2, flights_3, flights, flights_5, flights_6, flights_7, flights_8 = flights_n = tuple(
    linear_choice(
        name,
        version="1",
        item="Flight",
        purpose="for my trips",
        features=tuple(FEATURES[feature] for feature in subset.split()),
    )
    for name, subset in SUBSETS.items()
)
