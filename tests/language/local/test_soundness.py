"""Models whose files can be loaded, but mean nothing together: each is refused in one sentence, by ``run`` and by
``teach run``."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken

from beliefbench.errors import UsageError
from beliefbench.language.local.checkpoints import locate
from beliefbench.language.local.huggingface import HuggingFaceModel

pytestmark = pytest.mark.usefixtures("one_thread")

ANSWERS = [f"The best option is Flight {number}." for number in (1, 2, 3)]


def change(file, **values):
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def one_weight_is_nan(folder):
    """The embedding of one letter, which the probe of a model does not read."""
    tensors = load_file(folder / "model.safetensors")
    tensors["model.embed_tokens.weight"][5] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def no_vocabulary(folder):
    (folder / "tokenizer.json").unlink()


def no_vocabulary_of_its_class(folder):
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))


def no_tokenizer(folder):
    for file in (*folder.glob("tokenizer*"), *folder.glob("*.jinja")):
        file.unlink()


def no_digits(folder):
    """The three answers have the same tokens."""
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    vocabulary = {f"no {text}" if text.isdigit() else text: at for text, at in model["vocab"].items()}
    change(folder / "tokenizer.json", model=model | {"vocab": vocabulary})


def more_tokens_than_the_model(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([AddedToken("<|end|>", special=True)], special_tokens=True)
    tokenizer.chat_template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}<|end|>{% endfor %}"
    tokenizer.save_pretrained(folder)


def unknown_format(folder):
    change(folder / "config.json", quantization_config={"quant_method": "foo", "bits": 4})


def short_context(folder):
    change(folder / "config.json", max_position_embeddings=64)


LACKS = "the model's tokenizer does not tell '.* 1.' from '.* 2.': its vocabulary lacks them .*; download or copy .*"
BROKEN = {
    one_weight_is_nan: r"weights in '.*' are not finite numbers \(model.embed_tokens.weight\); download or copy .*",
    no_vocabulary: LACKS,
    no_vocabulary_of_its_class: LACKS,
    no_tokenizer: LACKS,
    no_digits: LACKS,
    more_tokens_than_the_model: "the model's tokenizer writes the token 259, and the model has tokens 0 to 257; use .*",
    short_context: "a conversation has .* tokens, and the model takes 64; use fewer rounds, or another model.",
}


@pytest.fixture
def data(tmp_path):
    """Teaching data without a record of how they were made."""
    file = tmp_path / "data.jsonl"
    said = [{"role": "user", "content": "Which? " * 20}, {"role": "assistant", "content": ANSWERS[0]}]
    file.write_text("\n".join([json.dumps({"messages": said})] * 2))
    return file


def teach(call, folder, data, *more):
    return call("teach", "run", "--base", str(folder), "--data", str(data), "--out", "taught", "--validate", "0", *more)


@pytest.mark.parametrize("breaks", [*BROKEN, unknown_format])
def test_files_that_mean_nothing_together_end_a_run(call, make_model, breaks):
    folder = make_model()
    breaks(folder)
    says = (BROKEN | {unknown_format: "the weights in '.*' are stored in the format 'foo', which .*; use a .*"})[breaks]
    given = f"prompted:{folder},dtype=float32"
    status, _, said = call("run", "--domain", "flights-2", "--agent", given, "--users", "1", "--heldout", "1")
    assert status == 1
    assert re.search(rf"error: {says}", " ".join(said.split()))


@pytest.mark.parametrize("breaks", BROKEN)
def test_they_are_not_taught_either(call, make_model, data, breaks):
    folder = make_model()
    breaks(folder)
    status, _, said = teach(call, folder, data)
    assert status == 1
    assert re.search(rf"error: {BROKEN[breaks]}", " ".join(said.split()))


def test_an_encoder_is_not_taught(call, make_model, data):
    folder = make_model()
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.BertConfig(vocab_size=258, initializer_range=0.3, **small)
    transformers.BertLMHeadModel(config).save_pretrained(folder)
    status, _, said = teach(call, folder, data)
    assert (status, "predicts a token from the tokens after it" in said) == (1, True)


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_conversations_above_the_length_of_a_rotary_embedding_are_not_taught(call, make_model, data, kind):
    """The embedding depends on the longest text in memory, and so would what is taught."""
    more = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4} if kind == "longrope" else {}
    rope = {"rope_type": kind, "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 128} | more
    folder = make_model(rope_parameters=rope, max_position_embeddings=512 if kind == "longrope" else 128)
    status, _, said = teach(call, folder, data)
    assert status == 2
    assert re.search(r"has 1\d\d tokens, and above 12\d the rotary embedding of the model depends on what else", said)


def test_malformed_files_are_said_to_be_broken(make_model):
    for key in ("quantization_config", "text_config"):
        folder = make_model(**{key: "gptq"})
        with pytest.raises(UsageError, match=rf"config.json' is broken: {key} has no JSON object; download .*\.$"):
            HuggingFaceModel(locate(str(folder)), "float32")
    folder = make_model()
    shutil.move(folder / "model.safetensors", folder / "model-00001-of-00001.safetensors")
    for told in ([], {"weight": 1}, None):
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": told}))
        with pytest.raises(UsageError, match=r"does not say which file has which weights; download .*\.$"):
            locate(str(folder))


def test_weights_in_a_folder_of_their_own_are_part_of_the_identity(make_model):
    folder = make_model()
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    (folder / "parts").mkdir()
    save_file({}, folder / "other.safetensors")
    found = set()
    for scale in (1.0, 2.0):
        scaled = {name: scale * tensor for name, tensor in tensors.items()}
        save_file(scaled, folder / "parts" / "a.safetensors", metadata={"format": "pt"})
        change_to = {"weight_map": dict.fromkeys(tensors, "parts/a.safetensors")}
        (folder / "model.safetensors.index.json").write_text(json.dumps(change_to))
        found.add(HuggingFaceModel(locate(str(folder)), "float32").identity()["weights"])
    assert len(found) == 2


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_in_another_repository_is_no_part_of_a_model(make_model, file):
    """It may change, and the run would not."""
    folder = make_model()
    change(folder / file, auto_map={"AutoTokenizer": ["owner/name--code.Slow", None]})
    locate(str(folder))
    with pytest.raises(UsageError, match=rf"{file}' names code in another repository .*; copy it into"):
        locate(str(folder), own_code=True)


def test_a_folder_with_an_adapter_in_it_is_not_a_model(make_model, make_adapter):
    folder = make_model()
    adapter = make_adapter(folder)
    shutil.copy(folder / "config.json", adapter)
    for file in adapter.glob("adapter_*"):
        shutil.copy(file, folder)
    for one in (folder, adapter):
        with pytest.raises(UsageError, match=r"has an adapter in it \(adapter_config.json\); name the folder of its"):
            locate(str(one))


def test_an_activated_adapter_is_refused(call, make_model, make_adapter):
    """It begins at certain tokens, and would not be in effect."""
    folder = make_model()
    adapter = make_adapter(folder)
    change(adapter / "adapter_config.json", alora_invocation_tokens=[5, 6])
    given = f"prompted:{folder},adapter={adapter},dtype=float32"
    status, _, said = call("run", "--domain", "flights-2", "--agent", given, "--users", "1", "--heldout", "1")
    assert status == 1
    assert "it is an activated LoRA, which begins at certain tokens; expected LoRA or its like" in said


@pytest.mark.parametrize("kept", ["chat_template.jinja", "tokenizer_config.json"])
def test_an_adapter_that_was_saved_with_another_template_is_refused(call, make_model, make_adapter, kept):
    """As programs save one that they trained on a base model, with a template of their own."""
    folder = make_model()
    adapter = make_adapter(folder)
    given = ("run", "--domain", "flights-2", "--agent", f"prompted:{folder},adapter={adapter},dtype=float32")
    template = (folder / "chat_template.jinja").read_text()
    for own, wanted in ((template + "!", 1), (template, 0)):
        (adapter / kept).write_text(own if kept.endswith("jinja") else json.dumps({"chat_template": own}))
        status, _, said = call(*given, "--users", "1", "--rounds", "1", "--heldout", "1", "--results", own[-1])
        assert status == wanted, said
        assert ("was saved with another chat template than the model's; copy its tokenizer's" in said) == wanted


@pytest.mark.parametrize("path", ["~nobody-of-this-name/model", "a" * 300, "/" + "a/" * 3000])
def test_what_no_file_can_be_called_is_said_at_once(path):
    with pytest.raises(UsageError, match=r"is not a path on this machine \(.*\); name a model folder or a GGUF file.$"):
        locate(path)
