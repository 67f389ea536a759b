"""Quantised weights: what the row says of them, which library they need, and that they are read."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import beliefbench as bb
from beliefbench.errors import BeliefBenchError
from beliefbench.language.local.checkpoints import locate
from beliefbench.language.local.huggingface import HuggingFaceModel
from beliefbench.language.local.quantisation import stored_format
from beliefbench.language.questions import words
from beliefbench.language.questions.dialogue import Dialogue

TALK = Dialogue((words.Turn("Hello. ", "one or two?", "two"),), "Right. ", ("three or four?",))
ANSWERS = ["one", "two words", "three"]

pytestmark = pytest.mark.usefixtures("one_thread")


FORMATS = [
    ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "4-bit bitsandbytes", "bitsandbytes"),
    ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "4-bit GPTQ", "optimum gptqmodel"),
    ({"quant_method": "awq", "bits": 4}, "4-bit AWQ", "gptqmodel"),
    (
        {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8}}}},
        "8-bit compressed-tensors",
        "compressed_tensors",
    ),
    ({"quant_method": "hqq", "quant_config": {}}, "HQQ", "hqq"),
]


@pytest.mark.parametrize(("told", "shown", "library"), FORMATS)
def test_the_library_of_a_quantised_checkpoint_is_named(make_model, monkeypatch, told, shown, library):
    quantisation = "beliefbench.language.local.quantisation"
    monkeypatch.setattr(f"{quantisation}.find_spec", lambda name: None if name in library else name)
    folder = make_model(quantization_config=told)
    assert stored_format(locate(str(folder))) == shown
    with pytest.raises(
        BeliefBenchError, match=rf"^the weights in '\S+' are {shown}, and the .*: pip install {library}$"
    ):
        HuggingFaceModel(locate(str(folder)), "float32")


def test_the_format_of_a_gguf_file_is_in_its_row(write_gguf, tmp_path):
    write_gguf(tmp_path / "tiny.gguf")
    assert stored_format(locate(str(tmp_path / "tiny.gguf"))) == "4-bit Q4_1"
    agent = bb.load_agent(f"prompted:{tmp_path / 'tiny.gguf'},dtype=float32", bb.load_domain("flights-2"))
    assert agent.note == "4-bit Q4_1, float32"


def in_fp8(tensors: dict, block: int = 16) -> dict:
    """Return weights as FP8 checkpoints store them: 8-bit floats, and a scale for each block."""
    stored = {}
    for name, tensor in tensors.items():
        if not name.endswith("proj.weight"):
            stored[name] = tensor
            continue
        rows, columns = tensor.shape
        blocks = tensor.view(rows // block, block, columns // block, block)
        scale = blocks.abs().amax(dim=(1, 3)) / torch.finfo(torch.float8_e4m3fn).max
        stored[name] = (blocks / scale[:, None, :, None]).view(rows, columns).to(torch.float8_e4m3fn)
        stored[f"{name}_scale_inv"] = scale
    return stored


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU, transformers computes in FP8 and unpacks nothing")
def test_an_fp8_checkpoint_is_unpacked_and_says_so_in_its_row(make_model):
    folder = make_model()
    dense = load_file(folder / "model.safetensors")
    exact = HuggingFaceModel(locate(str(folder)), "float32").score([TALK], ANSWERS).log_probs
    save_file(in_fp8(dense), folder / "model.safetensors", metadata={"format": "pt"})
    told = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [16, 16]}
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": told}))
    model = HuggingFaceModel(locate(str(folder)), "float32")
    assert model.note == "FP8, float32"
    for name, weight in model._scorer.model.state_dict().items():
        torch.testing.assert_close(weight, dense[name], rtol=2**-4, atol=1e-3)
    np.testing.assert_allclose(model.score([TALK], ANSWERS).log_probs, exact, atol=0.2)


def test_weights_of_bitsandbytes_are_read(make_model):
    pytest.importorskip("bitsandbytes")
    folder = make_model()
    told = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32)
    packed = transformers.AutoModelForCausalLM.from_pretrained(folder, quantization_config=told, dtype=torch.float32)
    packed.save_pretrained(folder)
    model = HuggingFaceModel(locate(str(folder)), "float32")
    assert model.score([TALK], ANSWERS).log_probs.shape == (1, 1, 3)
    assert model.note == "4-bit bitsandbytes, float32"
