"""A student's model card: a description, the command that trains it again, and its validation results."""

from __future__ import annotations

import json
import shlex
from typing import Any

from beliefbench.teaching.interactions import default_recommender

HOW = {
    "oracle": "the option that the user chose",
    "bayesian": "the exact Bayesian assistant's guess, right or wrong",
    "posterior": "the exact Bayesian assistant's whole distribution over the options",
}

CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---

# {teacher}-taught

This is a student of beliefbench: a Llama with {parameters:,} parameters. It was trained from nothing to recommend an
option after up to {rounds} rounds, given the user's choices in these rounds.

- **Teacher**: answers with {how}.
- **Recommendations in the training conversations**: made by the {recommender}.
- **Language**: it reads the words that beliefbench shows to any model. It knows no other language.

## Training

    {command}

- On {machine} ({threads}{time}).
- {interactions:,} interactions on {domain}, {sets} option sets each. Every interaction is drawn anew and used once.
- Batch {batch}, AdamW, learning rate {learning_rate} after {warmup_steps} warm-up steps, cosine schedule down to a
  twentieth of it.
- During training, linear heads on the hidden layers predicted what the student had read and what its teacher believed
  about the user (`beliefbench.students.auxiliary_heads`). They are not part of this model.

`teaching.json` has the versions.

## Results

Agreement with the exact answer, and KL(exact || student) in nats, on {examined} interactions that are never taught. The
exact assistant makes the recommendations. Values are means over {sets} stages.

| interactions | agreement | KL from exact |
|---|---|---|
{curve}

## Limits

It has one token for each phrase of {domain}, and reads all other text byte by byte. It can read other domains, but it
was never taught to.
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
