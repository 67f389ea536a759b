"""Imported users as domains, ``released/<name>``: the domain whose texts they read, with what they chose."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from bench.domain import Domain, Recorded
from bench.enumeration import latent_space
from bench.released.people import with_lapse
from bench.released.record import read_record, record_files
from bench.sources import Source


def released_sources() -> list[Source]:
    """Return the domains in the folder of imported data, none of them read yet."""
    return [
        Source(f"released/{file.stem}", f"imported, {file}", partial(_load, file), str(file)) for file in record_files()
    ]


def _load(file: Path) -> Domain:
    return released_domain(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=16)  # one domain a file, since what is compiled is kept by the domain
def released_domain(file: Path, changed: int) -> Domain:
    """Return the domain of the imported users in a file, last changed at ``changed`` (ns).

    Raises
    ------
    BeliefBenchError
        Where the file cannot be read, or the domain that it builds on is not installed.
    """
    from bench.plugins import load_domain

    record = read_record(file)
    base = load_domain(record.base)
    options, chosen, heldout, truth = record.arrays()
    latents = None
    if record.lapse is not None:
        base = with_lapse(base, record.lapse)
        lapse = np.array(record.lapse)[:, None, None, None]
        options, heldout = (
            np.concatenate([sets, np.broadcast_to(lapse, (*sets.shape[:-1], 1))], axis=-1)
            for sets in (options, heldout)
        )
    if record.hypotheses is not None:
        latents = {
            name: np.asarray(value) for name, value in latent_space(base).values(np.array(record.hypotheses)).items()
        }
    parameters = {**base.parameters}
    if record.lapse is not None:
        parameters["exact_answer"] = (
            f"takes a share of choices for random, {min(record.lapse):.0%} to {max(record.lapse):.0%}, fitted for each "
            "person on all the others"
        )
    digest = hashlib.sha256(record.model_dump_json().encode()).hexdigest()
    return replace(
        base,
        name=f"released/{record.name}",
        heldout="own" if heldout.ndim == 4 else "shared",
        recorded=Recorded(options, chosen, heldout, truth, latents),
        vary=None,
        parameters={**parameters, "recorded": digest},
    )
