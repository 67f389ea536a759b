"""The sources of imported domains. Nothing heavy is loaded, and no domain is read, before a domain is loaded by
name."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from beliefbench.plugins.sources import Source
from beliefbench.released.storage import HELDOUT, PRODUCTS, USERS, product_files, record_files, shopper_folders

if TYPE_CHECKING:
    from beliefbench.domain import Domain


def released_sources() -> list[Source]:
    """Return the domains in the folder of imported data."""
    found = (
        (USERS, record_files(), _users),
        (USERS, shopper_folders(), _shoppers),
        (PRODUCTS, product_files(), _products),
    )
    return [
        Source(f"{kind}/{path.stem}", f"imported, {path}", partial(load, path), str(path))
        for kind, paths, load in found
        for path in paths
    ]


def _users(file: Path) -> Domain:
    from beliefbench.released import domains

    return domains.users(file, file.stat().st_mtime_ns)


def _shoppers(folder: Path) -> Domain:
    from beliefbench.released import domains

    return domains.shoppers(folder, (folder / HELDOUT).stat().st_mtime_ns)


def _products(file: Path) -> Domain:
    from beliefbench.released import domains

    return domains.products(file, file.stat().st_mtime_ns)
