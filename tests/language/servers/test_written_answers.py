"""The endpoint agent reads written answers as the prompted agent does: as a person reads them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

ANSWERS = Path(__file__).parents[1] / "replies" / "answers"
FILES = sorted(file for file in ANSWERS.glob("*.jsonl") if file.name != "missed.jsonl")


def test_it_reads_them_as_a_person_does(make, server, predict, simulator):
    rows = [json.loads(line) for file in FILES for line in file.read_text().splitlines()]
    readings = {row["text"].strip(): row["reading"] for row in rows if row["item"] == "Flight"}
    says, left = {}, list(readings)
    server.says = lambda question: says.setdefault(question, left.pop() if question not in says else "")
    sets = simulator.options(np.random.default_rng(0), 1, len(readings))
    answers = predict(make(probabilities="none"), sets)
    assert not left
    read = dict(zip(answers.text[0], (answers.choice[0] + 1).tolist(), strict=True))
    assert read == readings
