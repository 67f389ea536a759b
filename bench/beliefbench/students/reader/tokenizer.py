"""A reader's tokenizer, which reads any text.

Words and word pieces come from synthetic domains. Each integer up to 1999 and each clock time is one token, whose
embedding is a function of its value (`number_features`). All other text is read byte by byte. Currency signs are no
tokens, and neither is the colon or equals sign between a label and its value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from beliefbench.language.local.chat_template import REWRITES
from beliefbench.students.reader.tables import ANSWER, END, PAD, table_tokens

SPACE = "▁"
MAX_INTEGER, MINUTES_A_DAY = 1999, 24 * 60
MAX_GROUP = 999
"""The largest group of digits in other numbers, which are split into groups of three digits from the end."""
MAX_COUNT = 12
"""The integers up to this one have a feature each."""
PHRASE = "The best option is"
"""The words of `beliefbench.language.questions.words.answer` before the option's name."""

NORMALIZER = normalizers.Sequence(
    [
        normalizers.Replace(Regex(r"[:=]\s+"), " "),
        normalizers.Replace(Regex(r"\n+"), "\n "),
        normalizers.Replace(Regex(r"\p{Sc}"), " "),
        normalizers.Replace(Regex(r"[ (]+"), " "),
    ]
)
# A clock time; 1000 to 1999; three digits of a number, counted from its end; letters; any other character.
SPLIT = r"▁?\d{1,2}:\d\d(?:▁[AP]M)?|▁1\d{3}(?!\d)|▁?\d{1,3}(?=(?:\d{3})*(?!\d))|▁?\p{L}+|▁?[^\p{L}\d▁]|▁"
PRE_TOKENIZER = pre_tokenizers.Sequence(
    [pre_tokenizers.Metaspace(split=False), pre_tokenizers.Split(Regex(SPLIT), "isolated")]
)


def tokenizer_of(texts: Iterable[str], pieces: int) -> Any:
    """Return the tokenizer, with at most ``pieces`` words and word pieces, learnt from texts by byte-pair encoding.

    >>> tokenizer = tokenizer_of(["weight: 5 kg", "weight: 12 kg"], 300)
    >>> tokenizer.convert_ids_to_tokens(tokenizer("weight: $371").input_ids)
    ['▁weight', '▁371']
    """
    vocabulary, merges = _learnt(texts, pieces)
    for token in (*(f"<0x{byte:02X}>" for byte in range(256)), *number_tokens()):
        vocabulary.setdefault(token, len(vocabulary))
    inner = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, ignore_merges=True))
    inner.normalizer, inner.pre_tokenizer = NORMALIZER, PRE_TOKENIZER
    inner.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[ANSWER, *table_tokens()],
        clean_up_tokenization_spaces=False,
        **{REWRITES: True},
    )
    tokenizer.add_tokens([AddedToken(PHRASE, normalized=False)])
    tokenizer.chat_template = Path(__file__).with_name("chat_template.jinja").read_text(encoding="utf-8")
    return tokenizer


def _learnt(texts: Iterable[str], pieces: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the vocabulary and the merges of texts; digits are left out, because numbers have their own tokens."""
    learner = Tokenizer(models.BPE(unk_token=None, byte_fallback=True))
    learner.normalizer, learner.pre_tokenizer = NORMALIZER, PRE_TOKENIZER
    trainer = trainers.BpeTrainer(vocab_size=pieces, special_tokens=[PAD], show_progress=False, limit_alphabet=200)
    without_digits = ("".join(" " if letter.isdigit() else letter for letter in text) for text in texts)
    learner.train_from_iterator(without_digits, trainer)
    model = json.loads(learner.to_str())["model"]  # the library gives merges in no other way
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def number_tokens() -> dict[str, tuple[str, float]]:
    """Return the tokens of numbers, each with its kind and its value: the integer, or minutes after midnight.

    >>> found = number_tokens()
    >>> found["▁370"], found["370"], found["05"], found["▁06:30▁PM"], found["▁18:30"]
    (('integer', 370.0), ('integer', 370.0), ('padded', 5.0), ('clock', 1110.0), ('clock', 1110.0))
    """
    found = {f"{SPACE}{value}": ("integer", float(value)) for value in range(MAX_INTEGER + 1)}
    found |= {f"{value}": ("integer", float(value)) for value in range(MAX_GROUP + 1)}
    found |= {f"{value:02d}": ("padded", float(value)) for value in range(10)}
    for minutes in range(MINUTES_A_DAY):
        hour, minute = divmod(minutes, 60)
        twelve_hours = f"{(hour - 1) % 12 + 1:02d}:{minute:02d}{SPACE}{'AM' if hour < 12 else 'PM'}"
        texts = (twelve_hours, f"{hour:02d}:{minute:02d}")
        found |= {f"{SPACE}{text}": ("clock", float(minutes)) for text in texts}
    return found


def number_features(kind: str, value: float) -> np.ndarray:
    """Return the features of a number, float64[features], from which its embedding is made.

    Most are smooth functions of the value, so that what is learnt of one number holds for its neighbours. The others
    are the last digits, as waves, and one feature for each integer up to `MAX_COUNT`.

    >>> close, far = (number_features("integer", value) for value in (505.0, 900.0))
    >>> float(np.linalg.norm(number_features("integer", 500.0) - close)) < float(np.linalg.norm(close - far))
    True
    """
    largest = float(MINUTES_A_DAY if kind == "clock" else MAX_INTEGER + 1)
    place, log_place = value / largest, np.log1p(value) / np.log1p(largest)
    bumps = [np.exp(-0.5 * np.square((at - np.linspace(0, 1, 17)) * 16)) for at in (place, log_place)]
    waves = [wave(2 * np.pi * value / period) for period in (10, 60, 100) for wave in (np.sin, np.cos)]
    count = np.zeros(MAX_COUNT + 1)
    if kind != "clock" and value <= MAX_COUNT:
        count[int(value)] = 1
    features = np.concatenate([[1.0, 2 * place - 1, 2 * log_place - 1], *bumps, waves, count])
    # Processors are slow at the tiny numbers far from a bump.
    return np.where(abs(features) < 1e-4, 0.0, features)


def embedding_features(tokenizer: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens of numbers, int[numbers], and their features, float32[numbers, 2 x features].

    One half of the features is for integers and is 0 for clock times; the other half is for clock times.
    """
    ids, rows = [], []
    for token, (kind, value) in number_tokens().items():
        features = number_features(kind, value)
        zeros = np.zeros_like(features)
        ids.append(tokenizer.convert_tokens_to_ids(token))
        rows.append(np.concatenate([zeros, features] if kind == "clock" else [features, zeros]))
    return np.array(ids), np.array(rows, dtype=np.float32)
