"""Metrics of runs for a model's page on Hugging Face: ``.eval_results/*.yaml``, and ``model-index`` for its card."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from beliefbench.errors import BeliefBenchError
from beliefbench.folders import write_atomically
from beliefbench.leaderboard.row import Row

SOURCE = "https://github.com/beliefbench/beliefbench"
DATASET = "beliefbench/beliefbench"
CARD_METRICS = ("accuracy", "agreement", "ece", "log_score", "kl_exact")


def write_card(rows: Sequence[Row], out: Path) -> list[Path]:
    """Write the metrics after the last round of one agent's runs; return the two files.

    ``.eval_results/beliefbench.yaml`` is copied to the model's repository. ``model-index.yaml`` is the front matter for
    its README.md.

    Raises
    ------
    BeliefBenchError
        If huggingface_hub is not installed.
    """
    if find_spec("huggingface_hub") is None:
        raise BeliefBenchError(
            "a model card needs huggingface_hub, which is not installed: pip install huggingface_hub"
        )
    from huggingface_hub import EvalResult, EvalResultEntry, eval_result_entries_to_yaml
    from huggingface_hub.repocard_data import eval_results_to_model_index

    entries, results = [], []
    for row in rows:
        fields, final = row.fields, row.final
        said = (
            f"after {final['round']} rounds; {fields['users']} users, {fields['heldout']} held-out sets, seed "
            f"{fields['seed']}, version {fields['domain_version']}"
        )
        for metric in CARD_METRICS:
            if final[metric] is None:
                continue
            entries.append(
                EvalResultEntry(
                    DATASET,
                    f"{fields['domain']}-{metric}",
                    final[metric],
                    date=(row.record.finished or row.record.started)[:19] + "Z",
                    source_url=SOURCE,
                    source_name="beliefbench",
                    notes=said,
                )
            )
            results.append(
                EvalResult(
                    task_type="text-generation",
                    dataset_type=DATASET,
                    dataset_name=f"beliefbench {fields['domain']}",
                    dataset_config=fields["domain"],
                    metric_type=metric,
                    metric_name=f"{metric}, {said}",
                    metric_value=final[metric],
                    source_name="beliefbench",
                    source_url=SOURCE,
                )
            )
    agent = str(rows[0].fields["agent"])
    index: Any = {"model-index": eval_results_to_model_index(agent, results)}
    files = [out / ".eval_results" / "beliefbench.yaml", out / "model-index.yaml"]
    for file, values in zip(files, (eval_result_entries_to_yaml(entries), index), strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode())
    return files
