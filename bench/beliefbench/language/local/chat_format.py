"""Text for language models: what a model reads of a conversation, and where the answers that it writes end.

A model with a chat template reads what its template writes (`beliefbench.language.local.chat_template`). A model
without one (a base model) reads plain text: the turns in order, each followed by a blank line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from beliefbench.errors import BeliefBenchError
from beliefbench.language.local.branches import common_prefix
from beliefbench.language.local.chat_template import ChatTemplate
from beliefbench.language.local.pieces import encoder_of
from beliefbench.language.questions.dialogue import Dialogue, Message

GAP = "\n\n"
PROBES = ("A", "0")
"""Two texts with nothing in common: tokens shared by two texts that continue with them do not depend on them."""
ADVICE = "describe options as its model card says, or use another model."


@dataclass(frozen=True)
class ChatFormat:
    """A tokenizer's side of a conversation.

    Parameters
    ----------
    render
        ``render(chat) -> str``: the text before the assistant's answer to a chat that ends with the user's question.
    encode, decode
        Texts to tokens, and tokens to a text without special tokens.
    ends, gap
        The tokens, and the text, that end an answer.
    opening
        ``opening(chat) -> str``: the text that a written answer continues; None: as ``render``. It may lack spaces at
        its end, which the model then writes.
    endings
        ``endings(chat, answer)``: texts that may follow the finished answer, the best first.
    check
        ``check(chat, answers)``: raises `BeliefBenchError` if the template does not write the answers as they are.
    note
        What a row should say; empty if the template's own prompt is used.
    rewrites
        True if the template is made to write other text than the chat has.
    """

    render: Callable[[list[Message]], str]
    encode: Callable[[Sequence[str]], list[list[int]]]
    decode: Callable[[list[int]], str]
    ends: frozenset[int] = frozenset()
    gap: str | None = None
    opening: Callable[[list[Message]], str] | None = None
    endings: Callable[[list[Message], str], Iterable[str]] = lambda chat, answer: ()
    check: Callable[[list[Message], Sequence[str]], None] = lambda chat, answers: None
    note: str = ""
    rewrites: bool = False

    def asked(self, dialogue: Dialogue) -> list[list[Message]]:
        """Return the chats that end with the questions of a dialogue.

        Raises
        ------
        BeliefBenchError
            If the template rewrites chats, and leaves out what these questions ask, or does not rewrite them.
        """
        chats = [dialogue.messages(question) for question in dialogue.questions]
        if self.rewrites:
            last = [chat[-1]["content"].strip() for chat in chats]
            written = [self.render(chat) for chat in chats]
            if raw := next((said for said, text in zip(last, written, strict=True) if said in text), None):
                raise BeliefBenchError(
                    f"the model's chat template does not rewrite this question ('{raw.splitlines()[0][:40]}'), so the "
                    f"model was not made to read it; {ADVICE}"
                )
            if len(set(last)) > 1 and len(set(written)) == 1:
                raise BeliefBenchError(
                    f"the model's chat template writes different questions the same way, so that their options cannot "
                    f"be told apart; {ADVICE}"
                )
        return chats

    def prompt(self, chat: list[Message]) -> str:
        """Return the text that a written answer continues."""
        return (self.opening or self.render)(chat)

    def is_over(self, written: list[int]) -> bool:
        """Return True if an answer has ended."""
        if written[-1] in self.ends:
            return True
        text = self.decode(written) if self.gap else ""
        return bool(self.gap) and str(self.gap) in (text.lstrip() if str(self.gap).isspace() else text)

    def reply(self, written: list[int]) -> str:
        """Return an answer as text, without what ended it."""
        text = self.decode(list(takewhile(lambda token: token not in self.ends, written)))
        text = text.strip() if not self.gap or self.gap.isspace() else text
        return (text.partition(self.gap)[0] if self.gap else text).strip()

    def with_answers(self, chats: Sequence[list[Message]], answers: Sequence[str]) -> list[list[list[int]]]:
        """Return the tokens of each question with each of its answers.

        Raises
        ------
        BeliefBenchError
            If the template does not write the answers as they are, or the tokenizer does not tell them apart.
        """
        self.check(chats[0], answers)  # how an answer is written does not depend on the numbers in a question
        coded = self.encode([text + answer for text in map(self.render, chats) for answer in answers])
        asked = [coded[at : at + len(answers)] for at in range(0, len(coded), len(answers))]
        if any(len(set(map(tuple, one))) < len(answers) for one in asked):
            raise BeliefBenchError(
                f"the model's tokenizer does not tell the answers {', '.join(map(repr, answers))} apart; use another "
                "model."
            )
        return asked

    def answered(self, chat: list[Message], answers: Sequence[str]) -> tuple[int, list[list[int]]]:
        """Return a question with each of its answers as tokens, as scoring reads them, and the number of first tokens
        that do not depend on the answer.
        """
        (coded,), text = self.with_answers([chat], answers), self.render(chat)
        probes = self.encode([text + probe for probe in PROBES])
        return len(common_prefix([*coded, *probes])), coded

    def ended(self, chat: list[Message], answer: str, tokens: list[int], start: int) -> list[int]:
        """Return the tokens of an answered question, and then the tokens that end the answer; ``start``: where the
        answer's tokens start.

        Raises
        ------
        BeliefBenchError
            If nothing ends the answer.
        """
        text = self.render(chat) + answer
        for after in self.endings(chat, answer):
            # A text of its own may begin with a token for a space that is not there.
            letter = PROBES[0]
            whole, alone, first = self.encode([text + after, letter + after, letter])
            end = whole[len(tokens) :] if whole[: len(tokens)] == tokens else alone[len(first) :]
            for length in range(1, len(end) + 1):
                if self.is_over([*tokens[start:], *end[:length]]):
                    return [*tokens, *end[:length]]
        raise BeliefBenchError(
            f"the model's chat template does not end answers: no end follows '{answer}'; use another model, or add an "
            "end to its template."
        )


def chat_format_of(tokenizer: Any, ends: frozenset[int]) -> ChatFormat:
    """Return the chat format of a tokenizer's model; ``ends``: tokens that end what it writes in any case.

    Raises
    ------
    BeliefBenchError
        If its chat template refuses a conversation of user and assistant, or does not write all of its text.
    """

    encode = encoder_of(tokenizer)

    def decode(tokens: list[int]) -> str:
        return str(tokenizer.decode(tokens, skip_special_tokens=True))

    controls = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]

    def of_words(write: Callable[[list[Message]], str]) -> Callable[[list[Message]], str]:
        """Return ``write`` for conversations in whose texts the model reads no control tokens."""

        def written(chat: list[Message]) -> str:
            text = "\n".join(message["content"] for message in chat)
            if found := next((mark for mark in controls if mark in text and not mark.isalnum()), None):
                raise BeliefBenchError(
                    f"a text of the conversation has '{found}' in it, which the model reads as a control token; change "
                    "the words of the domain, or use another model."
                )
            return write(chat)

        return written

    if (template := ChatTemplate.of(tokenizer)) is None:
        start = _start(tokenizer)

        def plain(chat: list[Message]) -> str:
            return start + "".join(message["content"].rstrip() + GAP for message in chat)

        return ChatFormat(of_words(plain), encode, decode, ends, GAP, endings=lambda chat, answer: (GAP,))

    marks = {*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids}
    own_ends, gap = _turn_end(template.trial_endings(), encode, decode, marks)
    return ChatFormat(
        of_words(template.before),
        encode,
        decode,
        ends | own_ends,
        gap,
        of_words(template.opening),
        template.endings,
        template.check,
        template.note(),
        template.rewrites,
    )


def _start(tokenizer: Any) -> str:
    """Return the special tokens that a tokenizer sets before each text."""
    special = {*tokenizer.all_special_ids} | {at for at, one in tokenizer.added_tokens_decoder.items() if one.special}
    first = list(takewhile(lambda token: token in special, tokenizer("A").input_ids))
    return "".join(tokenizer.convert_ids_to_tokens(first))


def _turn_end(
    texts: Sequence[str],
    encode: Callable[[Sequence[str]], list[list[int]]],
    decode: Callable[[list[int]], str],
    marks: set[int],
) -> tuple[frozenset[int], str | None]:
    """Return the tokens that end a turn, of the special tokens ``marks``, given the texts that follow it. If there are
    none, return the text that ends it.
    """
    coded = encode([text.lstrip() for text in texts])
    if found := frozenset(tokens[0] for tokens in coded if tokens and tokens[0] in marks):
        return found, None
    text = next((text for text in texts if text.strip()), texts[-1])
    words = decode(list(takewhile(lambda token: token not in marks, encode([text])[0])))
    return frozenset(), words.rstrip() or words or None
