"""Direct preference optimisation of a tiny model: the loss it begins with, what it learns, and what is refused."""

import math

import numpy as np
import pytest
import torch
import transformers

import beliefbench as bb
from beliefbench.language.local.chat_format import chat_format_of
from beliefbench.language.local.checkpoints import locate
from beliefbench.teaching.interactions import TeachingTask
from beliefbench.teaching.preferences import pairs
from beliefbench.teaching.reading import conversations
from beliefbench.teaching.records import write_records
from beliefbench.teaching.training import Settings, teach

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def data(tmp_path):
    file = tmp_path / "data.jsonl"
    write_records(TeachingTask(bb.load_domain("flights-2"), users=4, interactions=1, rounds=2), file)
    return file


def margins(folder, found):
    """How much likelier the teacher's answer is than the other one, in nats, worked out without TRL."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    log_probs = []
    for pair in found:
        for answer in (pair.chosen, pair.rejected):
            prompt = tokenizer.apply_chat_template(pair.chat, tokenize=False, add_generation_prompt=True)
            start = len(tokenizer(prompt, add_special_tokens=False).input_ids)
            said = [*pair.chat, {"role": "assistant", "content": answer}]
            text = tokenizer.apply_chat_template(said, tokenize=False)
            ids = torch.tensor([tokenizer(text, add_special_tokens=False).input_ids])
            with torch.no_grad():
                each = torch.log_softmax(model(ids).logits[0, :-1], dim=-1).gather(1, ids[0, 1:, None])
            log_probs.append(float(each[start - 1 :].sum()))
    return np.subtract(*np.array(log_probs).reshape(-1, 2).T)


@pytest.mark.slow
def test_the_teachers_answers_are_preferred(make_model, data, tmp_path):
    base, losses = make_model(), []
    found = list(pairs(conversations(data)))
    assert len(found) == 4 * 2 * 2
    watch = lambda progress: losses.append(progress.loss) if progress.loss is not None else None  # noqa: E731
    settings = Settings(learning_rate=3e-3, batch=4, epochs=2, at_once=4, dpo=True)
    teach(locate(str(base)), data, tmp_path / "taught", settings, on_progress=watch)
    assert len(losses) == 2 * len(found) // 4
    # As likely as the reference finds them: -ln sigmoid(0) is what each pair costs (Rafailov et al., equation 7).
    assert losses[0] == pytest.approx(math.log(2), abs=1e-3)
    assert margins(tmp_path / "taught", found).mean() > margins(base, found).mean() + 0.1


def test_a_training_that_is_stopped_before_its_first_step_continues(make_model, data, tmp_path, monkeypatch):
    """TRL works out the reference for all data as a trainer is made."""
    base, settings = locate(str(make_model())), Settings(batch=4, at_once=4, dpo=True)
    with monkeypatch.context() as patch:
        patch.setattr("trl.DPOTrainer._precompute_ref_logps", interrupt)
        with pytest.raises(KeyboardInterrupt):
            teach(base, data, tmp_path / "taught", settings)
    assert teach(base, data, tmp_path / "taught", settings)


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_a_distribution_is_no_preference(call, make_model, tmp_path):
    data = tmp_path / "data.jsonl"
    write_records(TeachingTask(bb.load_domain("flights-2"), "posterior", users=1, interactions=1, rounds=2), data)
    arguments = ["--base", str(make_model()), "--data", str(data), "--out", "out", "--validate", "0", "--dpo"]
    status, _, said = call("teach", "run", *arguments)
    assert (status, said.count("\n")) == (2, 1), said
    assert "--teacher bayesian or oracle" in said


def test_both_answers_follow_the_prompt_that_is_asked_and_end(make_model, data):
    """Of a base model, which has no chat template."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(make_model(None))
    speech = chat_format_of(tokenizer, frozenset({1}))
    pair = next(pairs(conversations(data)))
    found = pair.tokens(speech)
    for kind, answer in (("chosen_ids", pair.chosen), ("rejected_ids", pair.rejected)):
        text = f"<s>{pair.chat[0]['content']}\n\n{answer}\n\n"
        assert found["prompt_ids"] + found[kind] == tokenizer(text, add_special_tokens=False).input_ids
