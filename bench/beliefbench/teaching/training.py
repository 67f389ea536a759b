"""Training a language model on teaching data, through Hugging Face's Trainer (paper, section 5).

A training has a folder (`beliefbench.teaching.folder`). ``teaching.json`` records its base, data and settings.
``checkpoints/`` lets it continue after a stop. ``validation.jsonl`` has the validation results, and ``losses.jsonl``
the loss of each step. At the end the folder is the model, or a LoRA adapter on the base. A training runs in one
process, or in as many as ``accelerate launch`` starts.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import PartialState
from safetensors.torch import load_file, save
from transformers import AutoConfig, PrinterCallback, TrainerCallback, TrainingArguments, set_seed
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_utils import SchedulerType

from beliefbench.errors import UsageError, first_line
from beliefbench.folders import write_atomically
from beliefbench.language.local.architectures import require_causal
from beliefbench.language.local.checkpoints import ADAPTER_WEIGHTS, Weights
from beliefbench.language.local.huggingface import computes_in_bfloat16
from beliefbench.language.local.loading import read_model, read_tokenizer, speech_of
from beliefbench.language.local.memory import rope_limit, within_context
from beliefbench.running.provenance import installed_versions, now
from beliefbench.teaching.folder import TEACHING, as_json, claimed, is_finished, latest_checkpoint
from beliefbench.teaching.preferences import pairs, preference_trainer
from beliefbench.teaching.reading import conversations, require_file
from beliefbench.teaching.targets import TokenizedConversation, tokenize_conversation
from beliefbench.teaching.trainer import Progress, ProgressCallback, Rows, TargetTrainer, collate, require_finite
from beliefbench.teaching.validation import Validation

CHECKPOINTS = "checkpoints"
VALIDATIONS, LOSSES = "validation.jsonl", "losses.jsonl"
EVALUATIONS = 10
"""The number of validations and checkpoints of a training."""


@dataclass(frozen=True)
class Settings:
    """How to teach; the defaults are the paper's (section 5).

    ``lora``: the rank of an adapter, or 0 to train all weights; ``batch``: conversations per step, over all processes;
    ``at_once``: conversations in memory at the same time, per process; ``longest``: the maximum number of tokens of a
    conversation; ``dpo``: prefer the teacher's answer to each other answer (`beliefbench.teaching.preferences`); then a
    conversation counts once for each other answer.
    """

    lora: int = 0
    learning_rate: float = 2e-6
    batch: int = 128
    epochs: float = 1.0
    warmup: float = 0.1
    longest: int = 2048
    at_once: int = 8
    seed: int = 0
    dpo: bool = False

    def __post_init__(self) -> None:
        for name, fine, wanted in (
            ("lora", self.lora >= 0, "a rank of 1 or more, or 0 for all weights"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "a number above 0"),
            ("batch", self.batch >= 1, "1 or more"),
            ("epochs", 0 < self.epochs < math.inf, "a number above 0"),
            ("warmup", 0 <= self.warmup < 1, "a share from 0 to 1"),
            ("longest", self.longest >= 8, "8 tokens or more"),
            ("at_once", self.at_once >= 1, "1 or more"),
            ("seed", 0 <= self.seed < 2**32, "0 to 4,294,967,295"),
        ):
            if not fine:
                raise UsageError(f"{name} = {getattr(self, name)}; expected {wanted}.")


def teach(
    base: Weights,
    data: Path,
    out: Path,
    settings: Settings,
    every_turn: bool | None = None,
    validation: Validation | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> bool:
    """Train a model, or continue the same training after a stop. Return True if anything was left to do.

    Parameters
    ----------
    every_turn
        As in `beliefbench.teaching.reading.conversations`.
    on_progress
        Called after each step.

    Raises
    ------
    UsageError
        If ``base`` is not a causal model, ``data`` has another format, or ``out`` contains anything else.
    """
    about = {
        "base": base.digest(),
        "data": _digest_of(data),
        "every_turn": every_turn,
        "settings": asdict(settings),
    }
    if is_finished(out, about):
        return False
    _gradient_accumulation(settings)  # refused before the model is loaded
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    set_seed(settings.seed)
    tokenizer, model = _student(base)
    speech = speech_of(model, tokenizer)
    require_causal(model, speech)
    said = list(conversations(data, every_turn))
    lines = [line for one in said for line in tokenize_conversation(one, speech)]
    _within(lines, settings, data, model)
    if settings.lora:
        if computes_in_bfloat16():
            model = model.to(torch.bfloat16)  # weights that stay as they are; those of the adapter are in float32
        model = _with_adapter(model, settings.lora)
    measure = None if validation is None else partial(validation.measure, speech=speech)
    watching: list[TrainerCallback] = [ProgressCallback(out / VALIDATIONS, measure, on_progress)]
    preferred = [pair.tokens(speech) for pair in pairs(said)] if settings.dpo else None
    arguments = _arguments(len(lines if preferred is None else preferred), out, settings)
    main = PartialState().is_main_process
    about["base_path"] = str(base.folder / base.gguf if base.gguf else base.folder)  # the same model may lie elsewhere
    with claimed(out, about) if main else nullcontext():  # trainers write into the folder as they are made
        if preferred is not None:
            trainer = preference_trainer(model, tokenizer, preferred, arguments, callbacks=watching)
        else:
            trainer = TargetTrainer(
                model=model,
                args=TrainingArguments(**arguments, remove_unused_columns=False, label_names=[]),
                train_dataset=Rows(lines),
                data_collator=collate,
                callbacks=watching,
            )
        trainer.remove_callback(PrinterCallback)
        latest = latest_checkpoint(out / CHECKPOINTS)
        trainer.train(resume_from_checkpoint=str(latest) if latest else None)
        require_finite(model, out)
        trainer.save_model(str(out))
        if main:
            (out / TRAINING_ARGS_NAME).unlink(missing_ok=True)  # a pickle, which is unsafe to load
            if settings.lora:
                _halve(out / ADAPTER_WEIGHTS)
            tokenizer.save_pretrained(out)
            losses = [{"step": one["step"], "loss": one["loss"]} for one in trainer.state.log_history if "loss" in one]
            write_atomically(out / LOSSES, "".join(f"{json.dumps(one)}\n" for one in losses).encode())
            made = {"finished": now(), "steps": trainer.state.global_step, "versions": installed_versions()}
            write_atomically(out / TEACHING, as_json(about | made))
            shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    return True


def _student(base: Weights) -> tuple[Any, Any]:
    """Return a base's tokenizer and its weights in float32: the steps are too small for fewer digits."""
    if not base.gguf:
        try:
            config = AutoConfig.from_pretrained(base.folder, trust_remote_code=base.own_code)  # a folder  # nosec B615
        except Exception as error:
            raise UsageError(
                f"'{base.folder}' is not a model that transformers knows ({first_line(error)})."
            ) from error
        kinds = config.architectures or []
        if not base.own_code and not set(kinds) & set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()):
            raise UsageError(
                f"'{base.folder}' is not a causal language model, but {' or '.join(kinds) or config.model_type}; "
                "name one that writes text, such as a Llama or a Qwen."
            )
    tokenizer = read_tokenizer(base.folder, base.gguf, base.own_code)
    return tokenizer, read_model(base.folder, base.gguf, "float32", base.own_code)


def _gradient_accumulation(settings: Settings) -> tuple[int, int]:
    """Return how many conversations a process has in memory at once, and how often in a step."""
    processes = PartialState().num_processes
    at_once = min(settings.at_once, settings.batch)
    if settings.batch % (at_once * processes):
        raise UsageError(
            f"batch = {settings.batch}; expected a multiple of {at_once * processes}, that is of --at-once times the "
            f"number of processes ({processes})."
        )
    return at_once, settings.batch // (at_once * processes)


def _arguments(examples: int, out: Path, settings: Settings) -> dict[str, Any]:
    """Return the arguments of all trainers, as for `transformers.TrainingArguments`."""
    at_once, times = _gradient_accumulation(settings)
    steps = math.ceil(math.ceil(examples / settings.batch) * settings.epochs)
    return {
        "output_dir": str(out / CHECKPOINTS),
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": SchedulerType.COSINE,
        "warmup_steps": math.ceil(settings.warmup * steps),
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": times,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": computes_in_bfloat16(),
        "save_steps": max(1, math.ceil(steps / EVALUATIONS)),
        "save_total_limit": 2,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "report_to": "none",
        "disable_tqdm": True,
    }


def _within(lines: Sequence[TokenizedConversation], settings: Settings, data: Path, model: Any) -> None:
    """Raise an error if a conversation is longer than the settings or the model allow."""
    longest = max(len(one.tokens) for one in lines)
    if longest > settings.longest:
        raise UsageError(
            f"a conversation of '{data}' has {longest:,} tokens, more than --longest {settings.longest:,}; "
            "raise it, or teach fewer rounds."
        )
    within_context(model, longest)
    limit = rope_limit(model.config.get_text_config())
    if limit is not None and longest > limit:
        raise UsageError(
            f"a conversation of '{data}' has {longest:,} tokens, and above {limit:,} the rotary embedding of the "
            "model depends on what else is in the batch; teach fewer rounds, or another model."
        )


def _with_adapter(model: Any, rank: int) -> Any:
    from peft import LoraConfig, get_peft_model

    return get_peft_model(
        model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    )


def _halve(adapter: Path) -> None:
    """Store an adapter in half precision: it holds 3 digits, more than steps of a LoRA's size settle, in half the
    space."""
    weights = {name: weight.to(torch.float16) for name, weight in load_file(adapter).items()}
    write_atomically(adapter, save(weights, {"format": "pt"}))


def _digest_of(data: Path) -> str:
    require_file(data)
    try:
        with data.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"'{data}' cannot be read ({error.strerror}); name a file of teaching data.") from error
