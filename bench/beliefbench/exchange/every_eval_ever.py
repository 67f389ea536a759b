"""Runs in the schema of Every Eval Ever (version 0.3): a file of metrics a run, and one of its answers."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from beliefbench.domain import Domain
from beliefbench.errors import BeliefBenchError
from beliefbench.folders import file_name, write_atomically
from beliefbench.language.questions import words
from beliefbench.leaderboard.row import Row
from beliefbench.plugins.names import load_domain
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.running.provenance import now

SCHEMA = "0.3.0"
SOURCE = "https://github.com/beliefbench/beliefbench"
METRICS: dict[str, tuple[str, bool, float, float]] = {
    "accuracy": ("proportion", False, 0.0, 1.0),
    "agreement": ("proportion", False, 0.0, 1.0),
    "log_score": ("nats", True, 0.0, 13.82),
    "brier": ("squared distance", True, 0.0, 2.0),
    "ece": ("proportion", True, 0.0, 1.0),
    "kl_exact": ("nats", True, 0.0, 13.82),
}
"""The unit, whether lower is better, and the range of each metric."""
HOSTS = {
    *("hf", "vllm", "sglang", "ollama", "llama-cpp-python", "transformer_lens", "nnterp", "mockllm", "openai-api"),
    *("openrouter", "together", "groq", "fireworks", "sambanova", "cloudflare", "azureai", "bedrock", "vertex"),
}
"""Providers of Inspect that run models which others made."""


def write_runs(rows: Sequence[Row], out: Path) -> tuple[list[Path], list[str]]:
    """Write runs to ``out/data/beliefbench/<developer>/<model>/``; return the files of metrics, and what is left out.

    A run has the same file name each time. The answers are those to held-out sets after the last round.
    """
    files, problems = [], []
    for row in rows:
        developer, model = _names(row)
        name = str(uuid.UUID(bytes=hashlib.sha256(row.record.key.encode()).digest()[:16], version=4))
        place = Path("data") / "beliefbench" / file_name(developer) / file_name(model)
        evaluation = f"beliefbench/{file_name(developer)}_{file_name(model)}/{name}"
        (out / place).mkdir(parents=True, exist_ok=True)
        record = aggregate(row, evaluation)
        try:
            text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in instances(row, evaluation))
        except BeliefBenchError as error:
            problems.append(f"the answers of {row.folder} are left out: {error}")
        else:
            samples = place / f"{name}_samples.jsonl"
            write_atomically(out / samples, text.encode())
            record["detailed_evaluation_results"] = {
                "format": "jsonl",
                "file_path": samples.as_posix(),
                "hash_algorithm": "sha256",
                "checksum": hashlib.sha256(text.encode()).hexdigest(),
                "total_rows": text.count("\n"),
            }
        file = out / place / f"{name}.json"
        write_atomically(file, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
        files.append(file)
    return files, problems


def _names(row: Row) -> tuple[str, str]:
    """Return the developer and the model: of ``prompted:org/model`` these, of ``prompted:model`` unknown and the model,
    and of an agent that is no language model beliefbench and its name."""
    kind, colon, model = str(row.fields["agent"]).partition(":")
    if not colon:
        return "beliefbench", kind
    host, slash, hosted = model.partition("/")
    if kind == "inspect" and slash and host in HOSTS:
        model = hosted
    developer, slash, name = model.partition("/")
    return (developer, name) if slash and developer and name else ("unknown", model or kind)


def aggregate(row: Row, evaluation: str) -> dict[str, Any]:
    """Return the file of metrics of a run, without its answers."""
    record = row.record
    finished = record.finished or record.started
    developer, model = _names(row)
    # An agent that is no model, such as `bayesian`, runs here too.
    where = "unknown" if row.record.machine.get("server") else "self_deployed"
    return {
        "schema_version": SCHEMA,
        "evaluation_id": evaluation,
        "evaluation_timestamp": str(datetime.fromisoformat(record.started).timestamp()),
        "retrieved_timestamp": str(datetime.fromisoformat(now()).timestamp()),
        "source_metadata": {
            "source_name": "beliefbench",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "source_organization_url": SOURCE,
            "evaluator_relationship": "other",
        },
        "eval_library": {
            "name": "beliefbench",
            "version": record.versions.get("beliefbench", version("beliefbench")),
            "additional_details": {"run": record.key, "finished": finished},
        },
        "model_info": {
            "name": str(row.fields["agent"]),
            "id": f"{developer}/{model}",
            "developer": developer,
            "additional_details": {
                "deployment_type": where,
                "model_availability": "unknown",
                "privileged": str(row.fields["privileged"]).lower(),
                "note": row.note or "",
            },
        },
        "evaluation_results": list(_results(row)),
    }


def _results(row: Row) -> Iterator[dict[str, Any]]:
    fields, last = row.fields, row.rounds[-1]["round"]
    settings = {name: str(fields[name]) for name in ("domain_version", "seed", "users", "heldout")}
    for one in row.rounds:
        for metric, (unit, lower, least, most) in METRICS.items():
            if one[metric] is None or (metric != "accuracy" and one["round"] != last):
                continue
            score: dict[str, Any] = {"score": one[metric]}
            uncertainty: dict[str, Any] = {"num_samples": fields["users"] * fields["heldout"]}
            if metric == "accuracy" and one["accuracy_lo"] is not None:
                uncertainty["confidence_interval"] = {
                    "lower": one["accuracy_lo"],
                    "upper": one["accuracy_hi"],
                    "confidence_level": 0.95,
                    "method": "Wilson, clustered by user",
                }
            yield {
                "evaluation_result_id": f"{fields['domain']}/{metric}/{one['round']}",
                "evaluation_name": f"beliefbench {fields['domain']}, after {one['round']} rounds",
                "source_data": {
                    "dataset_name": f"beliefbench/{fields['domain']}",
                    "source_type": "other",
                    "additional_details": {**settings, "rounds": str(last)},
                },
                "metric_config": {
                    "evaluation_description": f"{metric} on held-out sets after {one['round']} rounds",
                    "metric_id": f"beliefbench.{metric}",
                    "metric_name": metric,
                    "metric_kind": metric,
                    "metric_unit": unit,
                    "lower_is_better": lower,
                    "score_type": "continuous",
                    "min_score": least,
                    "max_score": most,
                },
                "score_details": {**score, "uncertainty": uncertainty},
            }


def instances(row: Row, evaluation: str) -> Iterator[dict[str, Any]]:
    """Yield the answers to held-out sets after the last round; the input is the question without the rounds before.

    Raises
    ------
    BeliefBenchError
        If the domain is not installed here, or is another version.
    """
    identity = row.record.identity
    domain = load_domain(identity.domain.name)
    if domain.identity() != identity.domain.model_dump():
        raise BeliefBenchError(f"{identity.domain.name} is another version here.")
    protocol = Protocol(identity.users, identity.rounds, identity.heldout, identity.seed)
    episodes = Episodes(domain, protocol)
    place = {int(user): at for at, user in enumerate(episodes.users)}
    developer, model = _names(row)
    last = row.rounds[-1]["round"]
    table = row.answers()
    for at, user in enumerate(table.users):
        sets = episodes.heldout[place[int(user)]] if episodes.heldout.ndim == 4 else episodes.heldout
        for number, options in enumerate(sets):
            choice, truth = int(table.choice[at, -1, number]), int(table.truth[at, -1, number])
            said = words.answer(domain.item, choice)
            yield {
                "schema_version": SCHEMA,
                "evaluation_id": evaluation,
                "model_id": f"{developer}/{model}",
                "evaluation_name": f"beliefbench {row.fields['domain']}, after {last} rounds",
                "evaluation_result_id": f"{row.fields['domain']}/accuracy/{last}",
                "sample_id": f"{user}/{last}/{number}",
                "interaction_type": "single_turn",
                "input": {
                    "raw": _question(domain, options),
                    "reference": [words.answer(domain.item, truth)],
                    "choices": [words.answer(domain.item, option) for option in range(3)],
                },
                "output": {"raw": [said]},
                "answer_attribution": [
                    {
                        "turn_idx": 0,
                        "source": "output.raw",
                        "extracted_value": said,
                        "extraction_method": "beliefbench",
                        "is_terminal": True,
                    }
                ],
                "evaluation": {"score": float(choice == truth), "is_correct": choice == truth},
                "metadata": {"user": str(user), "round": str(last), "set": str(number)},
            }


def _question(domain: Domain, options: Any) -> str:
    return words.question(domain.item, [domain.describe(option) for option in options])
