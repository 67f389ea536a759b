"""Teaching a tiny model: its targets by hand, the loss worked out anew, second runs, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

import beliefbench as bb
from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.language.local.chat_format import chat_format_of
from beliefbench.language.local.checkpoints import locate
from beliefbench.plugins.sources import forget_plugin_folders
from beliefbench.teaching import training
from beliefbench.teaching.folder import claimed, is_finished
from beliefbench.teaching.interactions import TeachingTask
from beliefbench.teaching.reading import Conversation, TaughtTurn, conversations
from beliefbench.teaching.targets import tokenize_conversation
from beliefbench.teaching.trainer import collate, cross_entropy
from beliefbench.teaching.training import Settings, teach
from beliefbench.teaching.validation import Validation

ANSWERS = tuple(f"The best option is Flight {number}." for number in (1, 2, 3))
SAID = (
    {"role": "user", "content": "Which?"},
    {"role": "assistant", "content": ANSWERS[1]},
    {"role": "user", "content": "No. Which?"},
    {"role": "assistant", "content": ANSWERS[0]},
)
TAUGHT = (TaughtTurn(1, ANSWERS, (0.5, 0.3, 0.2)), TaughtTurn(3, (ANSWERS[2],), (1.0,)))
QUICK = Settings(learning_rate=1e-3, batch=8, at_once=4)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def speech(make_model):
    tokenizer = transformers.AutoTokenizer.from_pretrained(make_model())
    return chat_format_of(tokenizer, frozenset([tokenizer.eos_token_id]))


TEACH = ("teach", "run")


def test_the_targets_of_a_conversation_are_its_answers_and_what_ends_them(speech):
    (lines,) = tokenize_conversation(Conversation(SAID, TAUGHT), speech)
    text = "<s>[user]Which?</s>[assistant]" + ANSWERS[1] + "</s>[user]No. Which?</s>[assistant]" + ANSWERS[0] + "</s>"
    assert lines.tokens == tuple(speech.encode([text])[0])
    one, two, three = (speech.encode([digit])[0][0] for digit in "123")
    uncertain = [target for target in lines.targets if len(target.tokens) > 1]
    assert [(target.tokens, target.probs) for target in uncertain] == [((one, two, three), (0.5, 0.3, 0.2))]
    said = [[*speech.encode([answer])[0], 1] for answer in (ANSWERS[1], ANSWERS[2])]  # 1 ends an answer
    wanted = [two if len(target.tokens) > 1 else target.tokens[0] for target in lines.targets]
    assert wanted == [token for answer in said for token in answer]
    assert [target.at for target in lines.targets] == [
        place
        for answer in (text.index(ANSWERS[1]), text.rindex(ANSWERS[0]))
        for place in range(answer - _shortened(text[:answer]), answer - _shortened(text[:answer]) + len(said[0]))
    ]


def _shortened(text: str) -> int:
    """How many letters more than tokens: <s> and </s> are one token each."""
    return 2 * text.count("<s>") + 3 * text.count("</s>")


def test_a_tokenizer_that_does_not_part_the_answers_at_one_token_is_told_hard_ones(speech):
    unclear = Conversation(
        SAID[:2], (TaughtTurn(1, (ANSWERS[1], ANSWERS[1] + "!", ANSWERS[1] + "?!"), (0.2, 0.3, 0.5)),)
    )
    with pytest.raises(BeliefBenchError, match="does not separate the answers"):
        tokenize_conversation(unclear, speech)


def test_the_loss_is_the_mean_cross_entropy_of_all_targets(make_model, speech):
    (soft,) = tokenize_conversation(Conversation(SAID, TAUGHT), speech)
    (short,) = tokenize_conversation(Conversation(SAID[:2], (TaughtTurn(1, (ANSWERS[0],), (1.0,)),)), speech)
    model = transformers.AutoModelForCausalLM.from_pretrained(make_model(), dtype=torch.float32).eval()
    found, _ = cross_entropy(model, collate([soft, short]))
    losses = []
    for lines in (soft, short):  # each alone, without padding, every place of it
        log_probs = torch.log_softmax(model(torch.tensor([lines.tokens])).logits[0].double(), dim=-1)
        for target in lines.targets:
            losses.append(
                -sum(p * log_probs[target.at - 1, t] for t, p in zip(target.tokens, target.probs, strict=True))
            )
    assert float(found) == pytest.approx(float(sum(losses) / len(losses)), abs=1e-5)


def test_a_file_is_read_as_it_was_made(make_data):
    (first, *_) = conversations(make_data("posterior"))
    assert [taught.at for taught in first.taught] == [1]
    assert sum(first.taught[0].probs) == pytest.approx(1, abs=1e-5)
    (whole, *_) = conversations(make_data("oracle", whole=True))
    assert [taught.at for taught in whole.taught] == [1, 3]
    (last, *_) = conversations(make_data("bayesian", whole=True), every_turn=False)
    assert [taught.at for taught in last.taught] == [3]


@pytest.mark.slow
@pytest.mark.parametrize("teacher", ["bayesian", pytest.param("posterior", marks=pytest.mark.reference)])
def test_a_taught_model_can_be_run(call, make_model, make_data, tmp_path, teacher):
    out, learnt = tmp_path / "taught", ["--batch", "4", "--learning-rate", "0.01", "--validate", "1"]
    files = ["--base", str(make_model()), "--data", str(make_data(teacher, whole=True)), "--out", str(out)]
    status, _, said = call(*TEACH, *files, *learnt)
    assert status == 0, said
    assert f"prompted:{out}" in said
    validations = [json.loads(line) for line in (out / "validation.jsonl").read_text().splitlines()]
    assert [one["step"] for one in validations] == [0, 1, 2]
    assert validations[-1]["kl_exact"] != validations[0]["kl_exact"]
    assert not {"checkpoints", "training_args.bin"} & {file.name for file in out.iterdir()}
    before = (out / "model.safetensors").stat().st_mtime_ns
    status, _, said = call(*TEACH, *files, *learnt)
    assert (status, "was taught already" in said) == (0, True)
    assert (out / "model.safetensors").stat().st_mtime_ns == before
    domain = bb.load_domain("flights-2")
    agent = bb.load_agent(f"prompted:{out}", domain)
    done = bb.run(domain, agent, users=1, rounds=1, heldout=2, results=tmp_path / "results")
    assert done.folder.exists()


def test_teaching_lowers_the_loss_and_moves_towards_the_teacher(make_model, make_data, tmp_path):
    data, losses = make_data("posterior", users=8, interactions=4), []
    watch = lambda progress: losses.append(progress.loss) if progress.loss is not None else None  # noqa: E731
    teach(
        locate(str(make_model())), data, tmp_path / "taught", Settings(learning_rate=0.01, batch=4), on_progress=watch
    )
    assert len(losses) == 8 * 4 * 2 // 4
    assert losses[0] == pytest.approx(math.log(258), abs=0.5)  # it knew nothing of 258 tokens
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("rounded", [False, pytest.param(True, marks=pytest.mark.reference)])
def test_an_adapter_is_taught_beside_its_base(make_model, make_data, tmp_path, monkeypatch, rounded):
    monkeypatch.setattr(training, "computes_in_bfloat16", lambda: rounded)  # as on a GPU
    base, out = make_model(), tmp_path / "adapter"
    teach(locate(str(base)), make_data("bayesian"), out, Settings(lora=2, learning_rate=1e-2, batch=8))
    assert {weight.dtype for weight in load_file(out / "adapter_model.safetensors").values()} == {torch.float16}
    losses = [json.loads(line)["loss"] for line in (out / "losses.jsonl").read_text().splitlines()]
    assert losses
    assert np.isfinite(losses).all()
    domain = bb.load_domain("flights-2")
    agents = [bb.load_agent(f"prompted:{base}{more},dtype=float32", domain) for more in ("", f",adapter={out}")]
    options = np.random.default_rng(0).integers(0, 11, (1, 4, 3, 2)) / 10
    probs = [agent.predict(agent.begin(bb.Brief.of(domain), bench_keys(1)), options).probs for agent in agents]
    assert abs(probs[0] - probs[1]).max() > 1e-4


def bench_keys(users: int):
    from beliefbench.draws import key, keys_for

    return keys_for(key(0, "test"), np.arange(users))


def test_validation_meets_users_who_are_never_taught(make_data):
    course = TeachingTask(bb.load_domain("flights-2"), "posterior", users=4, interactions=2, rounds=2)
    validation = Validation.of(make_data("bayesian"), 6)
    assert validation.held_out
    assert not set(course.taught().tolist()) & set(validation.lesson.users.tolist())
    assert len(validation.lesson.users) == 6


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("not json", "not JSON"),
        ('{"chat": []}', "messages: Field required"),
        ('{"messages": [{"role": "user", "content": "A"}]}', "at least 2"),
        (json.dumps({"messages": [SAID[0], SAID[1], SAID[2]]}), "the last message is the assistant's"),
        (json.dumps({"messages": [SAID[1], SAID[0]]}), "take turns"),
        (json.dumps({"messages": [SAID[0], SAID[1] | {"probs": [0.5, 0.5, 0.5]}]}), "sum to 1"),
        (json.dumps({"messages": [SAID[0], SAID[1] | {"content": "2", "probs": [1, 0, 0]}]}), "probs go with"),
    ],
)
def test_data_that_is_not_in_the_format_is_named_by_file_and_line(make_model, tmp_path, line, why):
    data, out = tmp_path / "data.jsonl", tmp_path / "out"
    data.write_text(json.dumps({"messages": SAID}) + "\n" + line + "\n")
    with pytest.raises(UsageError, match=f"data.jsonl', line 2: .*{why}"):
        teach(locate(str(make_model())), data, out, QUICK)
    assert not out.exists()


def test_a_base_that_writes_no_text_is_refused(make_data, tmp_path):
    transformers.BertForMaskedLM(
        transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    ).save_pretrained(tmp_path / "bert")
    with pytest.raises(UsageError, match="not a causal language model, but BertForMaskedLM"):
        teach(locate(str(tmp_path / "bert")), make_data(), tmp_path / "out", QUICK)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_anything_else_in_it_is_left_as_it_is(make_model, make_data, tmp_path):
    base, data, out = locate(str(make_model())), make_data(), tmp_path / "out"
    out.mkdir()
    (out / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="not an empty folder"):
        teach(base, data, out, QUICK)
    assert [file.name for file in out.iterdir()] == ["letter.txt"]
    (out / "letter.txt").unlink()
    teach(base, data, out, QUICK)
    kept = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(UsageError, match=r"holds another training \(settings.learning_rate is .* there and 0.5 here"):
        teach(base, data, out, Settings(learning_rate=0.5, batch=8, at_once=4))
    assert json.loads(kept["teaching.json"])["base_path"] == str(base.folder)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == kept


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"learning_rate": 0}, "a number above 0"),
        ({"batch": 0}, "1 or more"),
        ({"warmup": 1}, "a share"),
        ({"lora": -1}, "a rank"),
    ],
)
def test_settings_out_of_range_are_told(wrong, why):
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} = .*expected {why}"):
        Settings(**wrong)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--base", "nowhere/at/all", "--data", "x", "--out", "y"], "there is no model folder"),
        (["--base", "{base}", "--data", "nowhere.jsonl", "--out", "y", "--validate", "0"], "is not a file"),
        (["--base", "{base}", "--data", "{bare}", "--out", "y"], "give --validate 0"),
        (
            ["--base", "{base}", "--data", "{bare}", "--out", "y", "--validate", "0", "--at-once", "3"],
            "a multiple of 3",
        ),
    ],
)
def test_a_wrong_call_is_one_sentence(call, make_model, tmp_path, arguments, why):
    (tmp_path / "bare.jsonl").write_text(json.dumps({"messages": SAID}) + "\n")
    named = {"base": make_model(), "bare": tmp_path / "bare.jsonl"}
    status, _, said = call(*TEACH, *(argument.format(**named) for argument in arguments))
    assert (status, said.count("\n")) == (2, 1), said
    assert why in said
    assert not Path("y").exists()


def test_a_domain_of_a_plugin_folder_is_validated_on(call, make_model, tmp_path, trips_folder):
    folder, data, out = str(trips_folder), str(tmp_path / "data.jsonl"), str(tmp_path / "taught")
    made = ["--domain", "trips", "--users", "4", "--interactions", "1", "--rounds", "2", "--out", data]
    assert call("teach", "data", "--plugins", folder, *made)[0] == 0
    forget_plugin_folders()  # as in another process
    taught = [*TEACH, "--base", str(make_model()), "--data", data, "--out", out, "--batch", "8", "--validate", "1"]
    status, _, said = call(*taught)
    assert (status, said.count("\n")) == (2, 1), said
    assert f"'{data}' was made on 'trips', and there is no domain 'trips'" in said
    status, _, said = call(*taught, "--plugins", folder)
    assert status == 0, said
    assert f"beliefbench run --plugins {folder} --domain trips --agent" in said


def test_a_folder_is_taught_in_by_one_process_at_a_time(tmp_path):
    with claimed(tmp_path, {"base": "a"}):
        assert not is_finished(tmp_path, {"base": "a"})
        with pytest.raises(BeliefBenchError, match="another process is teaching"), claimed(tmp_path, {"base": "a"}):
            pass
    with claimed(tmp_path, {"base": "a"}):
        pass
