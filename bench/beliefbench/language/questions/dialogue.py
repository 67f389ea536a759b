"""The conversation of one user's assistant so far, and its next questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from beliefbench.language.questions.words import Turn

Message = dict[str, str]
"""A chat message: {"role": "user" or "assistant", "content": ...}."""


@dataclass(frozen=True)
class Dialogue:
    """The finished rounds, the user's next words, and the questions; each question is asked separately at this point.

    >>> talk = Dialogue((Turn("Hello. ", "1 or 2?", "2."),), "Right. ", ("3 or 4?", "5 or 6?"))
    >>> [message["content"] for message in talk.messages("3 or 4?")]
    ['Hello. 1 or 2?', '2.', 'Right. 3 or 4?']
    """

    turns: tuple[Turn, ...]
    opening: str
    questions: tuple[str, ...]

    def messages(self, question: str) -> list[Message]:
        """Return the chat that ends with a question."""
        return messages(self.turns, self.opening, question)

    def ending(self, text: str) -> Dialogue:
        """Return the dialogue with a text after each question."""
        return replace(self, questions=tuple(question + text for question in self.questions))


def messages(turns: Sequence[Turn], opening: str, question: str) -> list[Message]:
    """Return the chat of finished turns and a question."""
    chat = []
    for turn in turns:
        chat.append({"role": "user", "content": turn.opening + turn.question})
        chat.append({"role": "assistant", "content": turn.answer})
    chat.append({"role": "user", "content": opening + question})
    return chat
