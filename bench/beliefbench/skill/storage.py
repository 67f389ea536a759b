"""Posteriors of the skill model on disk: fitted once for the same answers, in a format that ArviZ opens.

Anybody can write a file in a folder of results. So the digest of each posterior that was fitted here is kept in the
user's cache folder (`beliefbench.running.derived`), and a file with another digest counts as none.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from beliefbench.errors import BeliefBenchError
from beliefbench.running.derived import keep, key_of, recalled
from beliefbench.running.files import is_plain
from beliefbench.skill.counts import FOLDER, Comparable
from beliefbench.skill.learning import Curve, compare_curves

if TYPE_CHECKING:
    from xarray import DataTree

_fitted_here: dict[str, str] = {}
"""The digests of the posteriors that this process fitted, by their keys: the cache folder may be read-only."""

VERSION = 4
"""The version of the model and its sampler. A posterior of another version is not used."""


def stored_posterior(groups: Sequence[Comparable], labels: Sequence[str], results: Path) -> DataTree | None:
    """Return the posterior of the skill model from ``<results>/skill/``; None if it was not fitted yet.

    A file that is damaged, or was not fitted on this machine to these answers by this code, counts as none.
    """
    file = posterior_file(groups, labels, results)
    try:
        if not is_plain(file) or _digest(file) not in (_fitted_here.get(file.stem), recalled(_kept_key(file))):
            return None
        from xarray import open_datatree  # takes a second to load

        with open_datatree(file, engine="h5netcdf") as tree:
            return tree.load()
    except (OSError, ValueError, BeliefBenchError):  # there is none, or it is damaged
        return None


def posterior_of(groups: Sequence[Comparable], labels: Sequence[str], results: Path) -> DataTree:
    """Return the posterior of the skill model for groups of runs. It is read from ``<results>/skill/`` if it was fitted
    before.

    Nodes posterior (accuracy[chain, draw, run, round]; closed[chain, draw, agent, round]; exact[chain, draw, group,
    round]; and the scales of `beliefbench.skill.model`) and sample_stats (diverging[chain, draw]); ``run`` has one
    label per run. With at least 2 rounds there is also learning: the fields of `beliefbench.skill.learning.Curve`[run,
    curve]. If the folder cannot be written, the posterior is not stored.
    """
    stored = stored_posterior(groups, labels, results)
    if stored is not None:
        return stored
    tree = _fitted(groups, labels)
    file = posterior_file(groups, labels, results)
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        tree.to_netcdf(draft, engine="h5netcdf")
        _fitted_here[file.stem] = _digest(draft)
        keep(_kept_key(file), _fitted_here[file.stem])
        draft.replace(file)
    except OSError:
        draft.unlink(missing_ok=True)
    return tree


def _fitted(groups: Sequence[Comparable], labels: Sequence[str]) -> DataTree:
    from arviz_base import from_dict
    from xarray import Dataset

    from beliefbench.skill import model  # loads JAX

    drawn = model.fit(groups)
    posterior = {"accuracy": drawn.accuracy, **drawn.sites}
    tree = from_dict(
        {
            # Single precision, before any diagnostic: what is shown is then what is stored.
            "posterior": {name: np.asarray(value, np.float32) for name, value in posterior.items()},
            "sample_stats": {"diverging": drawn.diverging},
        },
        coords={
            "run": list(labels),
            "agent": model.agents_of(groups),
            "round": np.arange(drawn.accuracy.shape[-1]),
        },
        dims={
            "accuracy": ["run", "round"],
            "closed": ["agent", "round"],
            "exact": ["group", "round"],
        },
    )
    curves = [compare_curves(run) for group in groups for run in group.runs]
    if curves[0]:
        fields = {
            field: (("run", "curve"), [[getattr(curve, field) for curve in run.values()] for run in curves])
            for field in Curve._fields
        }
        tree["learning"] = Dataset(fields, {"run": list(labels), "curve": list(curves[0])})
    return tree


def curves_of(tree: DataTree, run: int) -> dict[str, Curve]:
    """Return the learning curves of a run, by its position among all runs, from the result of `posterior_of`."""
    if "learning" not in tree:
        return {}
    learning = tree["learning"].to_dataset().isel(run=run).to_dataframe()
    return {str(name): Curve(*map(float, curve)) for name, curve in learning[list(Curve._fields)].iterrows()}


def posterior_file(groups: Sequence[Comparable], labels: Sequence[str], results: Path) -> Path:
    """Return the file that holds the posterior of the skill model for groups of runs, once it is fitted."""
    return results / FOLDER / f"{_key(groups, labels)}.nc"


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _kept_key(file: Path) -> str:
    return key_of("posterior", fit=file.stem)


def _key(groups: Sequence[Comparable], labels: Sequence[str]) -> str:
    """Return the identity of a fit: the model, the runs, and their counts."""
    digest = hashlib.sha256(
        json.dumps([VERSION, list(labels), [[list(one.agents), sorted(one.privileged)] for one in groups]]).encode()
    )
    for group in groups:
        for run in group.runs:
            digest.update(np.ascontiguousarray(run.users, "<i8").tobytes())
            for answers in (run.right, run.exact):
                digest.update(np.ascontiguousarray(answers, "<f8").tobytes())
            digest.update(str((run.right.shape, run.heldout)).encode())
    return digest.hexdigest()[:16]
