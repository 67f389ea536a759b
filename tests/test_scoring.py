"""Scores with a shared prefix equal a plain full forward pass over each whole text, one at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import bench
from bench.language import scoring, words
from bench.language.scoring import SharedPrefixScorer

TURNS = [
    words.Turn("first? ", "red or blue", "blue."),
    words.Turn("no, red. next? ", "a much longer question than the others", "red."),
]
QUESTIONS = ["red or green", "r", "quite another question: which of these three do you like best of all?"]
ANSWERS = ["red.", "reddish", "r", "green, I think"]  # of several tokens; one begins another


def naive_log_probs(model, encode, text: str, answer: str) -> float:
    tokens, start = encode(text + answer), len(encode(text))
    with torch.inference_mode():
        log_probs = torch.log_softmax(model(torch.tensor([tokens])).logits[0].double(), dim=-1)
    return sum(float(log_probs[at - 1, tokens[at]]) for at in range(start, len(tokens)))


@pytest.fixture(scope="module")
def tiny() -> SharedPrefixScorer:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
    )
    config._attn_implementation = "sdpa"
    model = LlamaForCausalLM(config).eval()

    def render(turns, opening, question) -> str:
        said = "".join(f"<{turn.opening}{turn.question}|{turn.answer}>" for turn in turns)
        return f"{said}<{opening}{question}|"

    return SharedPrefixScorer(model, lambda text: [ord(letter) for letter in text], render)


def fresh(scorer: SharedPrefixScorer) -> SharedPrefixScorer:
    return SharedPrefixScorer(scorer.model, scorer.encode, scorer.render)


@pytest.mark.parametrize("seen", [0, 1, 2])
def test_scores_equal_a_full_pass(tiny, seen):
    scores = fresh(tiny).score(TURNS[:seen], "and now? ", QUESTIONS, ANSWERS)
    for question, row in zip(QUESTIONS, scores.log_probs, strict=True):
        text = tiny.render(TURNS[:seen], "and now? ", question)
        expected = [naive_log_probs(tiny.model, tiny.encode, text, answer) for answer in ANSWERS]
        # Tokens that all answers to all questions share count for no answer: compare differences.
        np.testing.assert_allclose(row - row[0], np.array(expected) - expected[0], atol=1e-4)


def test_single_answer_token_and_single_question(tiny):
    scores = fresh(tiny).score([], "? ", ["x"], ["a", "b", "c"])
    text = tiny.render([], "? ", "x")
    expected = [naive_log_probs(tiny.model, tiny.encode, text, answer) for answer in "abc"]
    np.testing.assert_allclose(scores.log_probs[0], expected, atol=1e-4)


def test_going_on_gives_the_same_bits_as_starting_again(tiny):
    gone_on = fresh(tiny)
    for seen in (0, 1):
        gone_on.score(TURNS[:seen], TURNS[seen].opening, QUESTIONS, ANSWERS)
    continued = gone_on.score(TURNS, "and now? ", QUESTIONS, ANSWERS).log_probs
    np.testing.assert_array_equal(continued, fresh(tiny).score(TURNS, "and now? ", QUESTIONS, ANSWERS).log_probs)


def test_another_conversation_in_between_changes_nothing(tiny):
    scorer = fresh(tiny)
    before = scorer.score(TURNS, "and now? ", QUESTIONS, ANSWERS).log_probs
    scorer.score([words.Turn("other ", "talk", "yes")], "what? ", QUESTIONS, ANSWERS)
    np.testing.assert_array_equal(scorer.score(TURNS, "and now? ", QUESTIONS, ANSWERS).log_probs, before)


def test_rows_are_split_to_fit_memory(tiny, monkeypatch):
    whole = fresh(tiny).score(TURNS, "and now? ", QUESTIONS, ANSWERS).log_probs
    monkeypatch.setattr(scoring, "ROWS_BYTES", 1)
    np.testing.assert_allclose(fresh(tiny).score(TURNS, "and now? ", QUESTIONS, ANSWERS).log_probs, whole, atol=1e-5)


def test_tokens_that_depend_on_what_follows_are_scored_right(tiny):
    """A tokenizer that joins letters across the end of a stem: the stem is then not a prefix of the text's tokens."""

    def joining(text: str) -> list[int]:
        return [ord(letter) for letter in text.replace("? r", "\x01").replace("or", "\x02")]

    scorer = SharedPrefixScorer(tiny.model, joining, tiny.render)
    scores = scorer.score(TURNS, "and now? ", QUESTIONS, ANSWERS)
    for question, row in zip(QUESTIONS, scores.log_probs, strict=True):
        text = tiny.render(TURNS, "and now? ", question)
        expected = [naive_log_probs(tiny.model, joining, text, answer) for answer in ANSWERS]
        np.testing.assert_allclose(row - row[0], np.array(expected) - expected[0], atol=1e-4)


@pytest.mark.slow
def test_the_embedded_model_scores_as_a_full_pass_does(flights):
    agent = bench.load_agent("prompted:smollm2,dtype=float32", flights)
    scorer = agent.model._scorer
    rng = np.random.default_rng(0)
    sets = rng.integers(0, 3, (4, 3, 4)) / 2
    item, texts = "Flight", [words.question("Flight", [flights.describe(option) for option in one]) for one in sets]
    turns = [words.Turn(words.opening(item, words.instructions(item, "for my trips")), texts[0], words.answer(item, 1))]
    opening = words.opening(item, words.feedback(item, 1, 2))
    answers = [words.answer(item, option) for option in range(3)]
    scores = scorer.score(turns, opening, texts[1:], answers).log_probs
    for text, row in zip(texts[1:], scores, strict=True):
        whole = scorer.render(turns, opening, text)
        expected = np.array([naive_log_probs(scorer.model, scorer.encode, whole, answer) for answer in answers])
        np.testing.assert_allclose(_normalised(row), _normalised(expected), atol=1e-3)


def _normalised(log_probs: np.ndarray) -> np.ndarray:
    weights = np.exp(log_probs - log_probs.max())
    return weights / weights.sum()
