"""The environment of tools: the same rewards as the environment of replies, and a real GRPOTrainer that uses it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.language.replies.alternatives import options_of
from beliefbench.teaching.environment import Environment
from beliefbench.teaching.tool_environment import OVER, ToolEnvironment


@pytest.mark.parametrize("reward", ["exact", "user"])
def test_rewards_are_those_of_replies(reward):
    domain = bb.load_domain("flights-2")
    plain, tools = Environment(domain, reward, rounds=3), ToolEnvironment(domain, reward, rounds=3)
    for seed in (0, 5, 9):
        assert tools.reset(seed=seed, prompt=[], other="column") == plain.reset(seed)
        steps = [plain.step(options_of("Flight").sentences[option]) for option in (0, 2, 1)]
        said = [tools.recommend(option + 1) for option in (0, 2, 1)]
        assert said == [*(step.observation for step in steps[:-1]), OVER]
        assert tools.get_reward() == pytest.approx(sum(step.reward for step in steps) / 3)


def test_what_is_no_option_earns_nothing_and_what_comes_later_changes_nothing():
    tools = ToolEnvironment(bb.load_domain("flights-2"), rounds=2)
    tools.reset(seed=0)
    assert tools.get_reward() == 0
    for wrong in (0, 4):
        tools.recommend(wrong)
    assert tools.get_reward() == 0
    assert tools.recommend(1) == OVER
    assert tools.get_reward() == 0
    tools.reset(seed=0)
    tools.recommend("2")
    assert tools.get_reward() == 0


@pytest.mark.slow
def test_a_real_trainer_resets_it_and_takes_its_reward(make_model, tmp_path, one_thread):
    """A tiny model calls no tool, so each reward is 0."""
    datasets, trl = pytest.importorskip("datasets"), pytest.importorskip("trl")
    import transformers

    folder = make_model(template=(Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja").read_text())
    seeds = []

    class Watched(ToolEnvironment):
        def reset(self, seed, **columns):
            seeds.append(seed)
            return super().reset(seed, **columns)

    prompt = [{"role": "user", "content": ""}]
    trainer = trl.GRPOTrainer(
        model=transformers.AutoModelForCausalLM.from_pretrained(folder),
        processing_class=transformers.AutoTokenizer.from_pretrained(folder, pad_token="</s>"),
        environment_factory=partial(Watched, bb.load_domain("flights-2"), rounds=2),
        train_dataset=datasets.Dataset.from_list([{"prompt": prompt, "seed": seed} for seed in range(4)]),
        args=trl.GRPOConfig(
            output_dir=str(tmp_path / "out"),
            max_steps=1,
            per_device_train_batch_size=4,
            num_generations=2,
            max_completion_length=4,
            report_to="none",
            use_cpu=True,
            bf16=False,
            logging_steps=1,
        ),
    )
    trainer.train()
    assert len(seeds) == 4
    assert trainer.state.log_history[0]["rewards/Watched/mean"] == 0
