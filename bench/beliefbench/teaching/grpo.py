"""Improving a language model by reinforcement learning against exact rewards, with TRL's GRPO.

The model answers each question several times; answers with a larger reward than the others to the same question become
likelier. Questions are those of `teaching.environment`.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PrinterCallback, TrainerCallback, set_seed

from beliefbench.domain import Domain
from beliefbench.errors import UsageError
from beliefbench.folders import write_atomically
from beliefbench.language.local.checkpoints import Weights
from beliefbench.language.local.huggingface import computes_in_bfloat16
from beliefbench.language.local.loading import quietly, read_model, read_tokenizer
from beliefbench.running.provenance import installed_versions, now
from beliefbench.teaching.environment import Environment, Form, Reward, questions, reward_of
from beliefbench.teaching.folder import TEACHING, as_json, claimed, is_finished, latest_checkpoint
from beliefbench.teaching.trainer import Progress, require_finite

CHECKPOINTS, REWARDS = "checkpoints", "rewards.jsonl"
SAVES = 10


@dataclass(frozen=True)
class Settings:
    """How to improve a model.

    ``reward`` and ``form`` as in `teaching.environment`; ``answers``: the answers to each question; ``batch``: answers
    in a step, a multiple of ``answers``; ``answer_tokens``: the maximum length of an answer.
    """

    reward: Reward = "exact"
    form: Form = "sentence"
    rounds: int = 5
    steps: int = 200
    batch: int = 64
    answers: int = 8
    answer_tokens: int = 32
    learning_rate: float = 1e-6
    seed: int = 0

    def __post_init__(self) -> None:
        for name, fine, wanted in (
            ("steps", 1 <= self.steps <= 10**6, "1 to 1,000,000"),
            ("answers", 2 <= self.answers <= 1024, "2 to 1,024"),
            ("batch", self.batch >= self.answers and self.batch % max(1, self.answers) == 0, "a multiple of answers"),
            ("answer_tokens", 1 <= self.answer_tokens <= 4096, "1 to 4,096"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "a number above 0"),
            ("seed", 0 <= self.seed < 2**10, "0 to 1,023"),
        ):
            if not fine:
                raise UsageError(f"{name} = {getattr(self, name)}; expected {wanted}.")


def reward_function(item: str, reward: Reward, form: Form) -> Callable[..., list[float]]:
    """Return a reward function for TRL's ``GRPOTrainer``; the dataset has the columns ``exact`` and ``chosen``.

    >>> score = reward_function("Flight", "exact", "sentence")
    >>> said = [[{"role": "assistant", "content": "The best option is Flight 1."}], "No idea."]
    >>> score(completions=said, exact=[[0.7, 0.2, 0.1]] * 2, chosen=[0, 0])
    [0.7, 0.0]
    """

    def score(completions: list[Any], exact: list[Any], chosen: list[int], **_: Any) -> list[float]:
        texts = [one if isinstance(one, str) else one[-1]["content"] for one in completions]
        return [
            reward_of(text, item, probs, truth, reward, form)
            for text, probs, truth in zip(texts, exact, chosen, strict=True)
        ]

    score.__name__ = f"{reward}_reward"
    return score


def improve(
    base: Weights,
    domain: Domain,
    out: Path,
    settings: Settings,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> bool:
    """Improve a model, or continue the same training after a stop. Return True if anything was left to do.

    Raises
    ------
    UsageError
        If the model has no chat template, or ``out`` contains anything else.
    """
    with quietly():
        from datasets import Dataset
        from trl import GRPOConfig, GRPOTrainer

    about = {
        "base": base.digest(),
        "domain": domain.identity(),
        "settings": {**asdict(settings), "algorithm": "GRPO"},
    }
    if is_finished(out, about):
        return False
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    set_seed(settings.seed)
    tokenizer = read_tokenizer(base.folder, base.gguf, base.own_code)
    if not tokenizer.chat_template:
        raise UsageError(f"'{base.folder}' has no chat template, which GRPO needs; use a model for chats.")
    model = read_model(base.folder, base.gguf, "float32", base.own_code)
    # Masked, so any token will do; a padding token of the tokenizer may have no embedding.
    tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    environment = Environment(domain, settings.reward, settings.form, settings.rounds)
    needed = math.ceil(settings.steps * settings.batch / settings.answers / settings.rounds)
    asked = questions(environment, needed, settings.seed)
    data = Dataset.from_list(
        [{"prompt": list(one.messages), "exact": list(one.exact), "chosen": one.chosen} for one in asked]
    )
    about["base_path"] = str(base.folder / base.gguf if base.gguf else base.folder)
    with claimed(out, about):  # a trainer writes into the folder as it is made
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=reward_function(domain.item, settings.reward, settings.form),
            args=GRPOConfig(**_arguments(out, settings)),
            train_dataset=data,
            processing_class=tokenizer,
            callbacks=[_Watch(settings.steps, on_progress)],
        )
        trainer.remove_callback(PrinterCallback)
        latest = latest_checkpoint(out / CHECKPOINTS)
        trainer.train(resume_from_checkpoint=str(latest) if latest else None)
        require_finite(model, out)
        trainer.save_model(str(out))
        (out / "training_args.bin").unlink(missing_ok=True)  # a pickle, which is unsafe to load
        tokenizer.save_pretrained(out)
        rewards = [
            {"step": one["step"], "reward": one["reward"]} for one in trainer.state.log_history if "reward" in one
        ]
        write_atomically(out / REWARDS, "".join(f"{json.dumps(one)}\n" for one in rewards).encode())
        made = {"finished": now(), "steps": trainer.state.global_step, "versions": installed_versions()}
        write_atomically(out / TEACHING, as_json(about | made))
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    return True


def _arguments(out: Path, settings: Settings) -> dict[str, Any]:
    return {
        "output_dir": str(out / CHECKPOINTS),
        "max_steps": settings.steps,
        "per_device_train_batch_size": settings.batch,
        "num_generations": settings.answers,
        "max_completion_length": settings.answer_tokens,
        "learning_rate": settings.learning_rate,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": computes_in_bfloat16() and torch.cuda.is_available(),
        "gradient_checkpointing": False,
        "save_steps": max(1, math.ceil(settings.steps / SAVES)),
        "save_total_limit": 2,
        "logging_steps": 1,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "report_to": "none",
        "disable_tqdm": True,
    }


class _Watch(TrainerCallback):
    """Reports the mean reward of each step."""

    def __init__(self, steps: int, on_progress: Callable[[Progress], None]) -> None:
        self.steps, self.on_progress = steps, on_progress

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "reward" in logs:
            self.on_progress(Progress(state.global_step, self.steps, None, reward=float(logs["reward"])))
