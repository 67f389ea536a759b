"""The targets of teaching: the tokens that a language model learns to predict at each of its turns.

Each token of a taught answer is a target, and so is the token that ends it. At the token at which the possible answers
differ, the target is a distribution over their next tokens; a hard answer has one token with probability 1. The tokens
after it are those of the answer in the conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from beliefbench.errors import BeliefBenchError
from beliefbench.language.branches import common_prefix
from beliefbench.language.chat_format import ChatFormat
from beliefbench.language.dialogue import Message
from beliefbench.teaching.reading import Conversation, TaughtTurn

PROBES = ("A", "0")
"""Two texts with nothing in common: tokens shared by two conversations that continue with them do not depend on
them."""


@dataclass(frozen=True)
class Target:
    """A token to predict: its position ``at`` (1 or more), the possible tokens, and their probabilities."""

    at: int
    tokens: tuple[int, ...]
    probs: tuple[float, ...]


@dataclass(frozen=True)
class TokenizedConversation:
    """A conversation as tokens, and its targets."""

    tokens: tuple[int, ...]
    targets: tuple[Target, ...]


def tokenize_conversation(conversation: Conversation, speech: ChatFormat) -> TokenizedConversation:
    """Return a conversation's tokens, up to the end of its last taught answer, and their targets.

    Raises
    ------
    BeliefBenchError
        If the answers cannot be told apart in the tokens of the model's chat template or tokenizer.
    """
    messages = list(conversation.messages)
    whole = speech.encode([speech.render([*messages, {"role": "user", "content": PROBES[0]}])])[0]
    targets: list[Target] = []
    end = 0
    for taught in conversation.taught:
        starts = _start(messages[: taught.at], speech)
        if whole[: len(starts)] != starts:
            raise BeliefBenchError(
                "the model's chat template rewrites earlier turns as a conversation grows; teach only the last "
                "answer of each, with data made without --whole."
            )
        end = _end(messages, taught.at, len(starts), whole, speech)
        parting = _parting(messages, taught, whole, speech)
        for at in range(len(starts), end):
            hard = Target(at, (whole[at],), (1.0,))
            targets.append(parting if at == parting.at else hard)
    return TokenizedConversation(tuple(whole[:end]), tuple(targets))


def _start(messages: Sequence[Message], speech: ChatFormat) -> list[int]:
    """Return the tokens up to the next answer, which do not depend on the answer."""
    text = speech.render(list(messages))
    return common_prefix(speech.encode([text + probe for probe in PROBES]))


def _end(messages: Sequence[Message], at: int, start: int, whole: list[int], speech: ChatFormat) -> int:
    """Return the position after the answer and its end token."""
    for end in range(start + 1, len(whole) + 1):
        if speech.is_over(whole[start:end]):
            return end
    content = messages[at]["content"]
    raise BeliefBenchError(f"the model's chat template does not end answers: no end token follows '{content}'.")


def _parting(messages: Sequence[Message], taught: TaughtTurn, whole: list[int], speech: ChatFormat) -> Target:
    """Return the target at the first token at which the possible answers and the answer in the conversation differ."""
    before = speech.render(list(messages[: taught.at]))
    said = messages[taught.at]["content"]
    others = [answer for answer in taught.answers if answer != said]
    coded = dict(zip([said, *others], speech.encode([before + one for one in (said, *others)]), strict=True))
    if not others:
        return Target(0, (), ())
    at = min(len(common_prefix([coded[said], coded[other]])) for other in others)
    tokens = tuple(coded[answer][at] for answer in taught.answers if len(coded[answer]) > at)
    if len(set(tokens)) < len(taught.answers) or whole[:at] != coded[said][:at]:
        raise BeliefBenchError(
            f"the model's tokenizer does not separate the answers {', '.join(map(repr, taught.answers))} at one token; "
            "teach it hard answers: --teacher bayesian or oracle."
        )
    return Target(at, tokens, taught.probs)
