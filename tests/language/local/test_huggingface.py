"""Models in folders: chat templates and none, adapters, code that is not run, and what is said of what is wrong."""

from __future__ import annotations

import json
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
import torch
import transformers

from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.language.local.checkpoints import ADAPTER_CONFIG, ADAPTER_WEIGHTS, locate
from beliefbench.language.local.huggingface import HuggingFaceModel
from beliefbench.language.local.loading import gguf_parsed_once
from beliefbench.language.questions import words
from beliefbench.language.questions.dialogue import Dialogue

TALK = Dialogue((words.Turn("Hello. ", "one or two?", "two"),), "Right. ", ("three or four?", "five?"))
CHAT = TALK.messages("five?")
ANSWERS = ["one", "two words", "three"]


pytestmark = pytest.mark.usefixtures("one_thread")


def naive(model, tokenizer, text: str) -> np.ndarray:
    """Return the log-probabilities of the answers, by one plain pass each."""
    scores = []
    for answer in ANSWERS:
        start = len(tokenizer(text, add_special_tokens=False).input_ids)
        tokens = tokenizer(text + answer, add_special_tokens=False).input_ids
        with torch.inference_mode():
            log_probs = torch.log_softmax(model(torch.tensor([tokens])).logits[0].double(), dim=-1)
        scores.append(sum(float(log_probs[at - 1, tokens[at]]) for at in range(start, len(tokens))))
    return np.array(scores)


def loaded(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), tokenizer


def test_a_chat_template_is_used_as_it_is(make_model):
    folder = make_model()
    model = HuggingFaceModel(locate(str(folder)), "float32")
    text = "<s>[user]Hello. one or two?</s>[assistant]two</s>[user]Right. five?</s>[assistant]"
    assert model._scorer.speech.render(CHAT) == text
    scores = model.score([TALK], ANSWERS).log_probs[0, 1]
    np.testing.assert_allclose(scores, naive(*loaded(folder), text), atol=1e-3)


def test_a_base_model_reads_plain_text(make_model):
    folder = make_model(template=None)
    model = HuggingFaceModel(locate(str(folder)), "float32")
    text = "<s>Hello. one or two?\n\ntwo\n\nRight. five?\n\n"
    assert model._scorer.speech.render(CHAT) == text
    scores = model.score([TALK], ANSWERS).log_probs[0, 1]
    np.testing.assert_allclose(scores, naive(*loaded(folder), text), atol=1e-3)


def test_a_base_models_reply_ends_at_a_blank_line(make_model):
    speech = HuggingFaceModel(locate(str(make_model(template=None))), "float32")._scorer.speech
    (written,) = speech.encode(["\n\nFlight 2.\n\nAnd "])
    assert speech.is_over(written)
    assert not speech.is_over(written[:11])
    assert speech.reply(written) == "Flight 2."


def test_replies_are_those_of_generate(make_model):
    folder = make_model()
    model = HuggingFaceModel(locate(str(folder)), "float32")
    plain, tokenizer = loaded(folder)
    replies = model.write([TALK], 7).text[0]
    for question, reply in zip(TALK.questions, replies, strict=True):
        given = tokenizer(model._scorer.speech.render(TALK.messages(question)), add_special_tokens=False).input_ids
        found = plain.generate(torch.tensor([given]), max_new_tokens=7, do_sample=False, pad_token_id=1)
        assert reply == tokenizer.decode(found[0, len(given) :], skip_special_tokens=True).strip()


def test_a_template_that_refuses_is_one_sentence(make_model):
    model = HuggingFaceModel(locate(str(make_model("{{ raise_exception('only poems') }}"))), "float32")
    with pytest.raises(BeliefBenchError, match=r"^the model's chat template refuses .* \(only poems\); [^.]*\.$"):
        model.score([TALK], ANSWERS)


def test_an_adapter_is_scored_as_peft_does_and_is_part_of_the_identity(make_model, make_adapter):
    folder = make_model()
    adapter = make_adapter(folder)
    model, plain = (HuggingFaceModel(locate(str(folder), one), "float32") for one in (str(adapter), None))
    from peft import PeftModel

    base, tokenizer = loaded(folder)
    text = model._scorer.speech.render(CHAT)
    scores = model.score([TALK], ANSWERS).log_probs[0, 1]
    np.testing.assert_allclose(scores, naive(PeftModel.from_pretrained(base, adapter), tokenizer, text), atol=1e-3)
    assert abs(scores - plain.score([TALK], ANSWERS).log_probs[0, 1]).max() > 0.01
    assert model.identity() != plain.identity()
    assert {adapter / ADAPTER_CONFIG, adapter / ADAPTER_WEIGHTS} <= set(locate(str(folder), str(adapter)).files())


@pytest.mark.parametrize(("name", "says"), [("nowhere", "there is no adapter folder"), ("model", "is not an adapter")])
def test_what_is_no_adapter_is_said_at_once(make_model, tmp_path, name, says):
    with pytest.raises(UsageError, match=says):
        locate(str(make_model()), str(tmp_path / name))


def test_an_adapter_of_another_model_is_one_sentence(make_model, make_adapter):
    folder = make_model()
    adapter = make_adapter(folder)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"target_modules": ["no_such_layer"]}))
    with pytest.raises(BeliefBenchError, match=r"^adapter '.*' does not fit the model \(.*\); [^.]*\.$"):
        HuggingFaceModel(locate(str(folder), str(adapter)), "float32").score([TALK], ANSWERS)


OWN_CODE = """
from transformers import Qwen2Config, Qwen2ForCausalLM

class OwnConfig(Qwen2Config):
    model_type = "own"

class OwnForCausalLM(Qwen2ForCausalLM):
    config_class = OwnConfig
"""


def test_a_models_own_code_is_run_only_where_that_is_asked_for(make_model, monkeypatch, tmp_path):
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    code = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
    folder = make_model(auto_map=code, model_type="own")
    (folder / "own.py").write_text(OWN_CODE)
    with pytest.raises(BeliefBenchError, match="add trust_remote_code=yes if you trust it"):
        HuggingFaceModel(locate(str(folder)), "float32").score([TALK], ANSWERS)
    trusted = locate(str(folder), own_code=True)
    assert folder / "own.py" in trusted.files()
    assert HuggingFaceModel(trusted, "float32").score([TALK], ANSWERS).log_probs.shape == (1, 2, 3)


def test_a_gguf_file_is_a_model_as_any_other(write_gguf, tmp_path):
    """Its tokenizer, chat template and end stand in it, and its weights are unpacked."""
    up = write_gguf(tmp_path / "tiny.gguf")
    scorer = HuggingFaceModel(locate(str(tmp_path / "tiny.gguf")), "float32")._scorer
    weights = scorer.model.state_dict()
    np.testing.assert_array_equal(weights["model.layers.1.mlp.up_proj.weight"].numpy(), up)
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    text = scorer.speech.render(CHAT)
    # Its template has no prompt of its own: an answer follows where a finished turn has it.
    assert text == "[user]Hello. one or two?</s>[assistant]two</s>[user]Right. five?</s>[assistant]"
    assert len(scorer.speech.encode(["the</s>"])[0]) == 3
    assert scorer.speech.ends == {1}

    def encoded(text, add_special_tokens):
        return SimpleNamespace(input_ids=scorer.speech.encode([text])[0])

    expected = naive(scorer.model, encoded, text)
    np.testing.assert_allclose(scorer.score([TALK], ANSWERS).log_probs[0, 1], expected, atol=1e-3)


def test_a_gguf_file_is_parsed_once_while_a_model_is_loaded(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "tiny.gguf", "llama")
    writer.add_name("tiny")
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.close):
        write()
    reader = gguf.GGUFReader
    with gguf_parsed_once():
        assert gguf.GGUFReader(tmp_path / "tiny.gguf") is gguf.GGUFReader(tmp_path / "tiny.gguf")
    assert gguf.GGUFReader is reader
