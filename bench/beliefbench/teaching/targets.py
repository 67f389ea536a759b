"""The targets of teaching: the tokens that a language model learns to predict at each of its turns.

Each token of a taught answer is a target, and so are the tokens that end it. At the token at which the possible answers
differ, the target is a distribution over their next tokens; a hard answer has one token with probability 1. The tokens
after it are those of the answer in the conversation.

An answer is taught after exactly the tokens that it is asked with (`beliefbench.language.local.chat_format`). Several
answers of a conversation are taught in one sequence if each is a continuation of the one before. If the chat template
writes earlier turns anew as a conversation grows, each answer has a sequence of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from beliefbench.errors import BeliefBenchError
from beliefbench.language.local.branches import common_prefix
from beliefbench.language.local.chat_format import ChatFormat
from beliefbench.teaching.reading import Conversation, TaughtTurn


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


def tokenize_conversation(conversation: Conversation, speech: ChatFormat) -> list[TokenizedConversation]:
    """Return a conversation as sequences of tokens, each up to the end of a taught answer, with their targets.

    Raises
    ------
    BeliefBenchError
        If the answers cannot be told apart in the tokens of the model's chat template or tokenizer.
    """
    found: list[TokenizedConversation] = []
    for taught in conversation.taught:
        one = _tokenize_turn(conversation, taught, speech)
        if found and one.tokens[: len(found[-1].tokens)] == found[-1].tokens:
            one = TokenizedConversation(one.tokens, (*found.pop().targets, *one.targets))
        found.append(one)
    return found


def _tokenize_turn(conversation: Conversation, taught: TaughtTurn, speech: ChatFormat) -> TokenizedConversation:
    """Return the tokens up to the end of a taught answer, and its targets."""
    chat, said = list(conversation.messages[: taught.at]), conversation.messages[taught.at]["content"]
    others = [answer for answer in taught.answers if answer != said]
    start, (asked, *coded) = speech.answered(chat, [said, *others])
    tokens = speech.ended(chat, said, asked, start)
    targets = [Target(at, (tokens[at],), (1.0,)) for at in range(start, len(tokens))]
    if others:
        parting = _parting(taught, said, dict(zip([said, *others], [asked, *coded], strict=True)))
        targets[parting.at - start] = parting
    return TokenizedConversation(tuple(tokens), tuple(targets))


def _parting(taught: TaughtTurn, said: str, coded: dict[str, list[int]]) -> Target:
    """Return the target at the first token at which the possible answers and the answer in the conversation differ."""
    at = min(len(common_prefix([coded[said], other])) for answer, other in coded.items() if answer != said)
    tokens = tuple(coded[answer][at] for answer in taught.answers if len(coded[answer]) > at)
    if len(set(tokens)) < len(taught.answers):
        raise BeliefBenchError(
            f"the model's tokenizer does not separate the answers {', '.join(map(repr, taught.answers))} at one token; "
            "teach it hard answers: --teacher bayesian or oracle."
        )
    return Target(at, tokens, taught.probs)
