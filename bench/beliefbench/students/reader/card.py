"""A reader's model card: a description, the command that trains it again, and its examinations."""

from __future__ import annotations

import json
from typing import Any

from beliefbench.students.card import HOW

CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---

# {teacher}-taught reader

This is a reader of beliefbench: a Llama with {parameters:,} parameters. It was trained from nothing, on synthetic
domains only, to recommend one of three options after up to {rounds} rounds, given the user's choices in these rounds.

- **Teacher**: answers with {how}.
- **Chat template**: it rewrites the conversation before the model reads it. It splits the options into lines and
  entries, puts those of the three options side by side as a table, and numbers the rows. After each round it writes the
  table with the chosen option first. The model sees no labels and no entries of lists. It sees the numbers of the rows,
  values with their units, and which options have an entry. It has to find out itself how numbers compare, what choices
  tell about each row, and which option is best.

## Training

    {command}

- On {machine}.
- {interactions:,} interactions, each on a synthetic domain of its own.
- During training, linear heads on the hidden layers predicted steps towards the answer
  (`beliefbench.students.reader.heads`). They are not part of this model.

`teaching.json` has the versions.

## Results

On {examined} interactions of {rounds} rounds on synthetic domains that are never taught. Agreement with the exact
answer, and KL(exact || reader) in nats, are means over {rounds} + 1 stages. The last column is the share of the
distance from chance to the exact answer after {rounds} rounds, measured by the exact probability that the user chooses
the option that the reader names.

| interactions | agreement | KL from exact | closed after {rounds} rounds |
|---|---|---|---|
{curve}

## Limits

It reads questions about three options, whose parts have labels (`price: $10`). A part without a label belongs to the
label before it, and text before the first label is left out. A conversation in another form is refused.
"""


def card(record: dict[str, Any], validations: str, parameters: int, examined: int, rounds: int) -> str:
    """Return the card of a reader.

    Parameters
    ----------
    record, validations
        As in ``teaching.json`` and ``validation.jsonl``.
    parameters
        The number of the model's parameters.
    examined, rounds
        The interactions of an examination, and the rounds of each.
    """
    found = [json.loads(line) for line in validations.splitlines()]
    rows = [
        f"| {one['step'] * record['batch']:,} | {100 * one['agreement']:.1f}% | {one['kl_exact']:.4f} "
        f"| {100 * one[f'closed_{rounds}']:.0f}% |"
        for one in found
    ]
    command = (
        f"beliefbench teach reader --teacher {record['teacher']} --interactions {record['interactions']} "
        f"--batch {record['batch']} --seed {record['seed']} --out DIR"
    )
    return CARD.format(
        **{name: record[name] for name in ("teacher", "machine", "interactions")},
        parameters=parameters,
        how=HOW[record["teacher"]],
        command=command,
        examined=examined,
        rounds=rounds,
        curve="\n".join(rows),
    )
