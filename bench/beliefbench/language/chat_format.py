"""How a conversation becomes the text that a model continues, and where its answer ends.

A model with a chat template is asked through its template. There is no system turn, and turns alternate, the user's
first, so that strict templates work. The template writes its own special tokens. If a template can turn thinking off,
it is turned off.

A model without a chat template (a base model) reads plain text: the turns in order, each followed by a blank line.

"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from beliefbench.errors import BeliefBenchError, first_line
from beliefbench.language.dialogue import Message

GAP = "\n\n"


@dataclass(frozen=True)
class ChatFormat:
    """A tokenizer's side of a conversation; ``ends`` are the tokens and ``gap`` the text that end an answer."""

    render: Callable[[list[Message]], str]
    encode: Callable[[Sequence[str]], list[list[int]]]
    decode: Callable[[list[int]], str]
    ends: frozenset[int] = frozenset()
    gap: str | None = None

    def is_over(self, written: list[int]) -> bool:
        """Return True if an answer has ended."""
        return written[-1] in self.ends or bool(self.gap and self.gap in self.decode(written).lstrip())

    def reply(self, written: list[int]) -> str:
        """Return an answer as text, without what ended it."""
        text = self.decode([token for token in written if token not in self.ends]).strip()
        return text.partition(self.gap)[0].rstrip() if self.gap else text


def chat_format_of(tokenizer: Any, ends: frozenset[int]) -> ChatFormat:
    """Return the chat format of a tokenizer's model."""

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [list(tokens) for tokens in tokenizer(list(texts), add_special_tokens=False).input_ids]

    def decode(tokens: list[int]) -> str:
        return str(tokenizer.decode(tokens, skip_special_tokens=True))

    if tokenizer.chat_template is None:
        first = tokenizer("A").input_ids[:1]
        start = tokenizer.bos_token if tokenizer.bos_token_id is not None and first == [tokenizer.bos_token_id] else ""

        def plain(chat: list[Message]) -> str:
            return start + "".join(message["content"].rstrip() + GAP for message in chat)

        return ChatFormat(plain, encode, decode, ends, GAP)

    def templated(chat: list[Message]) -> str:
        try:
            text = tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
        except Exception as error:  # templates are programs, and raise what they like
            raise BeliefBenchError(
                f"the model's chat template refuses a chat of user and assistant ({first_line(error)}); "
                "use another model, or fix its template."
            ) from error
        return str(text)

    return ChatFormat(templated, encode, decode, ends)
