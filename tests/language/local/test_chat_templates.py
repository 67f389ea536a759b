"""Chat templates: answers are scored, written and taught in the text that a template writes for the conversation.

The reference in these tests is `apply_chat_template` on the finished conversation, read by a plain pass.
"""

from __future__ import annotations

import re
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers.utils import chat_template_utils

from beliefbench.language.local.chat_format import chat_format_of
from beliefbench.language.local.scoring import SharedPrefixScorer
from beliefbench.language.questions import words
from beliefbench.language.questions.dialogue import Dialogue
from beliefbench.language.questions.words import Turn
from beliefbench.teaching.preferences import Preference
from beliefbench.teaching.reading import Conversation, TaughtTurn
from beliefbench.teaching.targets import tokenize_conversation

pytestmark = pytest.mark.usefixtures("one_thread")

FOLDER = Path(find_spec("trl").submodule_search_locations[0]) / "chat_templates" if find_spec("trl") else Path()
TEMPLATES = sorted(file.stem for file in FOLDER.glob("*.jinja") if not file.stem.endswith("_training"))
MARKS = re.compile(r"<[|\uff5c][^<>|\uff5c]{1,30}[|\uff5c]>|<[|/]?[a-z_]{2,20}\|?>|\[/?INST\]|\[gMASK\]")
ANSWERS = [words.answer("Flight", option) for option in range(3)]
TURNS = (
    Turn("Help me.\n\nWhich flight?\n\n", "Flight 1:\n$5\nFlight 2:\n$7\nFlight 3:\n$2", ANSWERS[1]),
    Turn("No. I prefer Flight 1.\n\nWhich flight?\n\n", "Flight 1:\n$1\nFlight 2:\n$3\nFlight 3:\n$4", ANSWERS[2]),
)
NEXT = "Right.\n\nWhich flight?\n\n"
QUESTIONS = ("Flight 1:\n$8\nFlight 2:\n$9\nFlight 3:\n$6", "Flight 1:\n$9\nFlight 2:\n$1\nFlight 3:\n$10")
VOCABULARY = 320
UNTHINKING = {"deepseek_r1_distill", "deepseekv3", "gptoss", "muse_glimmer"}
"""Templates that open a thought, or leave a channel or recipient open, in the prompt, but not in a finished turn."""
SWITCHED = {"glm4moe", "qwen3", "qwen3_5_think", "qwen3_6", "qwen3_8"}
DATED = {"gptoss", "llama3_2", "muse_glimmer"}


def tokenizer_of(template: str, marks=None):
    """A byte-level tokenizer whose special tokens are those of the template; the end of text is none of them."""
    marks = sorted(set(MARKS.findall(template)) if marks is None else marks)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({one: at for at, one in enumerate(["<bos>", "<eos>", *letters])}, []))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<bos>", eos_token="<eos>")
    tokenizer.add_tokens([AddedToken(mark, special="think" not in mark, normalized=False) for mark in marks])
    tokenizer.chat_template = template
    assert len(tokenizer) <= VOCABULARY
    return tokenizer


def config(**more):
    """A tiny model whose answers differ much: after a wrong prompt they are far from the right ones."""
    return transformers.Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
        **more,
    )


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(config()).eval()


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(config()).eval()


class NewYear(datetime):
    """The date of every run, as the documentation says."""

    @classmethod
    def now(cls):
        return cls(2026, 1, 1)


@pytest.fixture
def new_year(monkeypatch):
    monkeypatch.setattr(chat_template_utils, "datetime", NewYear)


def finished(tokenizer, chat, answer: str) -> str:
    """Return the finished conversation as the template writes it: from strings, or from parts if it loses strings."""
    said = [*chat, {"role": "assistant", "content": answer}]
    for parts in (False, True):
        given = [one | {"content": [{"type": "text", "text": one["content"]}]} for one in said] if parts else said
        try:
            text = tokenizer.apply_chat_template(given, tokenize=False, enable_thinking=False)
        except Exception:
            continue
        if all(one["content"] in text for one in said):
            return text
    raise AssertionError("the template writes the conversation in neither way")


def spans(tokenizer, text: str, answer: str) -> tuple[list[int], int, int]:
    """Return a text's tokens, and where the tokens of the answer start and stop."""
    read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    first, stop = text.rindex(answer), text.rindex(answer) + len(answer)
    own = [at for at, (begin, end) in enumerate(read["offset_mapping"]) if end > first and begin < stop]
    return read["input_ids"], own[0], own[-1] + 1


def reference(model, tokenizer, chat) -> np.ndarray:
    """Return the probabilities of the answers, by one plain pass each."""
    scores = []
    for answer in ANSWERS:
        tokens, start, stop = spans(tokenizer, finished(tokenizer, chat, answer), answer)
        with torch.inference_mode():
            log_probs = torch.log_softmax(model(torch.tensor([tokens[:stop]])).logits[0].double(), dim=-1)
        scores.append(sum(float(log_probs[at - 1, tokens[at]]) for at in range(start, stop)))
    return shares(np.array(scores))


def shares(log_probs: np.ndarray) -> np.ndarray:
    weights = np.exp(log_probs - log_probs.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def read(name: str) -> str:
    return (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")


def test_all_templates_of_trl_are_here():
    assert len(TEMPLATES) >= 41


@pytest.mark.parametrize("name", TEMPLATES)
def test_scores_equal_a_plain_pass_over_the_finished_conversation(name, model, plain, new_year):
    tokenizer = tokenizer_of(read(name))
    speech = chat_format_of(tokenizer, frozenset({1}))
    scorer = SharedPrefixScorer(model, speech)
    for seen in range(3):
        talk = Dialogue(TURNS[:seen], NEXT, QUESTIONS)
        expected = [reference(plain, tokenizer, talk.messages(question)) for question in QUESTIONS]
        np.testing.assert_allclose(shares(scorer.score([talk], ANSWERS).log_probs[0]), expected, atol=1e-3)
    assert ("without a thought" in speech.note) == (name in UNTHINKING)
    assert ("thinking off" in speech.note) == (name in SWITCHED or name.startswith("nemotron"))
    assert ("dated 2026-01-01" in speech.note) == (name in DATED)


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_is_taught_is_what_is_asked_and_what_ends_a_written_answer(name, new_year):
    tokenizer = tokenizer_of(read(name))
    speech = chat_format_of(tokenizer, frozenset({1}))
    chat = Dialogue(TURNS, NEXT, QUESTIONS).messages(QUESTIONS[0])
    asked = speech.encode([speech.render(chat) + ANSWERS[0]])[0]
    tokens, start, stop = spans(tokenizer, finished(tokenizer, chat, ANSWERS[0]), ANSWERS[0])
    assert asked == tokens[:stop]
    taught = TaughtTurn(5, tuple(ANSWERS), (0.2, 0.3, 0.5))
    said = Conversation((*chat, {"role": "assistant", "content": ANSWERS[0]}), (taught,))
    (line,) = tokenize_conversation(said, speech)
    assert list(line.tokens[:stop]) == asked
    assert [target.at for target in line.targets] == list(range(start, len(line.tokens)))
    end = list(line.tokens[stop:])
    assert end
    assert speech.is_over(list(line.tokens[start:]))
    assert not speech.is_over(list(line.tokens[start:-1]))
    assert end == tokens[stop : stop + len(end)] or not tokens[stop:]  # GLM ends a turn where the next one begins
    assert speech.reply(list(line.tokens[start:])) == ANSWERS[0]
    pair = Preference(tuple(chat), ANSWERS[0], ANSWERS[2]).tokens(speech)
    assert pair["prompt_ids"] + pair["chosen_ids"] == list(line.tokens)
    assert pair["rejected_ids"] == speech.encode([ANSWERS[2]])[0][start - stop :] + end
