"""What a language model is to say at each of its turns, as tokens: the targets of teaching.

The tokens of a taught answer, with what ends it, are each to be predicted. If the answers that it could be part, the
target is a distribution over the tokens with which they go on; a hard answer is one that is certain. After that place
come the tokens of what stands in the conversation.
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
"""Two texts that share nothing: what two conversations that go on with them share does not depend on them."""


@dataclass(frozen=True)
class Target:
    """A token to be predicted: its place ``at`` (1 or more), what may stand there, and how often."""

    at: int
    tokens: tuple[int, ...]
    probs: tuple[float, ...]


@dataclass(frozen=True)
class TokenizedConversation:
    """A conversation as a model reads it, and what it is to say in it."""

    tokens: tuple[int, ...]
    targets: tuple[Target, ...]


def tokenize_conversation(conversation: Conversation, speech: ChatFormat) -> TokenizedConversation:
    """Return a conversation's tokens, up to the end of its last taught answer, and their targets.

    Raises
    ------
    BeliefBenchError
        If the model's chat template or tokenizer does not let the answers be told apart.
    """
    messages = list(conversation.messages)
    whole = speech.encode([speech.render([*messages, {"role": "user", "content": PROBES[0]}])])[0]
    targets: list[Target] = []
    end = 0
    for taught in conversation.taught:
        starts = _start(messages[: taught.at], speech)
        if whole[: len(starts)] != starts:
            raise BeliefBenchError(
                "the model's chat template writes earlier turns anew as a conversation goes on; "
                "teach the last answer of each alone, with data made without --whole."
            )
        end = _end(messages, taught.at, len(starts), whole, speech)
        parting = _parting(messages, taught, whole, speech)
        for at in range(len(starts), end):
            hard = Target(at, (whole[at],), (1.0,))
            targets.append(parting if at == parting.at else hard)
    return TokenizedConversation(tuple(whole[:end]), tuple(targets))


def _start(messages: Sequence[Message], speech: ChatFormat) -> list[int]:
    """Return the tokens up to the next answer, whatever it is."""
    text = speech.render(list(messages))
    return common_prefix(speech.encode([text + probe for probe in PROBES]))


def _end(messages: Sequence[Message], at: int, start: int, whole: list[int], speech: ChatFormat) -> int:
    """Return the place after the answer and what ends it."""
    for end in range(start + 1, len(whole) + 1):
        if speech.is_over(whole[start:end]):
            return end
    content = messages[at]["content"]
    raise BeliefBenchError(f"the model's chat template ends no answer: nothing that stops it follows '{content}'.")


def _parting(messages: Sequence[Message], taught: TaughtTurn, whole: list[int], speech: ChatFormat) -> Target:
    """Return the target at the first token in which the answers, said or possible, differ."""
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
            f"the model's tokenizer does not part the answers {', '.join(map(repr, taught.answers))} at one token; "
            "teach it hard answers: --teacher bayesian or oracle."
        )
    return Target(at, tokens, taught.probs)
