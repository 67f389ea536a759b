"""Models for the tests of language models: a tiny GGUF file, and a LoRA adapter."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from tokenizers import pre_tokenizers


@pytest.fixture
def make_adapter(tmp_path):
    """``make_adapter(model folder) -> adapter folder``."""
    peft = pytest.importorskip("peft")
    import torch
    import transformers

    def make(folder):
        model = transformers.AutoModelForCausalLM.from_pretrained(folder)
        torch.manual_seed(1)
        config = peft.LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
        peft.get_peft_model(model, config).save_pretrained(tmp_path / "adapter")
        return tmp_path / "adapter"

    return make


@pytest.fixture
def write_gguf():
    """``write_gguf(file)`` writes a tiny Llama as the embedded model's file is, some weights in 4 bits, and returns one
    of those, unpacked; ``left_out`` are names of tensors that it lacks.
    """

    def write(file, left_out: tuple[str, ...] = ()) -> np.ndarray:
        rng = np.random.default_rng(0)
        tokens = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "th"]
        writer = gguf.GGUFWriter(file, "llama")
        writer.add_block_count(2)
        writer.add_context_length(256)
        writer.add_embedding_length(32)
        writer.add_feed_forward_length(64)
        writer.add_head_count(4)
        writer.add_head_count_kv(2)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_dimension_count(8)
        writer.add_rope_freq_base(1e4)
        writer.add_vocab_size(len(tokens))
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(tokens)
        writer.add_token_types([3, 3, *[1] * (len(tokens) - 2)])  # two marks, and text
        writer.add_token_merges(["t h"])
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(1)
        writer.add_chat_template(
            "{% for message in messages %}[{{ message.role }}]{{ message.content }}</s>{% endfor %}"
        )
        for name in ("token_embd", "output"):
            writer.add_tensor(f"{name}.weight", rng.normal(0, 0.3, (len(tokens), 32)).astype(np.float32))
        norms = ["output_norm", *(f"blk.{layer}.{part}_norm" for layer in (0, 1) for part in ("attn", "ffn"))]
        for name in norms:
            if name in left_out:
                continue
            writer.add_tensor(f"{name}.weight", rng.normal(1, 0.3, 32).astype(np.float32))
        sizes = {"attn_q": (32, 32), "attn_k": (16, 32), "attn_v": (16, 32), "attn_output": (32, 32)}
        sizes |= {"ffn_gate": (64, 32), "ffn_down": (32, 64), "ffn_up": (64, 32)}
        kind = gguf.GGMLQuantizationType.Q4_1
        for layer in (0, 1):
            for name, size in sizes.items():
                packed = gguf.quants.quantize(rng.normal(0, 0.3, size).astype(np.float32), kind)
                writer.add_tensor(f"blk.{layer}.{name}.weight", packed, raw_dtype=kind)
        for step in (
            writer.write_header_to_file,
            writer.write_kv_data_to_file,
            writer.write_tensors_to_file,
            writer.close,
        ):
            step()
        return gguf.quants.dequantize(packed, kind)

    return write
