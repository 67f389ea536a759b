"""``teach grpo``: a real GRPO of TRL on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.language.local.checkpoints import locate

pytest.importorskip("trl")
from beliefbench.teaching.grpo import Settings, improve

# The template begins the answer, so that the tiny model's first byte is the option's number.
BEGINS = """{% for message in messages %}[{{ message.role }}]{{ message.content | trim }}
{% endfor %}{% if add_generation_prompt %}[assistant]The best option is Flight {% endif %}"""
TINY = {"steps": 2, "batch": 8, "answers": 4, "answer_tokens": 4, "learning_rate": 1e-3, "rounds": 2}


@pytest.fixture
def base(make_model) -> Path:
    return make_model(template=BEGINS)


def test_it_is_taught_once_and_can_be_run(base, tmp_path, call):
    arguments = ["teach", "grpo", "--base", str(base), "--out", "out", "--domain", "flights-2"]
    arguments += [text for name, value in TINY.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    status, out, err = call(*arguments)
    assert (status, out) == (0, ""), err
    assert "FutureWarning" not in err
    assert "improved: out; next: beliefbench run --domain flights-2 --agent prompted:out,probabilities=none" in err
    record = json.loads((tmp_path / "out" / "teaching.json").read_text())
    assert record["settings"]["algorithm"] == "GRPO"
    assert record["steps"] == 2
    assert len((tmp_path / "out" / "rewards.jsonl").read_text().splitlines()) == 2
    assert not (tmp_path / "out" / "training_args.bin").exists()
    assert not (tmp_path / "out" / "checkpoints").exists()
    weights = (tmp_path / "out" / "model.safetensors").read_bytes()
    _, _, err = call(*arguments)
    assert "was improved already: out;" in err
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == weights
    status, _, err = call(*arguments, "--seed", "1")
    assert (status, "'out' holds another training (settings.seed is 0 there and 1 here)" in err) == (2, True)


def test_the_folder_of_another_kind_of_training_is_refused(base, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "teaching.json").write_text(json.dumps({"data": "x", "settings": {}}))
    with pytest.raises(bb.UsageError, match="holds a model that was taught in another way; name another folder"):
        improve(locate(str(base)), bb.load_domain("flights-2"), tmp_path / "out", Settings(**TINY))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"batch": 6}, "batch = 6; expected a multiple of answers."),
        ({"steps": 0}, "steps = 0; expected 1 to 1,000,000."),
        ({"answers": 1}, "answers = 1; expected 2 to 1,024."),
        ({"learning_rate": 0.0}, "learning_rate = 0.0; expected a number above 0."),
    ],
)
def test_settings_out_of_range_are_refused(setting, said):
    with pytest.raises(bb.UsageError, match=said):
        Settings(**{**TINY, **setting})


def test_a_model_without_a_chat_template_is_refused(make_model, tmp_path):
    with pytest.raises(bb.UsageError, match="has no chat template, which GRPO needs"):
        improve(locate(str(make_model(template=None))), bb.load_domain("flights-2"), tmp_path / "out", Settings(**TINY))


@pytest.mark.reference
def test_the_exact_reward_rises(base, tmp_path, one_thread):
    """A model that names an option in four answers of ten, any of them, learns to name one in each."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    with torch.no_grad():
        # All answers follow one byte, so one direction of the last hidden states stands for "an answer begins here".
        read = model.model(**tokenizer("[assistant]The best option is Flight ", return_tensors="pt"))
        here = read.last_hidden_state[0, -1]
        model.lm_head.weight[tokenizer.convert_tokens_to_ids(["1", "2", "3"])] += 4 * here / here.square().sum()
    model.save_pretrained(base)
    numbers = {"rounds": 1, "steps": 10, "batch": 32, "answers": 16, "answer_tokens": 1, "learning_rate": 1e-2}
    improve(locate(str(base)), bb.load_domain("flights-2"), tmp_path / "out", Settings(**numbers))
    lines = (tmp_path / "out" / "rewards.jsonl").read_text().splitlines()
    rewards = [json.loads(line)["reward"] for line in lines]
    print(rewards)
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + 0.08
