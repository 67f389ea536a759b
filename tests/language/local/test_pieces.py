"""Texts read piece by piece: the tokens are those of the whole text; a tokenizer that looks further reads wholes."""

from __future__ import annotations

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from beliefbench.language.local import pieces
from beliefbench.language.local.pieces import encoder_of

TEXTS = ["<s>user\n  12 of 345 <e>\n<s> the   end <e>", "<s>the end<s><e> \n\n x", "no mark", "", "<s>"]


def tokenizer_of(normalizer=None, **mark):
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    backend.train_from_iterator(["the end of the user of the end"] * 9, trainer)
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.add_special_tokens([AddedToken(one, normalized=False, **mark) for one in ("<s>", "<e>")])
    return PreTrainedTokenizerFast(tokenizer_object=backend)


@pytest.mark.parametrize(
    ("tokenizer", "by_pieces"),
    [
        (tokenizer_of(), True),
        (tokenizer_of(normalizers.Strip()), False),
        (tokenizer_of(lstrip=True), False),
        (tokenizer_of(rstrip=True), False),
    ],
)
def test_the_tokens_of_a_text_are_those_of_the_whole_text(tokenizer, by_pieces):
    encode = encoder_of(tokenizer)
    whole = tokenizer(TEXTS, add_special_tokens=False).input_ids
    assert encode(TEXTS) == whole
    assert encode(TEXTS[:2]) == whole[:2]
    assert pieces._reads_pieces(tokenizer) is by_pieces
