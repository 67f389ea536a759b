"""A student's model card: a description, the command that trains it again, and its validation results."""

from __future__ import annotations

import json
import shlex
from typing import Any

from beliefbench.teaching.interactions import default_recommender

HOW = {
    "oracle": "the option that the user chose",
    "bayesian": "the exact Bayesian assistant's guess, wrong ones included",
    "posterior": "the exact Bayesian assistant's whole distribution over the options",
}

CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---

# {teacher}-taught

A student of beliefbench: a Llama of {parameters:,} parameters, taught from nothing to recommend an option after it saw
what a user chose in up to {rounds} rounds. Its teacher answers with {how};
the recommendations that stand in its conversations are those of the {recommender}. It reads the words that any
model reads in beliefbench, and nothing else; it knows no language.

Made by

    {command}

on {machine} ({threads}{time}). {interactions:,} interactions on {domain}, {sets} option sets each, every one
drawn afresh and met once: batch {batch}, AdamW, learning rate {learning_rate} after {warmup_steps} steps, cosine to a
twentieth. While it was taught, linear heads on its hidden layers asked for what it had read and for what its teacher
believes about the user (`beliefbench.students.auxiliary_heads`); they are gone. `teaching.json` holds the versions.

Agreement with the exact answer, and KL(exact || student) in nats, on {examined} interactions that it is never taught,
in which the exact assistant recommends; means over {sets} stages:

| interactions | agreement | KL from exact |
|---|---|---|
{curve}

Its tokens are phrases of {domain}, and bytes for all else: other domains it can read, but was never taught to.
"""


def card(record: dict[str, Any], validations: str, model: Any) -> str:
    """Return the card of a student; record as in ``teaching.json``, validations as in ``validation.jsonl``."""
    teacher, history, domain = record["teacher"], record["history"], record["domain"]["name"]
    found = [json.loads(line) for line in validations.splitlines()]
    command = ["beliefbench", "teach", "student", "--teacher", teacher, "--domain", domain]
    if history != default_recommender(teacher):
        command += ["--history", history]
    command += ["--interactions", str(record["interactions"]), "--seed", str(record["seed"]), "--out", "DIR"]
    return CARD.format(
        **{name: record[name] for name in ("teacher", "rounds", "machine", "interactions", "batch", "examined")},
        learning_rate=record["learning_rate"],
        warmup_steps=record["warmup_steps"],
        threads="one thread" if record["threads"] == 1 else f"{record['threads']} threads",
        parameters=model.num_parameters(),
        how=HOW[teacher],
        recommender="oracle" if history == "oracle" else "exact assistant",
        command=shlex.join(command),
        time=_minutes(record["seconds"]) if record["seconds"] else "",
        domain=domain,
        sets=record["rounds"] + 1,
        curve="\n".join(
            f"| {one['step'] * record['batch']:,} | {100 * one['agreement']:.1f}% | {one['kl_exact']:.4f} |"
            for one in found
        ),
    )


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f", {minutes} minutes" if minutes > 1 else ", a minute"
