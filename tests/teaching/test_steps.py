"""A step of training: the same whatever is in memory at once, on templates that write earlier turns anew too."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import TrainerCallback, TrainingArguments

from beliefbench.language.local.chat_format import ChatFormat, chat_format_of
from beliefbench.teaching.preferences import pairs, preference_trainer
from beliefbench.teaching.reading import Conversation, TaughtTurn
from beliefbench.teaching.targets import tokenize_conversation
from beliefbench.teaching.trainer import Rows, TargetTrainer, collate, cross_entropy

pytestmark = pytest.mark.usefixtures("one_thread")

ANSWERS = tuple(f"The best option is Flight {number}." for number in (1, 2, 3))
SAID = (
    {"role": "user", "content": "Which?"},
    {"role": "assistant", "content": ANSWERS[1]},
    {"role": "user", "content": "No. Which?"},
    {"role": "assistant", "content": ANSWERS[0]},
)
LONGER = ({"role": "user", "content": "Which? " * 9}, SAID[1])
HARD = [
    Conversation(SAID, (TaughtTurn(1, ANSWERS[1:2], (1.0,)), TaughtTurn(3, ANSWERS[2:], (1.0,)))),
    *(
        Conversation(talk, (TaughtTurn(1, (one,), (1.0,)),))
        for talk, one in ((SAID[:2], ANSWERS[0]), (LONGER, ANSWERS[1]))
    ),
]
SOFT = [
    Conversation(talk.messages, (*talk.taught[:-1], TaughtTurn(talk.taught[-1].at, ANSWERS, (0.5, 0.3, 0.2))))
    for talk in HARD
]
QWEN3 = """{% for m in messages %}{{ '[' + m.role + ']' }}
{%- if m.role == 'assistant' and loop.last %}{{ '<think></think>' }}{% endif %}
{{- m.content + eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant]<think></think>{% endif %}"""
"""As that of Qwen3: an empty thought before the last answer alone."""
BATCH = 4
LETTERS = ChatFormat(
    lambda chat: "".join(f"[{one['role']}]{one['content']}~" for one in chat) + "[assistant]",
    lambda texts: [[ord(letter) for letter in text] for text in texts],
    lambda tokens: "".join(map(chr, tokens)),
    ends=frozenset([ord("~")]),
    endings=lambda chat, answer: ("~",),
)
"""A token for each letter."""


class Gradients(TrainerCallback):
    """Keeps the gradient and the loss of each step."""

    def __init__(self) -> None:
        self.gradients, self.losses = [], []

    def on_pre_optimizer_step(self, args, state, control, model=None, **more):
        self.gradients.append(np.concatenate([one.grad.flatten().numpy().copy() for one in model.parameters()]))

    def on_log(self, args, state, control, logs=None, **more):
        if "loss" in logs:
            self.losses.append(logs["loss"])


def steps_of(folder, out, at_once: int, make_trainer) -> Gradients:
    """Train for an epoch in steps of four, without a change of the weights."""
    arguments = {
        "output_dir": str(out),
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": BATCH // at_once,
        "learning_rate": 0.0,
        "max_grad_norm": 0.0,
        "num_train_epochs": 1,
        "logging_steps": 1,
        "use_cpu": True,
        "bf16": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model, watch = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), Gradients()
    make_trainer(model, tokenizer, chat_format_of(tokenizer, frozenset([1])), arguments, [watch]).train()
    return watch


def target_trainer(model, tokenizer, speech, arguments, callbacks):
    lines = [line for talk in (*SOFT, *HARD) for line in tokenize_conversation(talk, speech)][:7]
    arguments = TrainingArguments(**arguments, remove_unused_columns=False, label_names=[])
    return TargetTrainer(
        model=model, args=arguments, train_dataset=Rows(lines), data_collator=collate, callbacks=callbacks
    )


def dpo_trainer(model, tokenizer, speech, arguments, callbacks):
    found = [pair.tokens(speech) for pair in pairs(HARD)][:7]
    return preference_trainer(model, tokenizer, found, arguments, callbacks=callbacks)


@pytest.mark.parametrize("make_trainer", [target_trainer, pytest.param(dpo_trainer, marks=pytest.mark.reference)])
def test_a_step_is_the_same_however_many_conversations_are_in_memory(make_model, tmp_path, make_trainer):
    """Conversations of different lengths; the last step of the epoch has fewer of them than the first."""
    folder = make_model(QWEN3)
    steps = {at_once: steps_of(folder, tmp_path / "out", at_once, make_trainer) for at_once in (1, 2, 4)}
    assert len(steps[1].gradients) > 1
    for other in (steps[2], steps[4]):
        np.testing.assert_allclose(other.losses, steps[1].losses, atol=1e-5)
        np.testing.assert_allclose(other.gradients, steps[1].gradients, atol=1e-5)
    assert max(map(np.max, steps[1].gradients)) > 0.01


@pytest.mark.reference
@pytest.mark.parametrize("more", [["--validate", "1"], ["--validate", "0", "--dpo"]])
def test_a_template_that_writes_earlier_turns_anew_is_taught(call, make_model, make_data, tmp_path, more):
    base, out = make_model(QWEN3), tmp_path / "out"
    data = make_data("bayesian", whole=True)
    command = ["--base", str(base), "--data", str(data), "--out", str(out), "--batch", "4", "--at-once", "2"]
    status, _, said = call("teach", "run", *command, "--learning-rate", "0.01", *more)
    assert status == 0, said
    assert json.loads((out / "teaching.json").read_text())["steps"] == (4 * 2 * 2 * (2 if "--dpo" in more else 1)) // 4
    assert (out / "chat_template.jinja").read_text() == QWEN3


def test_a_model_that_computes_all_logits_is_taught_the_targets():
    """TrOCR's decoder does not take a request for the logits of some places."""
    lines = [line for one in SOFT for line in tokenize_conversation(one, LETTERS)]
    torch.manual_seed(0)
    sizes = {"d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 64, "init_std": 0.3}
    model = transformers.TrOCRForCausalLM(transformers.TrOCRConfig(vocab_size=128, **sizes)).eval()
    with torch.inference_mode():
        loss, _ = cross_entropy(model, collate(lines))
        expected = []
        for line in lines:
            log_probs = torch.log_softmax(model(input_ids=torch.tensor([line.tokens])).logits[0].float(), dim=-1)
            expected += [
                -sum(prob * log_probs[one.at - 1, token] for token, prob in zip(one.tokens, one.probs, strict=True))
                for one in line.targets
            ]
    assert loss == pytest.approx(float(torch.stack(expected).mean()), abs=1e-5)


def test_nothing_is_taught_between_an_answer_and_its_end():
    """With a stop and a line end as one token, and a tokenizer that sets a space before each text."""
    known = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz123?.:", "\n", ".\n"]
    inner = Tokenizer(models.Unigram([("<unk>", -20.0), ("▁", -3.0), *((one, -3.0) for one in known)], unk_id=0))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    inner.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content + '\n' }}{% endfor %}assistant:"
    speech = chat_format_of(tokenizer, frozenset())
    (line,) = tokenize_conversation(Conversation(SAID[:2], (TaughtTurn(1, ANSWERS[1:2], (1.0,)),)), speech)
    words = tokenizer.convert_ids_to_tokens(list(line.tokens))
    assert "".join(words).replace("▁", " ").startswith(f" user: Which?\nassistant: {ANSWERS[1]}\n")
