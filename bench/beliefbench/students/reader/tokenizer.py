"""The tokenizer of students that read any text.

Words and word pieces come from synthetic domains; every integer up to 999 and every clock time is one token, whose
embedding is a function of its value (`number_features`); anything else is read byte by byte. Signs of currency, and the colon or
equals sign between a label and its value, are no tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

ANSWER, END, CHOSEN, PAD = "<assistant>", "<end>", "<chosen>", "<pad>"
SPACE = "▁"
# Fixed parts of the suite's words (beliefbench.language.words), a token each.
PHRASES = (
    "I have specific preferences for what I like and dislike in a",
    "and these preferences remain the same. You need to figure out my preferences and select the best",
    "for me. Use your best judgment if you are unsure. Do not say you need more information.",
    "Help me select the best",
    "is the best option?",
    "The best option is",
    "Your option",
    "is incorrect. I prefer",
    "is correct.",
    "I prefer",
)
# The option that the user says they prefer is repeated before their words, as the question gave it.
RESTATED = (
    "{% if message.role == 'user' and loop.index0 > 1 %}"
    "{% set said = message.content.split('\n\n')[0] %}"
    "{% set name = said.split('I prefer ')[-1].split('Your option ')[-1].split(' is correct')[0].rstrip('.') %}"
    "{% set earlier = messages[loop.index0 - 2].content.split(name ~ ':\n') %}"
    "{% if earlier | length == 2 %}"
    "{% set next = '\n' ~ name[:-1] ~ (name[-1:] | int + 1) ~ ':\n' %}"
    "{{ '" + CHOSEN + "' ~ earlier[1].split(next)[0] ~ '" + END + "' }}"
    "{% endif %}{% endif %}"
)
MESSAGE = "{{ message.content }}{{ '" + ANSWER + "' if message.role == 'user' else '" + END + "' }}"
TEMPLATE = "{% for message in messages %}" + RESTATED + MESSAGE + "{% endfor %}"


def tokenizer_of(texts: Iterable[str], pieces: int) -> Any:
    """Return the tokenizer whose words and word pieces come from some texts."""
    normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(r"[:=]\s+"), " "),
            normalizers.Replace(Regex(r"\n+"), "\n "),
            normalizers.Replace(Regex(r"\p{Sc}"), " "),
            normalizers.Replace(Regex(r"[ (]+"), " "),
        ]
    )
    split = r"▁?\d{1,2}:\d\d(?:▁[AP]M)?|▁?\d{1,3}(?=(?:\d{3})*(?!\d))|▁?\p{L}+|▁?[^\p{L}\d▁]|▁"
    before = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(split=False), pre_tokenizers.Split(Regex(split), "isolated")]
    )
    learning = Tokenizer(models.BPE(unk_token=None, byte_fallback=True))
    learning.normalizer, learning.pre_tokenizer = normalizer, before
    trainer = trainers.BpeTrainer(vocab_size=pieces, special_tokens=[PAD], show_progress=False, limit_alphabet=200)
    learning.train_from_iterator((_without_numbers(text) for text in texts), trainer)
    model = _json_model(learning)
    vocabulary = dict(model["vocab"])
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in model["merges"]]
    for token in (*(f"<0x{byte:02X}>" for byte in range(256)), *number_tokens()):
        vocabulary.setdefault(token, len(vocabulary))
    inner = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, ignore_merges=True))
    inner.normalizer, inner.pre_tokenizer = normalizer, before
    inner.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[ANSWER, CHOSEN],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_tokens([AddedToken(phrase, normalized=False, lstrip=True) for phrase in PHRASES])
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _without_numbers(text: str) -> str:
    return "".join(" " if letter.isdigit() else letter for letter in text)


def _json_model(tokenizer: Tokenizer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    return found


def number_tokens() -> dict[str, tuple[str, float]]:
    """Return the tokens that have a value: the kind of number, and the value (a count, or minutes after midnight).

    >>> found = number_tokens()
    >>> found["▁370"], found["370"], found["05"], found["▁06:30▁PM"], found["▁18:30"]
    (('integer', 370.0), ('integer', 370.0), ('padded', 5.0), ('clock', 1110.0), ('clock', 1110.0))
    """
    found = {f"{space}{value}": ("integer", float(value)) for value in range(1000) for space in (SPACE, "")}
    found |= {f"{value:02d}": ("padded", float(value)) for value in range(10)}
    for minutes in range(24 * 60):
        hour, minute = divmod(minutes, 60)
        half = f"{(hour - 1) % 12 + 1:02d}:{minute:02d}{SPACE}{'AM' if hour < 12 else 'PM'}"
        found |= {f"{SPACE}{one}": ("clock", float(minutes)) for one in (half, f"{hour:02d}:{minute:02d}")}
    return found


def number_features(kind: str, value: float) -> np.ndarray:
    """Return what an embedding is made from, float[features]: smooth functions of the value, so that what is learnt of
    one number holds for those beside it."""
    most = 1440.0 if kind == "clock" else 1000.0
    place, small = value / most, np.log1p(value) / np.log1p(most)
    width = 1 / 16
    bumps = [np.exp(-0.5 * np.square((at - np.linspace(0, 1, 17)) / width)) for at in (place, small)]
    waves = [part(2 * np.pi * value / period) for period in (10, 60, 100) for part in (np.sin, np.cos)]
    counted = np.eye(13)[int(value)] if kind != "clock" and value < 13 else np.zeros(13)
    features = np.concatenate([[1.0, 2 * place - 1, 2 * small - 1], *bumps, waves, counted])
    return np.where(
        abs(features) < 1e-4, 0.0, features
    )  # smaller ones say nothing, and processors are slow at tiny numbers


def embedding_features(tokenizer: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens that have a value, int[numbers], and their features, float[numbers, 2 x features]: one half is
    that of integers, the other that of clock times."""
    ids, rows = [], []
    for token, (kind, value) in number_tokens().items():
        features = number_features(kind, value)
        nothing = np.zeros_like(features)
        ids.append(tokenizer.convert_tokens_to_ids(token))
        rows.append(np.concatenate([nothing, features] if kind == "clock" else [features, nothing]))
    return np.array(ids), np.array(rows, dtype=np.float32)
