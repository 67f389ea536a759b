"""Ways to publish what no agent answered, with the suite's own `publish` and nothing that a stranger has not."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import beliefbench as bb
from beliefbench.publishing.publish import publish
from beliefbench.running.store import run_key

SHAPE: dict[str, Any] = {"users": 24, "rounds": 2, "heldout": 8}
SMOLLM2 = {"model": {"weights": "0" * 64, "dtype": "float32"}, "asks": "scores the paper's answers"}


class Presented:
    """An agent under another's name and identity."""

    def __init__(self, inner: Any, name: str, identity: Mapping[str, Any]) -> None:
        self.inner, self.name, self.told = inner, name, identity
        self.version, self.probabilistic, self.privileged = "1", inner.probabilistic, inner.privileged
        self.begin, self.predict, self.observe = inner.begin, inner.predict, inner.observe

    def identity(self) -> Mapping[str, Any]:
        return self.told


def presented(out: Path, by: str, name: str, spec: str | None, identity: Mapping[str, Any] | None = None) -> Path:
    """Publish the answers of an agent as those of another that is not privileged."""
    domain = bb.load_domain("flights-2")
    agent = Presented(bb.load_agent(by, domain), name, identity or {})
    done = bb.run(domain, agent, **SHAPE, results=tempfile.mkdtemp())
    edit(done.folder, spec=spec, agent={"privileged": False})
    return publish(done.folder, out).folder


def edit(folder: Path, **changes: Any) -> None:
    record = json.loads((folder / "run.json").read_text())
    for name, value in changes.items():
        record[name] = {**record[name], **value} if isinstance(value, dict) else value
    (folder / "run.json").write_text(json.dumps(record))


def rewritten(out: Path, agent: str, columns: Mapping[str, str]) -> Path:
    """Publish the run of an agent with some columns of its answers replaced by others."""
    done = bb.run("flights-2", agent, **SHAPE, results=tempfile.mkdtemp())
    file = done.folder / "rows.parquet"
    rows = pq.read_table(file, partitioning=None)
    heldout = pa.compute.not_equal(rows["question"], -1)
    for name, other in columns.items():
        value = rows[other].cast(rows.schema.field(name).type)
        if name.startswith("exact"):
            value = pa.compute.if_else(heldout, value, None)
        rows = rows.set_column(rows.column_names.index(name), rows.schema.field(name), value)
    pq.write_table(rows, file)
    return publish(done.folder, out).folder


def other_settings(out: Path) -> Path:
    """A run of `random`, published as one with a setting that it never had."""
    done = bb.run("flights-2", "random", **SHAPE, results=tempfile.mkdtemp())
    record = json.loads((done.folder / "run.json").read_text())
    record["identity"]["agent"]["reasoning"] = "high"
    record["key"] = run_key(record["identity"])
    (done.folder / "run.json").write_text(json.dumps(record))
    return publish(done.folder, out).folder


def invented_note(out: Path) -> Path:
    done = bb.run("flights-2", "random", **SHAPE, results=tempfile.mkdtemp())
    machine = {"system": "quantum", "cores": "4096", "executor": "local"}
    edit(done.folder, agent={"note": "405B, 8 GPUs"}, machine=machine, seconds=0.0)
    return publish(done.folder, out).folder


FORGERIES: dict[str, Callable[[Path], Path]] = {
    "random, always right": lambda out: rewritten(out, "random", {"choice": "truth"}),
    "the exact answers as a language model's": lambda out: presented(
        out, "bayesian", "prompted:smollm2", "prompted:smollm2", SMOLLM2
    ),
    "the exact answers as a server's": lambda out: presented(
        out, "bayesian", "endpoint:gpt-5", "endpoint:gpt-5", {"model": "gpt-5"}
    ),
    "the exact answers as random's": lambda out: presented(out, "bayesian", "random", "random"),
    "the oracle, not privileged": lambda out: presented(out, "oracle", "oracle", "oracle"),
    "the oracle with a SPEC that cannot be loaded": lambda out: presented(out, "oracle", "genius", "genius"),
    "the oracle with the SPEC of another agent": lambda out: presented(out, "oracle", "genius", "random"),
    "random with its own answers as the exact ones": lambda out: rewritten(
        out, "random", {f"exact_{option}": f"prob_{option}" for option in range(3)}
    ),
    "random with a setting that it never had": other_settings,
    "an invented note, time and machine": invented_note,
}
"""Ten forgeries by name; each publishes a run in a folder and returns its own folder."""
