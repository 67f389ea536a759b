"""Imported data as domains: recorded users, ``released/<name>``, and real products, ``products/<category>``."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from beliefbench.choice_models.catalogue import read_catalogue
from beliefbench.choice_models.shopping import shopping
from beliefbench.domain import Domain, Recorded
from beliefbench.errors import BeliefBenchError
from beliefbench.exact.latents import latent_space
from beliefbench.released.files import read_interactions, read_shopper_heldout
from beliefbench.released.people import with_lapse
from beliefbench.released.shoppers import shopper_domain
from beliefbench.released.storage import (
    HELDOUT,
    INTERACTION,
    PRODUCTS,
    USERS,
    read_record,
)


# One domain a file, last changed at a time: what is compiled is kept by the domain.
@lru_cache(maxsize=16)
def shoppers(folder: Path, changed: int) -> Domain:
    """Return the domain of the imported shoppers whose files are in a folder."""
    interactions, heldout = read_interactions(folder / INTERACTION), read_shopper_heldout(folder / HELDOUT)
    return shopper_domain(f"{USERS}/{folder.name}", interactions, heldout)


@lru_cache(maxsize=16)
def products(file: Path, changed: int) -> Domain:
    """Return the shopping domain of an imported catalogue."""
    return shopping(f"{PRODUCTS}/{file.stem}", version="1", catalogue=read_catalogue(file))


@lru_cache(maxsize=16)
def users(file: Path, changed: int) -> Domain:
    """Return the domain of the imported users in a file, last changed at ``changed`` (ns).

    Raises
    ------
    BeliefBenchError
        If the file cannot be read, or its base domain is not installed.
    """
    from beliefbench.plugins.names import load_domain

    record = read_record(file)
    base = load_domain(record.base)
    options, chosen, heldout, truth = record.arrays()
    latents = None
    known = latent_space(base).size
    if options.shape[-1] != len(base.features) or not all(0 <= one < known for one in record.hypotheses or ()):
        raise BeliefBenchError(f"imported data '{file}' does not fit {base.name}; run `beliefbench import` again.")
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
        name=f"{USERS}/{record.name}",
        heldout="own" if heldout.ndim == 4 else "shared",
        recorded=Recorded(options, chosen, heldout, truth, latents),
        vary=None,
        parameters={**parameters, "recorded": digest},
    )
