"""Flights: the paper's main domain (paper, section 1)."""

from bench import Feature, linear_choice

TENTHS = tuple(step / 10 for step in range(11))
HALVES = (0.0, 0.5, 1.0)


def clock(value: float) -> str:
    """06:00 AM at 0 to 10:00 PM at 1."""
    hour, minute = divmod(round(6 * 60 + 16 * 60 * value), 60)
    return f"{(hour - 1) % 12 + 1:02d}:{minute:02d} {'AM' if hour < 12 else 'PM'}"


def hours(value: float) -> str:
    """30 min at 0 to 20 hr at 1."""
    hour, minute = divmod(round(30 + 1170 * value), 60)
    return " ".join(part for part in (f"{hour} hr" * (hour > 0), f"{minute} min" * (minute > 0)) if part)


def stops(value: float) -> str:
    """0, 1 or 2."""
    return f"{2 * value:.0f}"


def dollars(value: float) -> str:
    """$100 at 0 to $1000 at 1."""
    return f"${100 + 900 * value:.0f}"


DEPARTURE_TIME = Feature("departure_time", "departure time", TENTHS, clock)
DURATION = Feature("duration", "duration", TENTHS, hours)
NUMBER_OF_STOPS = Feature("number_of_stops", "number of stops", HALVES, stops)
PRICE = Feature("price", "price", TENTHS, dollars)

flights = linear_choice(
    "flights", version="1", item="Flight", features=(DEPARTURE_TIME, DURATION, NUMBER_OF_STOPS, PRICE)
)
