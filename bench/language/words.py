"""The paper's words, exactly (paper, section 3); for other items than flights by substitution, which is our guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """One finished round of a conversation: what the user says before the options, the options, the answer."""

    opening: str
    question: str
    answer: str


def instructions(item: str, purpose: str) -> str:
    """Return the first paragraph of the conversation.

    >>> print(instructions("Flight", "for my trips")[:50])
    Help me select the best flights for my trips. I ha
    >>> print(instructions("Product", "")[:40])
    Help me select the best products. I have
    """
    one, many = item.lower(), f"{item.lower()}s"
    wanted = f"{many} {purpose}".strip()
    return (
        f"Help me select the best {wanted}. I have specific preferences for what I like and dislike in "
        f"a {one}, and these preferences remain the same. You need to figure out my preferences and select the best "
        f"{many} for me. Use your best judgment if you are unsure. Do not say you need more information."
    )


def opening(item: str, before: str) -> str:
    """Return what stands before a question's options: the instructions or the last feedback, and the question.

    >>> print(opening("Flight", "Your option Flight 3 is correct."))
    Your option Flight 3 is correct.
    <BLANKLINE>
    Which flight is the best option?
    <BLANKLINE>
    <BLANKLINE>
    """
    return f"{before}\n\nWhich {item.lower()} is the best option?\n\n"


def question(item: str, descriptions: Sequence[str]) -> str:
    """Return a set of options as text.

    >>> print(question("Flight", ["price: $370", "price: $100"]))
    Flight 1:
    price: $370
    Flight 2:
    price: $100
    """
    return "\n".join(f"{item} {number}:\n{text}" for number, text in enumerate(descriptions, start=1))


def answer(item: str, option: int) -> str:
    """Return the assistant's answer, option 0, 1 or 2; -1 for no usable answer, for which the paper has no words.

    >>> answer("Flight", 2)
    'The best option is Flight 3.'
    """
    if option < 0:
        return f"I cannot say which {item.lower()} is the best option."
    return f"The best option is {item} {option + 1}."


def feedback(item: str, recommended: int, chosen: int) -> str:
    """Return what the user says to an answer; recommended -1 where there was none that could be used.

    >>> feedback("Flight", 2, 2), feedback("Flight", 2, 0)
    ('Your option Flight 3 is correct.', 'Your option Flight 3 is incorrect. I prefer Flight 1.')
    """
    if recommended < 0:
        return f"I prefer {item} {chosen + 1}."
    if recommended == chosen:
        return f"Your option {item} {recommended + 1} is correct."
    return f"Your option {item} {recommended + 1} is incorrect. I prefer {item} {chosen + 1}."
