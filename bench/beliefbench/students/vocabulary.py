"""A student's tokenizer: one token for each phrase of a domain's conversations, and bytes for all other text.

A value with its feature ("price: $370") is one token, so an option has as many tokens as features. With one token per
digit it would have four times as many, and training would take four times as long. Separators between phrases (commas,
line ends) are no tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from beliefbench.domain import OPTIONS, Domain
from beliefbench.language.questions import words

ANSWER, END = "<assistant>", "<end>"
TEMPLATE = (
    "{% for message in messages %}{{ message.content }}"
    "{{ '" + ANSWER + "' if message.role == 'user' else '" + END + "' }}{% endfor %}"
)
BETWEEN = r"\A(, |\s+)|\s+\z"


@dataclass(frozen=True)
class Phrase:
    """A phrase: its text, its kind, the option that it names (0, 1 or 2), and its value on the scale of the feature,
    from 0 to 1.
    """

    text: str
    kind: str
    option: int | None = None
    place: float | None = None


@dataclass(frozen=True)
class PhraseVocabulary:
    """All phrases of a domain's conversations, in the order of their tokens.

    >>> import beliefbench as bb
    >>> book = PhraseVocabulary.of(bb.load_domain("flights-2"))
    >>> len(book.phrases), book.phrases[-1].text
    (39, 'price: $1000')
    """

    phrases: tuple[Phrase, ...]

    @classmethod
    def of(cls, domain: Domain) -> PhraseVocabulary:
        """Return the phrases of a domain whose options are described by labels and values of features."""
        item = domain.item
        wrong = [words.feedback(item, option, (option + 1) % OPTIONS) for option in range(OPTIONS)]
        preferred = [words.feedback(item, -1, option) for option in range(OPTIONS)]
        by_option = {
            "option": words.question(item, [""] * OPTIONS).split("\n\n"),
            "answer": [words.answer(item, option) for option in range(OPTIONS)],
            "right": [words.feedback(item, option, option) for option in range(OPTIONS)],
            "wrong": [text.removesuffix(preferred[(at + 1) % OPTIONS]) for at, text in enumerate(wrong)],
            "preferred": preferred,
        }
        phrases = [
            Phrase(words.instructions(item, domain.purpose), "instructions"),
            Phrase(words.opening(item, "").strip(), "question"),
            *(Phrase(text.strip(), kind, at) for kind, texts in by_option.items() for at, text in enumerate(texts)),
            *(
                Phrase(f"{feature.label}: {feature.show(value)}", feature.name, None, value)
                for feature in domain.features
                for value in feature.grid
            ),
        ]
        return cls(tuple(phrases))

    def tokenizer(self) -> Any:
        """Return the tokenizer, with a chat template: a turn of the user's, `ANSWER`, the answer, `END`."""
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        inner = Tokenizer(models.BPE({letter: at for at, letter in enumerate(letters)}, []))
        inner.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(BETWEEN), "removed"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        inner.decoder = decoders.ByteLevel()
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=inner,
            eos_token=END,
            additional_special_tokens=[ANSWER],
            clean_up_tokenization_spaces=False,
        )
        tokenizer.add_tokens([AddedToken(phrase.text, normalized=False) for phrase in self.phrases])
        tokenizer.chat_template = TEMPLATE
        return tokenizer

    def ids(self, tokenizer: Any, kind: str) -> list[int]:
        """Return the tokens of the phrases of a kind, in order."""
        texts = [phrase.text for phrase in self.phrases if phrase.kind == kind]
        return [int(token) for token in tokenizer.convert_tokens_to_ids(texts)]

    def order(self, embedding: torch.Tensor, tokens: Sequence[int], seed: int, size: float = 0.04) -> None:
        """Initialise the embeddings with what phrases have in common: the kind, the option's number, and the position
        of a value on its scale. float[vocabulary, width], changed in place.
        """
        draw = torch.Generator().manual_seed(seed)
        directions: dict[object, torch.Tensor] = {}

        def direction(name: object) -> torch.Tensor:
            if name not in directions:
                directions[name] = size * torch.randn(embedding.shape[1], generator=draw)
            return directions[name]

        with torch.no_grad():
            for token, phrase in zip(tokens, self.phrases, strict=True):
                embedding[token] += direction(phrase.kind)
                if phrase.option is not None:
                    embedding[token] += direction(phrase.option)
                if phrase.place is not None:
                    embedding[token] += 1.7 * (2 * phrase.place - 1) * direction((phrase.kind, "line"))
