"""Runs as an xarray DataTree, the format of ArviZ: answers, truth, exact answers, the skill model's posterior."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beliefbench.leaderboard.naming import group_names, told_apart
from beliefbench.leaderboard.ranking import Leaderboard, read_leaderboard
from beliefbench.leaderboard.row import Row

if TYPE_CHECKING:
    from xarray import Dataset, DataTree


def datatree(results: str | Path = "results/local") -> DataTree:
    """Return all finished runs below a folder as a DataTree.

    Its root has ``posterior``, ``sample_stats`` and ``learning`` of the skill model (`beliefbench.skill.storage`), such
    as accuracy[chain, draw, run, round], if the runs have enough users. If runs have different numbers of rounds, those
    of the other numbers are in ``rounds_<R>``. Runs that can be compared share a node, named by their domain, and if a
    domain has several by what differs, such as ``flights_seed_1``, with

    - ``predictions``: probability[agent, user, round, item, option], NaN if the agent gives none or the answer cannot
      be used, and choice[agent, user, round, item], -1 if the answer cannot be used, -2 if the user was not asked;
    - ``observed_data``: truth[user, item];
    - ``constant_data``: exact[user, round, item, option], the exact posterior predictive.

    An item is a held-out set. ``beliefbench export`` writes this tree, and `xarray.open_datatree` reads it.

    Raises
    ------
    UsageError
        If the folder does not exist.

    >>> import beliefbench as bb, tempfile
    >>> results = tempfile.mkdtemp()
    >>> _ = bb.run("flights", "random", users=2, rounds=1, heldout=5, results=results)
    >>> tree = datatree(results)
    >>> dict(tree["flights/predictions"].sizes)
    {'agent': 1, 'user': 2, 'round': 2, 'item': 5, 'option': 3}
    """
    return tree_of(read_leaderboard(results), Path(results))


def tree_of(board: Leaderboard, results: Path) -> DataTree:
    """Return the DataTree of a leaderboard that was read from a folder."""
    from xarray import DataTree

    nodes: dict[str, Any] = {}
    for number, tree in board.posteriors(results).items():
        at = "" if not nodes else f"rounds_{number}/"
        nodes |= {f"{at}{name}": node.to_dataset() for name, node in tree.children.items()}
    taken = {node.partition("/")[0] for node in nodes}
    groups = board.groups()
    names = group_names(groups)
    plain = [re.sub(r"[^\w.-]+", "_", name).strip(".") or "_" for name in names]
    for group, name in zip(groups, told_apart(names, plain, taken), strict=True):
        nodes |= {f"{name}/{part}": dataset for part, dataset in _datasets(group).items()}
    return DataTree.from_dict(nodes)


def _datasets(group: list[Row]) -> dict[str, Dataset]:
    from xarray import Dataset

    answers = [row.answers() for row in group]
    users = np.unique(np.concatenate([one.users for one in answers]))
    stages, items = answers[0].choice.shape[1:]
    probability = np.full((len(group), len(users), stages, items, 3), np.nan, np.float32)
    choice = np.full((len(group), len(users), stages, items), -2, np.int8)
    truth, exact = np.empty((len(users), items), np.int8), np.empty((len(users), stages, items, 3))
    for number, one in enumerate(answers):
        at = np.searchsorted(users, one.users)
        choice[number, at], truth[at], exact[at] = one.choice, one.truth[:, 0], one.exact
        if one.probs is not None:
            probability[number, at] = one.probs
    fields = group[0].fields
    coords = {"user": users, "round": np.arange(stages), "item": np.arange(items), "option": np.arange(3)}
    names = {"agent": [row.label for row in group], "run": ("agent", [row.folder.name for row in group])}
    answered = ("agent", "user", "round", "item")
    told = {name: str(fields[name]) for name in ("domain", "domain_version", "seed", "agreement_rule")}
    return {
        "predictions": Dataset(
            {"probability": ((*answered, "option"), probability), "choice": (answered, choice)}, coords | names, told
        ),
        "observed_data": Dataset(
            {"truth": (("user", "item"), truth)}, {name: coords[name] for name in ("user", "item")}
        ),
        "constant_data": Dataset({"exact": (("user", "round", "item", "option"), exact)}, coords),
    }


def compressed(tree: DataTree) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the encoding by which a DataTree's numbers are packed without loss, for ``to_netcdf``."""
    return {
        node.path: {str(name): {"zlib": True} for name, value in node.data_vars.items() if value.dtype.kind != "U"}
        for node in tree.subtree
        if node.data_vars
    }
