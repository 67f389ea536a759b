"""Teaching curves: the answers of each teacher's students after increasing numbers of interactions, for several seeds.

Students with the same seed start with the same weights and have the same users, options and choices, whatever their
teacher. All students answer the same examination. A training is the unit of evidence: the difference between two
teachers is the mean over the seeds, with Student's t interval. Each student has a file with all its answers.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import transformers
from scipy import stats
from torch import set_num_threads
from transformers import TrainerCallback, set_seed

from beliefbench.errors import UsageError
from beliefbench.plugins.names import load_domain
from beliefbench.plugins.sources import add_plugin_folders, plugin_folders
from beliefbench.scoring import metrics
from beliefbench.students.drawing import draw
from beliefbench.students.interactions import Source
from beliefbench.students.student import BATCH, Examination, Settings, Stream, new_student, trainer_of
from beliefbench.students.token_writer import Writer
from beliefbench.teaching.folder import claimed, is_finished
from beliefbench.teaching.interactions import Recommender, Teacher

EXAMINED = 1024
SIZES = 8
"""The number of examinations during a training."""


class Condition(NamedTuple):
    """A condition: the teacher, and the agent that makes the recommendations in the conversation."""

    teacher: Teacher
    history: Recommender


CONDITIONS = {
    "posterior": Condition("posterior", "bayesian"),
    "bayesian": Condition("bayesian", "bayesian"),
    "oracle": Condition("oracle", "oracle"),
    "oracle-control": Condition("oracle", "bayesian"),
}
"""The three teachers; and the oracle's answers in the Bayesian assistant's conversations."""
PAIRS = (
    ("bayesian", "oracle"),
    ("bayesian", "oracle-control"),
    ("posterior", "bayesian"),
    ("posterior", "oracle"),
    ("posterior", "oracle-control"),
)
MEASURES = ("accuracy", "agreement", "ece", "kl_exact")


def teach_curve(domain_name: str, name: str, settings: Settings, file: Path) -> None:
    """Train a student of a condition, and write its answers during training.

    The columns: interactions, user, stage, truth, prob_0 .. prob_2, exact_0 .. exact_2.
    """
    domain = load_domain(domain_name)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    set_seed(settings.seed)
    source = Source(domain, *CONDITIONS[name], seed=settings.seed)
    tokenizer, student = new_student(source, settings.seed)
    writer = Writer(domain, tokenizer)
    recording = _Recording(Examination.of(Source(domain, *CONDITIONS[name]), writer, EXAMINED), settings.steps)
    with tempfile.TemporaryDirectory() as folder:
        trainer_of(student, Stream(source, writer, settings.steps), Path(folder), settings, recording).train()
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    file.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(recording.answers).to_parquet(draft, compression="zstd", index=False)
    draft.replace(file)


def teach_curves(
    domain: str,
    interactions: int,
    seeds: int,
    out: Path,
    on_progress: Callable[[int, int], None] = lambda done, students: None,
) -> None:
    """Train the missing students of all conditions and seeds, one on each processor, and write their metrics to the
    folder.

    Raises
    ------
    UsageError
        If the folder has curves of another teaching.
    """
    Source(load_domain(domain), *CONDITIONS["oracle"])  # told before anything is written
    Settings(interactions)
    files = {(name, seed): out / f"{name}-seed-{seed}.parquet" for seed in range(seeds) for name in CONDITIONS}
    about = {"domain": load_domain(domain).identity(), "interactions": interactions}
    is_finished(out, about)  # raises if it holds something else
    with claimed(out, about):
        lacking = [(*which, file) for which, file in files.items() if not file.exists()]
        on_progress(len(files) - len(lacking), len(files))
        pool = ProcessPoolExecutor(None, get_context("spawn"), _prepare, (plugin_folders(),))
        try:
            jobs = [
                pool.submit(teach_curve, domain, name, Settings(interactions, seed), file)
                for name, seed, file in lacking
            ]
            for done, job in enumerate(as_completed(jobs), 1):
                job.result()
                on_progress(len(files) - len(lacking) + done, len(files))
        finally:
            pool.shutdown(cancel_futures=True)  # if one fails, the others are not begun
        table = measured(out)
        table.to_csv(out / "curves.csv", index=False, float_format="%.5f")
        differences(by_size(table)).to_csv(out / "differences.csv", index=False, float_format="%.5f")
        for kind in ("svg", "png"):
            draw(by_size(table), out / f"curves.{kind}")


def _prepare(folders: tuple[Path, ...]) -> None:
    add_plugin_folders(folders)
    set_num_threads(1)  # a small model on two threads gains less than two models on one


class _Recording(TrainerCallback):
    """Examines a student at equal intervals of its training, and stores its answers."""

    def __init__(self, validation_batch: Examination, steps: int) -> None:
        self.validation_batch = validation_batch
        self.at = {steps * (one + 1) // SIZES for one in range(SIZES)}
        self.answers: list[pd.DataFrame] = []

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **more: Any) -> None:
        if state.global_step not in self.at:
            return
        probs, exact = self.validation_batch.probs(model), self.validation_batch.exact
        users, sets = self.validation_batch.truth.shape
        user, stage = np.indices((users, sets)).reshape(2, -1)
        columns = {"interactions": state.global_step * BATCH, "user": user, "stage": stage}
        columns["truth"] = self.validation_batch.truth.ravel()
        for option in range(3):
            columns[f"prob_{option}"] = probs[..., option].ravel().round(4).astype(np.float32)
            columns[f"exact_{option}"] = exact[..., option].ravel().round(6).astype(np.float32)
        small = {"interactions": np.int32, "user": np.int16, "stage": np.int8, "truth": np.int8}
        self.answers.append(pd.DataFrame(columns).astype(small))


def measured(folder: Path) -> pd.DataFrame:
    """Return the metrics in a folder of curves: condition, seed, interactions, stage, and `MEASURES`; one row per
    stage.

    The exact answer to the same questions has rows too, as condition "exact" with seed 0. Its expected calibration
    error shows how large the ECE of a calibrated student is with so few answers.

    Raises
    ------
    UsageError
        If the folder has no curves.
    """
    files = sorted(folder.glob("*-seed-*.parquet"))
    if not files:
        raise UsageError(f"there are no teaching curves in '{folder}'; `beliefbench teach curves` makes them.")
    read: list[tuple[str, str, str, Path]] = [("exact", "0", "exact", files[0])]
    for file in files:
        name, _, seed = file.stem.rpartition("-seed-")
        read.append((name, seed, "prob", file))
    found = []
    for name, seed, told_by, file in read:
        for (interactions, stage), rows in pd.read_parquet(file).groupby(["interactions", "stage"]):
            about = {"condition": name, "seed": int(seed), "interactions": interactions, "stage": stage}
            found.append({**about, **_measures(rows, told_by)})
    return pd.DataFrame(found)


def _measures(rows: pd.DataFrame, told_by: str) -> dict[str, float]:
    probs, exact = (
        rows[[f"{kind}_{option}" for option in range(3)]].to_numpy(np.float64)[:, None, None]
        for kind in (told_by, "exact")
    )
    probs = probs / probs.sum(axis=-1, keepdims=True)
    choice, truth = probs.argmax(axis=-1), rows["truth"].to_numpy()[:, None, None]
    return {name: float(np.mean(getattr(metrics, name)(probs, choice, truth, exact))) for name in MEASURES}


def by_size(table: pd.DataFrame) -> pd.DataFrame:
    """Return means over the stages after the first round, one row per condition, seed and size."""
    later = table[table["stage"] > 0]
    return later.groupby(["condition", "seed", "interactions"], as_index=False)[list(MEASURES)].mean()


def differences(table: pd.DataFrame, pairs: Sequence[tuple[str, str]] = PAIRS) -> pd.DataFrame:
    """Return the differences between conditions in what `by_size` returns, paired by seed.

    One row per pair, size and measure: the mean, and the 95% interval (low, high) of Student's t over the seeds; NaN
    with one seed.

    >>> rows = [("a", 0, 1.0), ("a", 1, 3.0), ("b", 0, 0.0), ("b", 1, 1.0)]
    >>> table = pd.DataFrame(rows, columns=["condition", "seed", "accuracy"]).assign(interactions=16)
    >>> table = table.assign(agreement=0.0, ece=0.0, kl_exact=0.0)
    >>> one = differences(table, [("a", "b")]).iloc[0]
    >>> one["measure"], float(one["mean"]), round(float(one["low"]), 3), round(float(one["high"]), 3)
    ('accuracy', 1.5, -4.853, 7.853)
    """
    found = []
    for first, second in pairs:
        ours, theirs = (
            table[table["condition"] == name].set_index(["interactions", "seed"])[list(MEASURES)]
            for name in (first, second)
        )
        for interactions, rows in (ours - theirs).dropna().groupby("interactions"):
            for measure in MEASURES:
                values = rows[measure].to_numpy()
                spread = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1) if len(values) > 1 else np.nan
                low, high = values.mean() - spread, values.mean() + spread
                one = {"pair": f"{first} - {second}", "interactions": interactions, "measure": measure}
                found.append({**one, "mean": values.mean(), "low": low, "high": high, "seeds": len(values)})
    return pd.DataFrame(found)
