"""Training a student: a small Llama, from nothing, on new interactions for each step.

A student is a folder, like a training of `beliefbench.teaching`. It is a Hugging Face model. ``teaching.json`` records
how it was made, ``validation.jsonl`` has the validation results, and ``README.md`` is its model card.
"""

from __future__ import annotations

import math
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.utils.data import Dataset
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    set_seed,
)

from beliefbench.errors import UsageError
from beliefbench.folders import write_atomically
from beliefbench.language.local.huggingface import computes_in_bfloat16
from beliefbench.running.provenance import installed_versions, now
from beliefbench.scoring import metrics
from beliefbench.students.auxiliary_heads import Lesson, WithAuxiliaryHeads
from beliefbench.students.card import card
from beliefbench.students.interactions import Source
from beliefbench.students.optimizer import LEARNING_RATE, training_arguments
from beliefbench.students.token_writer import Writer
from beliefbench.students.vocabulary import END, PhraseVocabulary
from beliefbench.teaching.folder import TEACHING, as_json, claimed, is_finished, latest_checkpoint
from beliefbench.teaching.trainer import Progress, ProgressCallback, require_finite

CHECKPOINTS, VALIDATIONS = "checkpoints", "validation.jsonl"
SHAPE: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
BATCH, WARMUP = 16, 200
EXAMINED = 256
"""The number of interactions in an examination."""
EVALUATIONS = 20


@dataclass(frozen=True)
class Settings:
    """The size of a training: interactions, each used once, and the seed of the initial weights and of all draws."""

    interactions: int = 100_000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (("interactions", BATCH, 10**9), ("seed", 0, 2**32 - 1)):
            if not least <= getattr(self, name) <= most:
                raise UsageError(f"{name} = {getattr(self, name):,}; expected {least:,} to {most:,}.")

    @property
    def steps(self) -> int:
        """Steps of `BATCH` interactions."""
        return math.ceil(self.interactions / BATCH)

    @property
    def warmup_steps(self) -> int:
        """The number of warm-up steps."""
        return min(WARMUP, self.steps // 2)


def teach_student(
    source: Source, settings: Settings, out: Path, on_progress: Callable[[Progress], None] = lambda progress: None
) -> bool:
    """Train a student, or continue the same training after a stop. Return True if anything was left to do.

    Raises
    ------
    UsageError
        If ``out`` contains anything else.
    """
    about = {
        "domain": source.domain.identity(),
        "teacher": source.teacher,
        "history": source.history,
        "rounds": source.rounds,
        "interactions": settings.steps * BATCH,
        "seed": settings.seed,
        "shape": SHAPE,
        "batch": BATCH,
        "learning_rate": LEARNING_RATE,
        "warmup_steps": settings.warmup_steps,
    }
    if is_finished(out, about):
        return False
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    set_seed(settings.seed)
    tokenizer, student = new_student(source, settings.seed)
    writer = Writer(source.domain, tokenizer)
    validation_batch = Examination.of(source, writer, EXAMINED)
    watching = ProgressCallback(out / VALIDATIONS, validation_batch.measure, on_progress)
    with claimed(out, about):  # a trainer writes into the folder as it is made
        trainer = trainer_of(student, Stream(source, writer, settings.steps), out / CHECKPOINTS, settings, watching)
        latest = latest_checkpoint(out / CHECKPOINTS)
        seconds = trainer.train(resume_from_checkpoint=str(latest) if latest else None).metrics["train_runtime"]
        require_finite(student, out)
        # Half precision holds 3 digits, more than steps of this size settle, in half the space.
        student.model.to(torch.float16).save_pretrained(out)
        tokenizer.save_pretrained(out)
        made = {
            "finished": now(),
            "seconds": None if latest else round(seconds),
            "threads": torch.get_num_threads(),
            "machine": f"{platform.machine()}, {os.cpu_count()} processors, no accelerator",
            "versions": installed_versions(),
        }
        written = card(about | made | {"examined": EXAMINED}, (out / VALIDATIONS).read_text(), student.model)
        write_atomically(out / "README.md", written.encode())
        write_atomically(out / TEACHING, as_json(about | made))
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    return True


def new_student(source: Source, seed: int) -> tuple[Any, WithAuxiliaryHeads]:
    """Return the tokenizer and the untrained model, with its auxiliary heads."""
    book = PhraseVocabulary.of(source.domain)
    tokenizer = book.tokenizer()
    end = tokenizer.convert_tokens_to_ids(END)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=None,
        **SHAPE,
    )
    model = LlamaForCausalLM(config)
    model.set_attn_implementation("eager")  # faster than fused attention for conversations this short
    tokens = tokenizer.convert_tokens_to_ids([phrase.text for phrase in book.phrases])
    book.order(model.model.embed_tokens.weight, tokens, seed)
    return tokenizer, WithAuxiliaryHeads(model, source.domain, book.ids(tokenizer, "answer"), end)


class Stream(Dataset):
    """The lessons of a training by number. Each is drawn when it is needed, and does not depend on the order."""

    def __init__(self, source: Source, writer: Writer, steps: int) -> None:
        self.source, self.writer, self.steps = source, writer, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, number: int) -> Lesson:
        drawn = self.source.draw("teaching", number, BATCH)
        return Lesson.of(drawn, self.writer.write(drawn))


@dataclass(frozen=True)
class Examination:
    """Interactions that are never taught, with the exact assistant's recommendations and answers."""

    lesson: Lesson

    @classmethod
    def of(cls, source: Source, writer: Writer, users: int) -> Examination:
        """Return the examination of a source; it does not depend on the teacher."""
        exact = Source(source.domain, "posterior", "bayesian", source.rounds, source.seed)
        drawn = exact.draw("examination", 0, users)
        return cls(Lesson.of(drawn, writer.write(drawn)))

    @property
    def truth(self) -> np.ndarray:
        """The users' choices, int[users, sets]."""
        return self.lesson.chosen.numpy()

    @property
    def exact(self) -> np.ndarray:
        """The exact answer, float64[users, sets, 3]."""
        return self.lesson.answers.double().numpy()

    def probs(self, student: WithAuxiliaryHeads) -> np.ndarray:
        """Return a student's probabilities of the options, float64[users, sets, 3]."""
        with torch.inference_mode():
            return student.predict(self.lesson).double().numpy()

    def measure(self, student: Any) -> dict[str, float]:
        """Return a student's agreement (a share) and kl_exact (nats per answer), as means over all sets."""
        probs = self.probs(student)
        choice = probs.argmax(axis=-1)
        found = {name: getattr(metrics, name)(probs, choice, choice, self.exact) for name in ("agreement", "kl_exact")}
        return {name: float(np.mean(values)) for name, values in found.items()}


def trainer_of(
    student: WithAuxiliaryHeads, stream: Stream, checkpoints: Path, settings: Settings, callback: TrainerCallback
) -> Trainer:
    """Return a trainer for a student and a stream of lessons; it saves its state in a folder."""
    arguments = training_arguments(
        checkpoints,
        settings.steps,
        settings.warmup_steps,
        EVALUATIONS,
        settings.seed,
        use_cpu=True,
        bf16=computes_in_bfloat16(),
    )
    trainer = Trainer(
        model=student,
        args=arguments,
        train_dataset=stream,
        data_collator=lambda lessons: {"lesson": lessons[0]},
        callbacks=[callback],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer
