"""The optimizer, its schedule and the checkpoints that all students are trained with."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from transformers import TrainingArguments
from transformers.trainer_utils import SchedulerType

LEARNING_RATE = 3e-3
"""The highest learning rate of a student for one domain."""


def training_arguments(
    checkpoints: Path,
    steps: int,
    warmup_steps: int,
    evaluations: int,
    seed: int,
    learning_rate: float = LEARNING_RATE,
    items: int = 1,
    **more: Any,
) -> TrainingArguments:
    """Return the Trainer's arguments: AdamW, a cosine schedule down to 5%, and some items of the data set a step.

    The last checkpoint is kept; ``evaluations`` of them are saved. ``more`` are further arguments, such as the device.
    """
    return TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=steps,
        per_device_train_batch_size=items,
        learning_rate=learning_rate,
        lr_scheduler_type=SchedulerType.COSINE_WITH_MIN_LR,
        lr_scheduler_kwargs={"min_lr_rate": 0.05},
        warmup_steps=warmup_steps,
        adam_beta2=0.98,
        weight_decay=0.01,
        save_steps=max(1, math.ceil(steps / evaluations)),
        save_total_limit=1,
        logging_steps=10,
        logging_nan_inf_filter=False,
        seed=seed,
        remove_unused_columns=False,
        label_names=[],
        report_to="none",
        disable_tqdm=True,
        **more,
    )
