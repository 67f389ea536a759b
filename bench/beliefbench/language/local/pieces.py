"""Texts to tokens, piece by piece: what a tokenizer reads between its control tokens is read once, and kept.

The questions of a stage, and the answers of a conversation, share most of their text. A byte-level tokenizer without a
normalizer reads the text between two control tokens by itself, so the tokens of a text are those of its pieces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

PIECES = 4096
"""The number of pieces whose tokens are kept."""
LOCAL_STEPS = ("ByteLevel", "Digits", "Punctuation", "Split")
"""Steps before a tokenizer's merges that depend on nothing but the piece."""

Encode = Callable[[Sequence[str]], list[list[int]]]


def encoder_of(tokenizer: Any) -> Encode:
    """Return the function from texts to their tokens, without special tokens at the ends; by pieces, if the tokenizer
    reads pieces by themselves."""

    def whole(texts: Sequence[str]) -> list[list[int]]:
        return [list(tokens) for tokens in tokenizer(list(texts), add_special_tokens=False).input_ids]

    if not _reads_pieces(tokenizer):
        return whole

    @lru_cache(maxsize=PIECES)
    def of_piece(piece: str) -> tuple[int, ...]:
        return tuple(whole([piece])[0])

    marks = sorted((token.content for token in tokenizer.added_tokens_decoder.values()), key=len, reverse=True)
    between = re.compile(f"({'|'.join(map(re.escape, marks))})")

    def by_pieces(texts: Sequence[str]) -> list[list[int]]:
        return [[token for piece in between.split(text) if piece for token in of_piece(piece)] for text in texts]

    return by_pieces


def _reads_pieces(tokenizer: Any) -> bool:
    """Return True if the text between two control tokens is read without regard to what is around it."""
    backend, added = getattr(tokenizer, "backend_tokenizer", None), tokenizer.added_tokens_decoder.values()
    if backend is None or not added or getattr(tokenizer, "split_special_tokens", False):
        return False
    if any(one.lstrip or one.rstrip or one.single_word or not one.content for one in added):
        return False
    if len({one.normalized for one in added}) > 1:  # then some are found before others
        return False
    told = json.loads(backend.to_str())
    before, model = told["pre_tokenizer"] or {}, told["model"]
    steps = before.get("pretokenizers", [before])
    return bool(
        not any(told[name] for name in ("normalizer", "truncation", "padding"))
        and model.get("type") == "BPE"
        and not model.get("dropout")
        and all(one.get("type") in LOCAL_STEPS and not one.get("add_prefix_space") for one in steps)
    )
