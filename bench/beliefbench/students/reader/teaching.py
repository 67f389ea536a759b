"""Training a reader: a small Llama, from nothing, on new synthetic domains for each step.

A reader is a folder, like a training of `beliefbench.teaching`, and a Hugging Face model. A training that was killed
continues from its last checkpoint, and ends with the same weights as an uninterrupted one. ``teaching.json`` records
how the reader was made, and ``validation.jsonl`` has its examinations.
"""

from __future__ import annotations

import math
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback, Trainer, set_seed

from beliefbench.domain import OPTIONS
from beliefbench.errors import UsageError
from beliefbench.folders import write_atomically
from beliefbench.running.provenance import installed_versions, now
from beliefbench.students.optimizer import training_arguments
from beliefbench.students.reader.card import card
from beliefbench.students.reader.curriculum import GROUP, Curriculum, Groups, lessons_of
from beliefbench.students.reader.examination import Examination
from beliefbench.students.reader.heads import COMPARE, WORTH, NumberEmbedding, Reader
from beliefbench.students.reader.tokenizer import SPACE, embedding_features
from beliefbench.teaching.folder import TEACHING, as_json, claimed, is_finished, latest_checkpoint
from beliefbench.teaching.interactions import Teacher
from beliefbench.teaching.trainer import Progress, ProgressCallback, require_finite

CHECKPOINTS, VALIDATIONS = "checkpoints", "validation.jsonl"
SHAPE: dict[str, Any] = {
    "hidden_size": 192,
    "intermediate_size": 384,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "max_position_embeddings": 4096,
    # Half of each head's dimensions then turn by less than a radian over a conversation, and can compare what is read.
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e5},
    "tie_word_embeddings": False,
}
TOKENIZER = {"domains": 1_000, "pieces": 600}
LOCAL, QUIET = 1.0, 0.3
"""How much near tokens count for the heads that begin with them, and how much what the tokens are counts for these."""
LEARNING_RATE, WARMUP = 2e-3, 200
"""The highest learning rate, and the steps in which it rises."""
TOGETHER = {"cpu": 1, "cuda": 64}
"""The conversations that a device reads at once."""
EVALUATIONS = 30
"""The number of examinations in a training; a checkpoint is saved at each."""


@dataclass(frozen=True)
class Settings:
    """The teacher; the number of interactions, each used once; those of a step; and the seed of the initial weights and
    of all draws."""

    teacher: Teacher = "posterior"
    interactions: int = 100_000
    batch: int = GROUP
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("batch", GROUP, 4096),
            ("interactions", self.batch, 10**9),
            ("seed", 0, 2**32 - 1),
        ):
            if not least <= getattr(self, name) <= most:
                raise UsageError(f"{name} = {getattr(self, name):,}; expected {least:,} to {most:,}.")
        if self.batch % GROUP:
            raise UsageError(f"batch = {self.batch:,}; expected a multiple of {GROUP}.")

    @property
    def steps(self) -> int:
        """Steps of `batch` interactions."""
        return math.ceil(self.interactions / self.batch)


def teach_reader(
    settings: Settings, out: Path, on_progress: Callable[[Progress], None] = lambda progress: None, workers: int = 0
) -> bool:
    """Train a reader, or continue the same training after a stop. Return True if anything was left to do.

    Parameters
    ----------
    settings
        What is taught. The weights depend on nothing else but the machine.
    out
        The folder of the reader.
    on_progress
        It is called with the loss every 10 steps, and with each examination.
    workers
        Processes that draw lessons ahead of the training; 0: this process draws them.

    Raises
    ------
    UsageError
        If ``out`` contains anything else.
    """
    about = {"student": "reader", **asdict(settings), "shape": SHAPE, "learning_rate": LEARNING_RATE}
    about["interactions"] = settings.steps * settings.batch
    if is_finished(out, about):
        return False
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    set_seed(settings.seed)
    torch.set_flush_denormal(True)  # processors are slow at tiny numbers, to which Adam's moments of rare tokens decay
    items = settings.batch // GROUP
    curriculum = Curriculum(settings.teacher, settings.steps * items, settings.seed)
    tokenizer = curriculum.tokenizer(**TOKENIZER)
    reader = new_reader(tokenizer)
    examination = Examination.of(curriculum, tokenizer)
    watching = ProgressCallback(out / VALIDATIONS, examination.measure, on_progress)
    gpu = torch.cuda.is_available()
    together = TOGETHER["cuda" if gpu else "cpu"]
    arguments = training_arguments(
        out / CHECKPOINTS,
        settings.steps,
        min(WARMUP, settings.steps // 2),
        EVALUATIONS,
        settings.seed,
        LEARNING_RATE,
        items,
        train_sampling_strategy="sequential",  # the curriculum has an order
        bf16=gpu,
        dataloader_num_workers=workers,
        dataloader_pin_memory=gpu,
    )
    with claimed(out, about):  # a trainer writes into the folder as it is made
        trainer = Trainer(
            model=reader,
            args=arguments,
            train_dataset=Groups(curriculum, tokenizer),
            data_collator=lambda groups: {
                "lessons": lessons_of([one for group in groups for one in group], tokenizer.pad_token_id, together)
            },
            callbacks=[watching],
        )
        trainer.remove_callback(PrinterCallback)
        latest = latest_checkpoint(out / CHECKPOINTS)
        trainer.train(resume_from_checkpoint=str(latest) if latest else None)
        require_finite(reader, out)
        # Half precision holds 3 digits, more than steps of this size settle, in half the space.
        reader.language_model().to(torch.float16).save_pretrained(out)
        tokenizer.save_pretrained(out)
        made = {
            "finished": now(),
            "machine": f"{platform.machine()}, {os.cpu_count()} processors, {_accelerator()}",
            "versions": installed_versions(),
        }
        examined, sets = examination.exact.shape[:2]
        parameters = reader.model.num_parameters()
        written = card(about | made, (out / VALIDATIONS).read_text(), parameters, examined, sets - 1)
        write_atomically(out / "README.md", written.encode())
        write_atomically(out / TEACHING, as_json(about | made))
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    return True


def new_reader(tokenizer: Any) -> Reader:
    """Return the untrained reader of a tokenizer, with its auxiliary heads."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **SHAPE,
    )
    model = LlamaForCausalLM(config)
    _initialise(model)
    model.model.embed_tokens.requires_grad_(False)  # `NumberEmbedding` is trained in its place
    embedding = NumberEmbedding(len(tokenizer), config.hidden_size, *embedding_features(tokenizer))
    numbers = [f"{SPACE}{number}" for number in range(1, OPTIONS + 1)]
    return Reader(model, embedding, tokenizer.convert_tokens_to_ids(numbers))


def _initialise(model: Any) -> None:
    """Draw the initial weights so that a narrow model learns from the first steps.

    Attention is not flat, and layers change less than what they read. Half of the heads begin with what their layer
    needs: in the layers that read and compare numbers they attend to near tokens; in the layers that find the rows with
    the same number they attend to tokens like their own.
    """
    layers, width = model.model.layers, model.config.hidden_size
    turns = range(width // model.config.num_attention_heads)
    with torch.no_grad():
        for number, layer in enumerate(layers, start=1):
            for linear in layer.modules():
                if isinstance(linear, torch.nn.Linear):
                    torch.nn.init.normal_(linear.weight, std=width**-0.5)
            layer.mlp.down_proj.weight *= (width / layer.mlp.down_proj.in_features) ** 0.5
            for linear in (layer.self_attn.o_proj, layer.mlp.down_proj):
                linear.weight /= math.sqrt(2 * len(layers))
            queries, keys = layer.self_attn.q_proj.weight, layer.self_attn.k_proj.weight
            half = len(queries) // 2
            if number <= COMPARE:
                queries[:half] *= QUIET
                keys[:half] *= QUIET
                # The first place of what is read is about the same for all tokens, so these pairs only tell distances.
                near = torch.zeros(half // len(turns), 2, len(turns) // 2, dtype=torch.bool)
                near[:, :, number - 1 : number + 2] = True
                queries[:half, 0][near.flatten()] = keys[:half, 0][near.flatten()] = LOCAL
            elif number <= WORTH:
                keys[:half] = queries[:half]


def _accelerator() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no accelerator"
