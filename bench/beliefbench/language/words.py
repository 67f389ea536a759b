"""The paper's exact words (paper, section 3). For other items than flights the word is replaced, which is our guess.

After the paper's words come the words of the ways of asking that the paper does not print. They are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beliefbench.domain import Scale


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
    """Return the text before a question's options: the instructions or the last feedback, and the question.

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
    """Return the assistant's answer, option 0, 1 or 2; -1 for an unusable answer, for which the paper has no words.

    >>> answer("Flight", 2)
    'The best option is Flight 3.'
    """
    if option < 0:
        return f"I cannot say which {item.lower()} is the best option."
    return f"The best option is {item} {option + 1}."


def feedback(item: str, recommended: int, chosen: int) -> str:
    """Return the user's feedback to an answer; recommended is -1 if the answer was unusable.

    >>> feedback("Flight", 2, 2), feedback("Flight", 2, 0)
    ('Your option Flight 3 is correct.', 'Your option Flight 3 is incorrect. I prefer Flight 1.')
    """
    if recommended < 0:
        return f"I prefer {item} {chosen + 1}."
    if recommended == chosen:
        return f"Your option {item} {recommended + 1} is correct."
    return f"Your option {item} {recommended + 1} is incorrect. I prefer {item} {chosen + 1}."


def past_round(item: str, number: int, options: str, chosen: int) -> str:
    """Return a round as a user tells it afterwards; ``options`` as `question` returns them, ``chosen`` from 0.

    >>> print(past_round("Flight", 2, question("Flight", ["price: $370"]), 0))
    Round 2. I was offered:
    <BLANKLINE>
    Flight 1:
    price: $370
    <BLANKLINE>
    I preferred Flight 1.
    """
    return f"Round {number}. I was offered:\n\n{options}\n\nI preferred {item} {chosen + 1}."


def sentence_wanted(item: str) -> str:
    """Return the text after the options that asks for an answer in the form of `answer`.

    >>> sentence_wanted("Flight").strip()
    'Answer only with the sentence "The best option is Flight N.", where N is its number.'
    """
    return f'\n\nAnswer only with the sentence "The best option is {item} N.", where N is its number.'


def think(item: str) -> str:
    """Return the text after the options that asks the model to think first.

    >>> think("Flight").strip()
    'Think step by step, and end with the sentence "The best option is Flight N."'
    """
    return f'\n\nThink step by step, and end with the sentence "The best option is {item} N."'


def state(labels: Sequence[str], question: str) -> str:
    """Return the text after a question that asks the model for probabilities.

    >>> state(["Flight 1", "Flight 2"], "How likely is each?").strip()[-40:]
    '{"Flight 1": number, "Flight 2": number}'
    """
    form = ", ".join(f'"{label}": number' for label in labels)
    return f"\n\n{question} Answer with probabilities that sum to 1, in JSON and with nothing else: {{{form}}}"


def preferences(scales: Sequence[Scale], levels: int, answers: Sequence[int]) -> str:
    """Return a person's statement of their preferences; ``answers`` from 0 to levels - 1, one per scale.

    >>> from beliefbench.domain import Scale
    >>> preferences([Scale("price", "cheaper flights", "dearer flights")], 5, [1])
    'These are my preferences. Price: I prefer cheaper flights.'
    """
    said = []
    for scale, answer in zip(scales, answers, strict=True):
        place = 2 * int(answer) - (levels - 1)  # below 0: lower, above: higher
        strongly = "strongly " if abs(place) == levels - 1 else ""
        wanted = (
            f"{strongly}prefer {scale.higher if place > 0 else scale.lower}" if place else "have no strong preference"
        )
        said.append(f"{scale.label.capitalize()}: I {wanted}.")
    return " ".join(["These are my preferences.", *said])


def posterior(scales: Sequence[Scale], marginals: Any) -> str:
    """Return the beliefs of an exact observer as text, in whole percents; marginals float[scales, levels].

    >>> from beliefbench.domain import Scale
    >>> print(posterior([Scale("price", "cheaper flights", "dearer flights")], [[0.75, 0.25]]))
    From my choices so far it follows how likely each preference of mine is:
    price, from 1 (I strongly prefer cheaper flights) to 2 (I strongly prefer dearer flights): 1: 75%, 2: 25%
    """
    lines = ["From my choices so far it follows how likely each preference of mine is:"]
    for scale, probs in zip(scales, marginals, strict=True):
        ends = f"from 1 (I strongly prefer {scale.lower}) to {len(probs)} (I strongly prefer {scale.higher})"
        shares = ", ".join(f"{level}: {100 * share:.0f}%" for level, share in enumerate(probs, start=1))
        lines.append(f"{scale.label}, {ends}: {shares}")
    return "\n".join(lines)


def belief_question(scale: Scale, levels: int) -> str:
    """Return a question of the questionnaire (paper, section 3), asked about the user.

    >>> from beliefbench.domain import Scale
    >>> print(belief_question(Scale("price", "cheaper flights", "more expensive flights"), 5))
    On a scale of 1 to 5, what is my preference for price?
    <BLANKLINE>
    1: I strongly prefer cheaper flights
    3: I have no strong preference
    5: I strongly prefer more expensive flights
    """
    middle = f"{(levels + 1) // 2}: I have no strong preference\n" if levels % 2 else ""
    return (
        f"On a scale of 1 to {levels}, what is my preference for {scale.label}?\n\n"
        f"1: I strongly prefer {scale.lower}\n{middle}{levels}: I strongly prefer {scale.higher}"
    )


def level_wanted() -> str:
    """Return the text after a question of the questionnaire that asks for an answer in the form of `belief_answer`.

    >>> level_wanted().strip()
    'Answer with the sentence "Your preference is N."'
    """
    return '\n\nAnswer with the sentence "Your preference is N."'


def belief_answer(level: int) -> str:
    """Return the assistant's answer to it; ``level`` from 0.

    >>> belief_answer(4)
    'Your preference is 5.'
    """
    return f"Your preference is {level + 1}."
