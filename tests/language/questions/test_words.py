"""The conversation reads exactly as in the paper (section 3)."""

from beliefbench.language.questions import words

PAPER_OPENING = (
    "Help me select the best flights for my trips. I have specific preferences for what I like and dislike in a "
    "flight, and these preferences remain the same. You need to figure out my preferences and select the best flights "
    "for me. "
    "Use your best judgment if you are unsure. Do not say you need more information.\n"
    "\n"
    "Which flight is the best option?\n"
    "\n"
    "Flight 1:\n"
    "departure time: 02:00 PM, duration: 30 min, number of stops: 1, price: $370\n"
    "Flight 2:\n"
    "departure time: 06:00 AM, duration: 20 hr, number of stops: 0, price: $1000\n"
    "Flight 3:\n"
    "departure time: 10:00 PM, duration: 4 hr 24 min, number of stops: 2, price: $100"
)


def test_first_user_turn_is_the_papers(flights):
    options = [[0.5, 0.0, 0.5, 0.3], [0.0, 1.0, 0.0, 1.0], [1.0, 0.2, 1.0, 0.0]]
    said = words.opening("Flight", words.instructions("Flight", "for my trips"))
    assert said + words.question("Flight", [flights.describe(option) for option in options]) == PAPER_OPENING


def test_answer_and_feedback_are_the_papers():
    assert words.answer("Flight", 2) == "The best option is Flight 3."
    assert words.feedback("Flight", 2, 2) == "Your option Flight 3 is correct."
    assert words.feedback("Flight", 2, 0) == "Your option Flight 3 is incorrect. I prefer Flight 1."


def test_feedback_comes_before_the_next_question():
    assert words.opening("Flight", "Your option Flight 3 is correct.") == (
        "Your option Flight 3 is correct.\n\nWhich flight is the best option?\n\n"
    )


def test_other_items_take_the_place_of_flights():
    assert words.instructions("Hotel", "for my trips").startswith("Help me select the best hotels for my trips.")
    assert "in a hotel" in words.instructions("Hotel", "for my trips")
    assert words.opening("Hotel", "x").endswith("Which hotel is the best option?\n\n")
