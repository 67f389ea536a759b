"""The files of a model: weights that do not fit, parts that are missing, neighbours, formats, and files replaced."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import beliefbench as bb
from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.language.local.checkpoints import ADAPTER_WEIGHTS, locate
from beliefbench.language.local.huggingface import HuggingFaceModel
from beliefbench.language.questions import words
from beliefbench.language.questions.dialogue import Dialogue

TALK = Dialogue((words.Turn("Hello. ", "one or two?", "two"),), "Right. ", ("three or four?",))
ANSWERS = ["one", "two words", "three"]

pytestmark = pytest.mark.usefixtures("one_thread")


def scores(folder, adapter=None) -> np.ndarray:
    return HuggingFaceModel(locate(str(folder), adapter), "float32").score([TALK], ANSWERS).log_probs


def change(file, edit) -> None:
    """Rewrite a safetensors file: ``edit`` takes and returns its tensors."""
    save_file(edit(load_file(file)), file, metadata={"format": "pt"})


def without(part: str):
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if part not in name}


def renamed(part: str, other: str):
    return lambda tensors: {name.replace(part, other): tensor for name, tensor in tensors.items()}


def cut(part: str):
    return lambda tensors: {name: tensor[:4].clone() if part in name else tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (without("layers.1.mlp.up_proj"), r"1 is missing \(model\.layers\.1\.mlp\.up_proj\.weight\);"),
        (without("lm_head"), r"1 is missing \(lm_head\.weight\);"),
        (
            renamed("layers.1.", "_orig_mod.layers.1."),
            r"12 are missing \(model\.layers\.1\.\S+, \S+, \S+ and 9 more\), 12 are unknown to it \(model\._orig",
        ),
        (renamed("layers.1.", "layers.2."), r"12 are missing .*, 12 are unknown to it \(model\.layers\.2\."),
        (
            lambda tensors: tensors | {"model.layers.2.mlp.up_proj.weight": torch.zeros(64, 32)},
            r"Qwen2ForCausalLM: 1 is unknown to it \(model\.layers\.2\.mlp\.up_proj\.weight\);",
        ),
        (cut("layers.0.mlp.up_proj"), r"1 is of another shape \(model\.layers\.0\.mlp\.up_proj\.weight\);"),
    ],
)
def test_weights_that_do_not_fit_are_named(make_model, edit, says):
    folder = make_model()
    change(folder / "model.safetensors", edit)
    with pytest.raises(BeliefBenchError, match=says) as raised:
        scores(folder)
    assert str(raised.value).startswith(f"the weights in '{folder}' do not fit the model that is described there, a ")
    assert str(raised.value).endswith("; save or download the model again.")


def test_missing_weights_end_a_command(make_model, call):
    """../shared/cases/weights_missing.py"""
    folder = make_model()
    change(folder / "model.safetensors", renamed("layers.1.", "_orig_mod.layers.1."))
    agent = f"prompted:{folder},dtype=float32"
    status, _, said = call("run", "--domain", "flights-2", "--agent", agent, "--users", "1", "--rounds", "1")
    assert status == 1
    assert "12 are missing (model.layers.1.input_layernorm.weight," in said


def test_tied_weights_are_not_missing(make_model):
    folder = make_model(tie_word_embeddings=True)
    change(folder / "model.safetensors", without("lm_head"))
    assert scores(folder).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (without("layers.1.mlp.down_proj.lora_A"), r"1 is missing \(\S+layers\.1\.mlp\.down_proj\.lora_A"),
        (renamed("base_model.model.", ""), r"8 are missing \(\S+, \S+, \S+ and 5 more\), 8 are unknown to the model"),
        (
            lambda tensors: tensors | {"base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight": torch.ones(4)},
            r"1 is unknown to the model \(base_model\.model\.model\.layers\.2\.self_attn\.q_proj\.lora_A",
        ),
        (cut("layers.1.self_attn.q_proj.lora_B"), r"size mismatch for \S+layers\.1\.self_attn\.q_proj\.lora_B"),
    ],
)
def test_weights_of_an_adapter_that_do_not_fit_are_named(make_model, make_adapter, edit, says):
    folder = make_model()
    adapter = make_adapter(folder)
    change(adapter / ADAPTER_WEIGHTS, edit)
    with pytest.raises(BeliefBenchError, match=rf"^adapter '\S+' does not fit the model \(.*{says}"):
        scores(folder, str(adapter))


def test_an_adapter_of_the_prompt_is_refused(make_model, tmp_path):
    """Its prompt would be dropped without a word."""
    peft = pytest.importorskip("peft")
    folder = make_model()
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    peft.get_peft_model(model, config).save_pretrained(tmp_path / "adapter")
    with pytest.raises(BeliefBenchError, match=r"PROMPT_TUNING, which changes the prompt; expected LoRA"):
        scores(folder, str(tmp_path / "adapter"))


def in_parts(folder) -> list[str]:
    """Save a model's weights again in several files."""
    transformers.AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, max_shard_size="30KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    return sorted(file.name for file in folder.glob("model-*.safetensors"))


def test_a_model_in_several_files_needs_all_of_them(make_model):
    folder = make_model()
    whole = scores(folder)
    first, *_, last = in_parts(folder)
    np.testing.assert_array_equal(scores(folder), whole)
    (folder / last).unlink()
    with pytest.raises(UsageError, match=rf"lacks 1 of the \d+ files of weights that \S+ names \({last}\); download"):
        bb.load_agent(f"prompted:{folder}", bb.load_domain("flights-2"))
    (folder / "model.safetensors.index.json").write_text("{")
    with pytest.raises(UsageError, match=r"index\.json' cannot be read \(.*\); download or copy the model again\.$"):
        locate(str(folder))
    (folder / first).write_bytes((folder / first).read_bytes()[:-8])
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(
        BeliefBenchError,
        match=r"^the model in '\S+' cannot be loaded \(.*\); if its files are not .*\.$",
    ):
        scores(folder)


@pytest.mark.parametrize(
    ("there", "says"),
    [
        ([1, 2, 3], "of 3 parts of a model; merge"),
        ([1, 3], r"of 3 parts of a model \(m-00002-of-00003.gguf missing here"),
    ],
)
def test_a_gguf_file_that_is_a_part_is_refused(tmp_path, there, says):
    for number in there:
        (tmp_path / f"m-{number:05d}-of-00003.gguf").write_bytes(b"GGUF")
    with pytest.raises(UsageError, match=says):
        locate(str(tmp_path / "m-00001-of-00003.gguf"))


def test_a_gguf_file_without_some_tensors_is_refused(write_gguf, tmp_path):
    write_gguf(tmp_path / "tiny.gguf", left_out=("blk.1.ffn_norm",))
    with pytest.raises(BeliefBenchError, match=r"tiny\.gguf' do not fit .* 1 is missing \(model\.layers\.1\.post_att"):
        scores(tmp_path / "tiny.gguf")


def test_a_broken_gguf_file_is_one_sentence(write_gguf, tmp_path):
    write_gguf(tmp_path / "tiny.gguf")
    (tmp_path / "tiny.gguf").write_bytes((tmp_path / "tiny.gguf").read_bytes()[:-5000])
    with pytest.raises(BeliefBenchError, match=r"tiny\.gguf' c[^.]*\(.*\)[^.]*\.$"):
        scores(tmp_path / "tiny.gguf")


@pytest.mark.parametrize("beside", ["tokenizer.json", "chat_template.jinja", "generation_config.json", "all"])
def test_what_lies_beside_a_gguf_file_changes_nothing(make_model, write_gguf, tmp_path, beside):
    """../shared/cases/gguf_beside_tokenizer.py: another tokenizer, template or end there is not the model's."""
    write_gguf(tmp_path / "tiny.gguf")
    (tmp_path / "tiny.gguf").rename(tmp_path / "its.gguf")
    one = HuggingFaceModel(locate(str(tmp_path / "its.gguf")), "float32")
    expected, identity = one.score([TALK], ANSWERS).log_probs, one.identity()
    other = make_model("{{ messages[0].content }}")
    (other / "chat_template.jinja").write_text("{{ messages[0].content }}")
    (other / "generation_config.json").write_text(json.dumps({"eos_token_id": 7}))
    for file in other.iterdir():
        if beside in (file.name, "all"):
            shutil.copy(file, tmp_path)
    (tmp_path / "its.gguf").touch()  # a new stamp, so that it is loaded again
    again = HuggingFaceModel(locate(str(tmp_path / "its.gguf")), "float32")
    np.testing.assert_array_equal(again.score([TALK], ANSWERS).log_probs, expected)
    assert again._scorer.speech.ends == {1}
    assert again.identity() == identity


def test_weights_replaced_in_place_are_other_weights(make_model, make_adapter):
    folder = make_model()
    adapter = make_adapter(folder)
    agents = [HuggingFaceModel(locate(str(folder), one), "float32") for one in (None, str(adapter))]
    before = [(agent.identity(), agent.score([TALK], ANSWERS).log_probs) for agent in agents]
    change(folder / "model.safetensors", lambda tensors: {name: 2 * one for name, one in tensors.items()})
    for agent, (identity, found) in zip(agents, before, strict=True):
        assert agent.identity() != identity
        assert np.abs(agent.score([TALK], ANSWERS).log_probs - found).max() > 0.01
    (_, plain), (identity, found) = ((agent.identity(), agent.score([TALK], ANSWERS).log_probs) for agent in agents)
    change(adapter / ADAPTER_WEIGHTS, lambda tensors: {name: 2 * one for name, one in tensors.items()})
    assert agents[1].identity() != identity
    assert np.abs(agents[1].score([TALK], ANSWERS).log_probs - found).max() > 0.01
    np.testing.assert_array_equal(agents[0].score([TALK], ANSWERS).log_probs, plain)


def test_weights_replaced_in_place_are_another_run(make_model, tmp_path):
    folder = make_model()
    ask = {"users": 1, "rounds": 1, "heldout": 4, "results": tmp_path / "results"}
    first = bb.run("flights-2", f"prompted:{folder},dtype=float32", **ask)
    change(folder / "model.safetensors", lambda tensors: {name: 2 * one for name, one in tensors.items()})
    second = bb.run("flights-2", f"prompted:{folder},dtype=float32", **ask)
    assert not second.reused
    assert first.folder != second.folder
    assert not first.rows().equals(second.rows())


def test_weights_replaced_while_a_run_goes_on_end_it(make_model):
    model = HuggingFaceModel(locate(str(make_model())), "float32")
    model.identity()
    change(model.weights.folder / "model.safetensors", lambda tensors: dict(tensors))
    with pytest.raises(BeliefBenchError, match=r"were replaced while it was in use; start the run again\.$"):
        model.score([TALK], ANSWERS)


def test_a_model_whose_reading_is_not_shared_says_so_in_its_row(make_model, tmp_path):
    folder = make_model()
    config = transformers.DiffLlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=0,
        eos_token_id=1,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    ask = {"users": 1, "rounds": 1, "heldout": 4, "results": tmp_path / "results"}
    done = bb.run("flights-2", f"prompted:{folder},dtype=float32", **ask)
    assert done.record.agent.note == "float32, reads the whole text for each answer"


def test_an_encoder_ends_a_command(make_model, call):
    folder = make_model()
    config = transformers.BertConfig(
        vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    agent = f"prompted:{folder},dtype=float32"
    status, _, said = call("run", "--domain", "flights-2", "--agent", agent, "--users", "1", "--rounds", "1")
    assert status == 1
    assert "a BertLMHeadModel, predicts a token from the tokens after it" in said


def test_an_answer_that_passes_the_context_is_one_sentence(make_model):
    model = HuggingFaceModel(locate(str(make_model(max_position_embeddings=100))), "float32")
    with pytest.raises(BeliefBenchError, match=r"has 80 tokens and its answer up to 50, and the model takes 100; use "):
        model.write([TALK], 50)
    assert model.write([TALK], 3).text.shape == (1, 1)
