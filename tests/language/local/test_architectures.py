"""Any architecture is scored as plain passes over each whole text score it, one text at a time, or is refused.

The models are tiny and random. Their weights are spread widely (0.3), so that a wrong reading moves the scores.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import beliefbench as bb
from beliefbench.errors import BeliefBenchError
from beliefbench.language.local import huggingface
from beliefbench.language.local.architectures import LimitedScorer, scorer_of
from beliefbench.language.local.chat_format import ChatFormat
from beliefbench.language.local.full_pass import WholeTextScorer
from beliefbench.language.local.scoring import Scores, SharedPrefixScorer
from beliefbench.language.questions import words
from beliefbench.language.questions.dialogue import Dialogue

TURNS = (
    words.Turn("which? ", "red or blue, asked for the first time", "blue."),
    words.Turn("no, red. next? ", "a much longer question than the others", "red."),
    words.Turn("yes. next? ", "green or blue, asked for the third time", "green."),
)
QUESTIONS = ("red or green", "r, or quite another question: which do you like best?")
ANSWERS = ("red.", "reddish", "r", "green, I think")  # of several tokens; one begins another
TALKS = [Dialogue(TURNS[:seen], "and now? ", QUESTIONS) for seen in (0, 1, 3)]

SIZES = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "initializer_range": 0.3,
}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}
ENDS = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
SMALL: dict[str, Any] = {**SIZES, **HEADS, **ENDS}
LATENT = {**SMALL, "num_key_value_heads": 4, "kv_lora_rank": 16, "q_lora_rank": 16, "qk_nope_head_dim": 8}
LATENT |= {"qk_rope_head_dim": 4}
EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
}
ROUTED = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "v_head_dim": 8}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "factor": 8.0,
    "original_max_position_embeddings": 150,
    "short_factor": [1.0] * 4,
    "long_factor": [8.0, 6.0, 4.0, 2.0],
}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}

SHARED: dict[str, Any] = {
    "Llama": transformers.LlamaConfig(**SMALL),
    "Llama, YaRN": transformers.LlamaConfig(
        **SMALL,
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": 1e4,
            "factor": 4.0,
            "original_max_position_embeddings": 100,
        },
    ),
    "Mistral, window": transformers.MistralConfig(**SMALL, sliding_window=40),
    "Qwen2": transformers.Qwen2Config(**SMALL),
    "Qwen2, windows": transformers.Qwen2Config(
        **SMALL, use_sliding_window=True, sliding_window=40, max_window_layers=1
    ),
    "Qwen3": transformers.Qwen3Config(**SMALL, head_dim=8),
    "Qwen3-MoE": transformers.Qwen3MoeConfig(**SMALL, head_dim=8, **EXPERTS),
    "Qwen2-MoE": transformers.Qwen2MoeConfig(**SMALL, **EXPERTS),
    "Gemma 2": transformers.Gemma2Config(**SMALL, head_dim=8, sliding_window=40),
    "Gemma 3": transformers.Gemma3TextConfig(
        **SMALL, head_dim=8, sliding_window=40, layer_types=["sliding_attention", "full_attention"]
    ),
    "GPT-NeoX": transformers.GPTNeoXConfig(**SMALL),
    "gpt-oss": transformers.GptOssConfig(
        **SMALL, head_dim=8, sliding_window=40, num_local_experts=4, num_experts_per_tok=2
    ),
}
LIMITED: dict[str, Any] = {
    "Phi-3, longrope": transformers.Phi3Config(
        **SMALL, max_position_embeddings=1024, original_max_position_embeddings=150, rope_parameters=LONGROPE
    ),
    "Llama, dynamic NTK": transformers.LlamaConfig(**SMALL, max_position_embeddings=150, rope_parameters=DYNAMIC),
    "Qwen2-MoE, windows": transformers.Qwen2MoeConfig(
        **SMALL, **EXPERTS, use_sliding_window=True, sliding_window=100, max_window_layers=1
    ),
    "Phi-MoE, window": transformers.PhimoeConfig(
        **SMALL, sliding_window=100, num_local_experts=4, router_jitter_noise=0.0
    ),
}
PLAIN: dict[str, Any] = {
    "Mamba": transformers.MambaConfig(
        vocab_size=128, hidden_size=32, num_hidden_layers=2, state_size=4, initializer_range=0.3, **ENDS
    ),
    "LFM2": transformers.Lfm2Config(**SMALL, layer_types=["conv", "full_attention"]),
    "Qwen3-Next": transformers.Qwen3NextConfig(
        **SMALL,
        **EXPERTS,
        head_dim=8,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        layer_types=["linear_attention", "full_attention"],
    ),
    "DeepSeek-V2": transformers.DeepseekV2Config(**LATENT, **ROUTED, n_shared_experts=1),
    "DeepSeek-V3": transformers.DeepseekV3Config(**LATENT, **ROUTED, n_group=1, topk_group=1, first_k_dense_replace=1),
    "GLM-4-MoE-Lite": transformers.Glm4MoeLiteConfig(**LATENT, **ROUTED),
    "MiniCPM3": transformers.MiniCPM3Config(**LATENT, dim_model_base=32),
    "DiffLlama": transformers.DiffLlamaConfig(**SMALL),
    "Doge": transformers.DogeConfig(**SMALL, keep_window_size=40),
    "JetMoE": transformers.JetMoeConfig(
        **SIZES, **ENDS, num_key_value_heads=2, kv_channels=8, num_local_experts=4, num_experts_per_tok=2
    ),
    "HRM-Text": transformers.HrmTextConfig(**SMALL, head_dim=8, H_cycles=1, L_cycles=2),
    "BLOOM": transformers.BloomConfig(
        vocab_size=128, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3, **ENDS
    ),
}
ALL = {**SHARED, **LIMITED, **PLAIN}


def letters(texts) -> list[list[int]]:
    return [[ord(letter) for letter in text] for text in texts]


def render(chat) -> str:
    marks = {"user": "<{}|", "assistant": "{}>"}
    return "".join(marks[message["role"]].format(message["content"]) for message in chat)


SPEECH = ChatFormat(render, letters, lambda tokens: "".join(map(chr, tokens)))

pytestmark = pytest.mark.usefixtures("one_thread")


def model_of(config, dtype=torch.float32):
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(deepcopy(config), dtype=dtype).eval()


def plain_logits(model, tokens: list[int]) -> torch.Tensor:
    """One pass of a model that has read nothing else: a dynamic rotary embedding remembers longer texts."""
    with torch.inference_mode():
        return deepcopy(model)(torch.tensor([tokens])).logits[0].double()


def plain_scores(model, dialogue: Dialogue, speech: ChatFormat = SPEECH, answers=ANSWERS) -> np.ndarray:
    scores = np.empty((len(dialogue.questions), len(answers)))
    for row, question in enumerate(dialogue.questions):
        text = speech.render(dialogue.messages(question))
        begins = len(speech.encode([text])[0])
        for column, answer in enumerate(answers):
            (tokens,) = speech.encode([text + answer])
            log_probs = torch.log_softmax(plain_logits(model, tokens), dim=-1)
            scores[row, column] = sum(float(log_probs[at - 1, tokens[at]]) for at in range(begins, len(tokens)))
    return scores


def relative(log_probs: np.ndarray) -> np.ndarray:
    """Tokens that all answers share count for no answer: compare differences."""
    return log_probs - log_probs[..., :1]


@pytest.mark.parametrize("family", ALL)
def test_scores_and_replies_equal_plain_passes(family):
    """Before and after rounds, and in any order: what was read before changes nothing."""
    model = model_of(ALL[family])
    expected = np.array([plain_scores(model, talk) for talk in TALKS])
    text = render(TALKS[-1].messages(QUESTIONS[0]))
    tokens = letters([text])[0]
    for _ in range(3):
        tokens.append(int(plain_logits(model, tokens)[-1].argmax()))
    assert np.abs(relative(expected)).max() > 0.5  # a wrong reading would show

    scorer = scorer_of(model, SPEECH)
    kind = SharedPrefixScorer if family in SHARED else LimitedScorer if family in LIMITED else WholeTextScorer
    assert type(scorer) is kind
    assert bool(scorer.note) == (kind is WholeTextScorer)
    for _ in range(2):
        scores = scorer.score(TALKS, ANSWERS).log_probs
        np.testing.assert_allclose(relative(scores), relative(expected), atol=1e-3)
        written = scorer.write([Dialogue(TURNS, "and now? ", QUESTIONS[:1])], 3).text[0, 0]
        assert written == SPEECH.reply(tokens[len(text) :])


@pytest.mark.parametrize("family", ["Bert", "Roberta", "Electra"])
def test_encoders_are_refused(family):
    config = getattr(transformers, f"{family}Config")(
        **{**SIZES, "num_attention_heads": 4}, max_position_embeddings=300
    )
    with pytest.raises(
        BeliefBenchError, match=r"predicts a token from the tokens after it, as an encoder does[^.]*\.$"
    ):
        scorer_of(model_of(config), SPEECH)


@pytest.mark.parametrize("family", ["Mistral, window", "DiffLlama", "JetMoE", "Phi-MoE, window"])
def test_the_probe_tells_a_wrong_reading_from_rounding(family):
    """In bfloat16 the scores are rounded, and the same way of reading is found."""
    rounded, exact = (
        type(scorer_of(model_of(ALL[family], dtype), SPEECH)) for dtype in (torch.bfloat16, torch.float32)
    )
    assert rounded is exact


class OneByOne:
    """A plain pass for each answer, of a model that has read nothing else."""

    note = ""

    def __init__(self, model, speech, budget=None) -> None:
        self.model, self.speech = model, speech

    def score(self, dialogues, answers) -> Scores:
        scores = np.array([plain_scores(self.model, talk, self.speech, answers) for talk in dialogues])
        return Scores(scores, np.zeros(scores.shape[:2], dtype=np.int64))


WITHIN_A_RUN: dict[str, Any] = {  # conversations of 400 to 900 tokens
    "longrope": transformers.Phi3Config(
        **{**SMALL, "vocab_size": 300},
        max_position_embeddings=4096,
        original_max_position_embeddings=600,
        rope_parameters=LONGROPE | {"original_max_position_embeddings": 600},
    ),
    "dynamic NTK": transformers.LlamaConfig(
        **{**SMALL, "vocab_size": 300}, max_position_embeddings=600, rope_parameters=DYNAMIC
    ),
    "window in the mask only": transformers.Qwen2MoeConfig(
        **{**SMALL, "vocab_size": 300}, **EXPERTS, use_sliding_window=True, sliding_window=600, max_window_layers=1
    ),
}


@pytest.mark.parametrize("family", WITHIN_A_RUN)
def test_a_run_that_grows_past_a_length_is_read_plainly_from_there(make_model, tmp_path, monkeypatch, family):
    """../shared/cases/rope_switches_with_length.py"""
    folder = make_model()
    model_of(WITHIN_A_RUN[family]).save_pretrained(folder)
    found = {}
    for way in ("as it is", "one by one"):
        ask = {"users": 1, "rounds": 1, "heldout": 2, "results": tmp_path / way}
        run = bb.run("flights-2", f"prompted:{folder},dtype=float32", **ask)
        found[way] = run.rows().to_pandas()[["prob_0", "prob_1", "prob_2"]].to_numpy()
        monkeypatch.setattr("beliefbench.language.local.loading.scorer_of", OneByOne)
        huggingface._loaded.cache_clear()
    np.testing.assert_allclose(found["as it is"], found["one by one"], atol=1e-3)
    assert np.abs(np.diff(found["as it is"], axis=0)).max() > 0.05
