"""Scores with a shared prefix equal a plain full forward pass over each whole text, one at a time."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import transformers

import beliefbench as bb
from beliefbench.errors import BeliefBenchError
from beliefbench.language.local.chat_format import ChatFormat
from beliefbench.language.local.full_pass import WholeTextScorer
from beliefbench.language.local.scoring import SharedPrefixScorer
from beliefbench.language.local.shared_attention import can_share_prefix
from beliefbench.language.questions import words
from beliefbench.language.questions.dialogue import Dialogue

TURNS = (
    words.Turn("first? ", "red or blue", "blue."),
    words.Turn("no, red. next? ", "a much longer question than the others", "red."),
)
QUESTIONS = ("red or green", "r", "quite another question: which of these three do you like best of all?")
ANSWERS = ("red.", "reddish", "r", "green, I think")  # of several tokens; one begins another
TALK = Dialogue(TURNS, "and now? ", QUESTIONS)
OTHER = Dialogue((words.Turn("other ", "talk", "yes"),), "what? ", ("a", "some question", "b or c"))

SMALL = {
    "vocab_size": 128,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
}
ARCHITECTURES = {
    "llama": transformers.LlamaConfig(**SMALL),
    "qwen2": transformers.Qwen2Config(**SMALL),
    "qwen3": transformers.Qwen3Config(**SMALL),
    "gpt-neox": transformers.GPTNeoXConfig(**SMALL, max_position_embeddings=512),
    "sliding window": transformers.MistralConfig(**SMALL, sliding_window=40),
    "capped scores, every other layer sliding": transformers.Gemma2Config(**SMALL, sliding_window=40),
    "sinks": transformers.GptOssConfig(**SMALL, sliding_window=40, num_local_experts=2, num_experts_per_tok=1),
}
UNSHARED = {
    "states": transformers.MambaConfig(vocab_size=128, hidden_size=32, num_hidden_layers=2, state_size=4),
    "alibi": transformers.BloomConfig(vocab_size=128, hidden_size=32, n_layer=2, n_head=4),
}


def letters(texts) -> list[list[int]]:
    return [[ord(letter) for letter in text] for text in texts]


def with_system_turn(chat) -> str:
    return "[be kind]" + without_system_turn(chat)


def without_system_turn(chat) -> str:
    marks = {"user": "<{}|", "assistant": "{}>"}
    return "".join(marks[message["role"]].format(message["content"]) for message in chat)


SPEECH = ChatFormat(without_system_turn, letters, lambda tokens: "".join(map(chr, tokens)))


def model_of(config, dtype=torch.float32):
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(deepcopy(config), dtype=dtype).eval()


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny():
    """Makes scorers of one tiny model that have read nothing."""
    return partial(SharedPrefixScorer, model_of(ARCHITECTURES["llama"]))


def naive_log_probs(model, encode, text: str, answer: str) -> float:
    (tokens, start) = encode([text + answer])[0], len(encode([text])[0])
    with torch.inference_mode():
        log_probs = torch.log_softmax(model(torch.tensor([tokens])).logits[0].double(), dim=-1)
    return sum(float(log_probs[at - 1, tokens[at]]) for at in range(start, len(tokens)))


def naive(model, speech: ChatFormat, dialogue: Dialogue, answers=ANSWERS) -> np.ndarray:
    texts = [speech.render(dialogue.messages(question)) for question in dialogue.questions]
    return np.array([[naive_log_probs(model, speech.encode, text, answer) for answer in answers] for text in texts])


def relative(log_probs: np.ndarray) -> np.ndarray:
    """Tokens that all answers share count for no answer: compare differences."""
    return log_probs - log_probs[..., :1]


@pytest.mark.parametrize("speech", [SPEECH, replace(SPEECH, render=with_system_turn)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_equal_a_full_pass(architecture, speech):
    model = model_of(ARCHITECTURES[architecture])
    talks = [Dialogue(TURNS[:seen], "and now? ", QUESTIONS) for seen in (0, 1, 2)]
    expected = [naive(model, speech, talk) for talk in talks]  # before the model's attention is ours
    assert can_share_prefix(model)
    scorer = SharedPrefixScorer(model, speech)
    np.testing.assert_allclose(
        relative(scorer.score(talks, ANSWERS).log_probs), relative(np.array(expected)), atol=1e-4
    )


@pytest.mark.parametrize("architecture", UNSHARED)
def test_models_that_cannot_share_a_prefix_score_as_a_full_pass_does(architecture):
    model = model_of(UNSHARED[architecture])
    assert not can_share_prefix(model)
    scores = WholeTextScorer(model, SPEECH).score([TALK, OTHER], ANSWERS).log_probs
    expected = np.array([naive(model, SPEECH, talk) for talk in (TALK, OTHER)])
    np.testing.assert_allclose(relative(scores), relative(expected), atol=1e-4)


def test_single_answer_token_and_single_question(tiny):
    talk = Dialogue((), "? ", ("x",))
    scores = tiny(SPEECH).score([talk], ["a", "b", "c"]).log_probs
    np.testing.assert_allclose(scores[0], naive(tiny(SPEECH).model, SPEECH, talk, ["a", "b", "c"]), atol=1e-4)


def test_tokens_are_those_read_for_the_question_alone(tiny):
    (tokens,) = tiny(SPEECH).score([TALK], ["yes", "no"]).tokens
    # "r" ends its row soonest: of what all share it reads the last token again, and answers "ye", "n" but their ends.
    assert tokens[1] - tokens[0] == len(QUESTIONS[1]) - len(QUESTIONS[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_users_bits_depend_on_nobody_else(dtype):
    model = model_of(ARCHITECTURES["llama"], dtype)
    alone = SharedPrefixScorer(model, SPEECH)
    together = SharedPrefixScorer(model, SPEECH).score([OTHER, TALK], ANSWERS).log_probs
    np.testing.assert_array_equal(together[1], alone.score([TALK], ANSWERS).log_probs[0])
    np.testing.assert_array_equal(together[0], alone.score([OTHER], ANSWERS).log_probs[0])


def test_going_on_gives_the_same_bits_as_starting_again(tiny):
    gone_on = tiny(SPEECH)
    for seen in (0, 1):
        gone_on.score([Dialogue(TURNS[:seen], TURNS[seen].opening, QUESTIONS), OTHER], ANSWERS)
    continued = gone_on.score([TALK], ANSWERS).log_probs
    np.testing.assert_array_equal(continued, tiny(SPEECH).score([TALK], ANSWERS).log_probs)


def test_what_is_kept_stays_within_its_budget_and_changes_no_bits(tiny):
    a_talk = tiny(SPEECH)
    a_talk.score([TALK], ANSWERS)
    small = tiny(SPEECH)
    small.kept.budget = a_talk.kept.nbytes
    expected = [tiny(SPEECH).score([talk], ANSWERS).log_probs[0] for talk in (TALK, OTHER)]
    for _ in range(2):
        np.testing.assert_array_equal(small.score([TALK, OTHER], ANSWERS).log_probs, expected)
        assert 0 < small.kept.nbytes <= small.kept.budget
    small.kept.budget = 0
    np.testing.assert_array_equal(small.score([OTHER, TALK], ANSWERS).log_probs, expected[::-1])
    assert small.kept.nbytes == 0


def test_a_conversation_that_is_kept_is_read_once(tiny):
    scorer, read = tiny(SPEECH), []
    handle = scorer.model.register_forward_pre_hook(
        lambda model, given, named: read.append(named["input_ids"].numel()), with_kwargs=True
    )
    scorer.score([TALK, OTHER], ANSWERS)
    first = sum(read)
    scorer.score([TALK, OTHER], ANSWERS)
    handle.remove()
    stems = [SPEECH.render(talk.messages("")).removesuffix("|") for talk in (TALK, OTHER)]
    assert 2 * first - sum(read) == sum(map(len, stems))


def test_rows_are_split_to_fit_memory(tiny):
    whole = tiny(SPEECH).score([TALK], ANSWERS).log_probs
    np.testing.assert_allclose(tiny(SPEECH, budget=1).score([TALK], ANSWERS).log_probs, whole, atol=1e-5)


def test_fewer_rows_are_read_where_memory_runs_out(tiny, monkeypatch):
    scorer, tried = tiny(SPEECH), []
    enough, whole = type(scorer)._score_rows, tiny(SPEECH).score([TALK], ANSWERS).log_probs

    def scarce(self, branches, prefix):
        tried.append(len(branches))
        if len(branches) > 1:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes.")
        return enough(self, branches, prefix)

    monkeypatch.setattr(SharedPrefixScorer, "_score_rows", scarce)
    np.testing.assert_allclose(scorer.score([TALK], ANSWERS).log_probs, whole, atol=1e-5)
    assert tried == [3, 1, 1, 1]


def test_too_little_memory_for_one_row_is_one_sentence(tiny, monkeypatch):
    def none(self, branches, prefix):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(SharedPrefixScorer, "_score_rows", none)
    with pytest.raises(BeliefBenchError, match=r"^there is not enough memory for one question at a time; [^.]*\.$"):
        tiny(SPEECH).score([TALK], ANSWERS)


def test_other_errors_are_not_taken_for_too_little_memory(tiny, monkeypatch):
    def broken(self, branches, prefix):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(SharedPrefixScorer, "_score_rows", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        tiny(SPEECH).score([TALK], ANSWERS)


def test_too_long_a_conversation_is_one_sentence():
    model = model_of(transformers.LlamaConfig(**SMALL, max_position_embeddings=120))
    for scorer in (SharedPrefixScorer(model, SPEECH), WholeTextScorer(model, SPEECH)):
        scorer.score([Dialogue((), "now? ", ("red",))], ANSWERS)
        for ask in (lambda: scorer.score([TALK], ANSWERS), lambda: scorer.write([TALK], 2)):  # noqa: B023
            with pytest.raises(BeliefBenchError, match=r"a conversation has \d+ tokens.*, and the model takes 120"):
                ask()


def test_tokens_that_depend_on_what_follows_are_scored_right(tiny):
    """A tokenizer that joins letters across the end of a stem: the stem is then not a prefix of the text's tokens."""

    def joining(texts) -> list[list[int]]:
        return letters(text.replace("? r", "\x01").replace("or", "\x02") for text in texts)

    scorer = tiny(replace(SPEECH, encode=joining))
    np.testing.assert_allclose(
        relative(scorer.score([TALK], ANSWERS).log_probs[0]),
        relative(naive(scorer.model, scorer.speech, TALK)),
        atol=1e-4,
    )


def naive_reply(model, speech: ChatFormat, text: str, longest: int) -> list[int]:
    tokens = speech.encode([text])[0]
    for _ in range(longest):
        with torch.inference_mode():
            tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
        if tokens[-1] in speech.ends:
            break
    return tokens[len(speech.encode([text])[0]) :]


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *UNSHARED])
def test_replies_are_the_likeliest_tokens(architecture):
    config = {**ARCHITECTURES, **UNSHARED}[architecture]
    model = model_of(config)
    texts = [SPEECH.render(TALK.messages(question)) for question in QUESTIONS]
    free = [naive_reply(model, SPEECH, text, 6) for text in texts]
    speech = replace(SPEECH, ends=frozenset({free[0][3]}))  # the first reply, at least, ends early
    expected = [naive_reply(model, speech, text, 6) for text in texts]
    scorer = (SharedPrefixScorer if can_share_prefix(model) else WholeTextScorer)(model, speech)
    replies = scorer.write([TALK, TALK], 6)
    for text, tokens in zip(replies.text, replies.tokens, strict=True):
        assert text.tolist() == [speech.reply(written) for written in expected]
        assert all(count > len(written) for count, written in zip(tokens, expected, strict=True))


@pytest.mark.reference
def test_the_embedded_model_scores_as_a_full_pass_does(flights):
    agent = bb.load_agent("prompted:smollm2,dtype=float32", flights)
    scorer = agent.model.model._scorer
    rng = np.random.default_rng(0)
    sets = rng.integers(0, 3, (3, 3, 4)) / 2
    item, texts = "Flight", [words.question("Flight", [flights.describe(option) for option in one]) for one in sets]
    turn = words.Turn(words.opening(item, words.instructions(item, "for my trips")), texts[0], words.answer(item, 1))
    talk = Dialogue((turn,), words.opening(item, words.feedback(item, 1, 2)), tuple(texts[1:]))
    answers = [words.answer(item, option) for option in range(3)]
    scores = scorer.score([talk], answers).log_probs[0]
    np.testing.assert_allclose(
        _normalised(scores), _normalised(naive(scorer.model, scorer.speech, talk, answers)), atol=1e-3
    )
    (replies,) = scorer.write([talk], 8).text
    text = scorer.speech.render(talk.messages(texts[1]))
    assert replies[0] == scorer.speech.reply(naive_reply(scorer.model, scorer.speech, text, 8))


def _normalised(log_probs: np.ndarray) -> np.ndarray:
    weights = np.exp(log_probs - log_probs.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
