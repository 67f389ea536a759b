"""The folder of imported data: recorded users and catalogues, a file or a folder for each domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from beliefbench.choice_models.catalogue import Catalogue, read_catalogue
from beliefbench.domain import OPTIONS
from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.folders import data_folder, regular, write_atomically
from beliefbench.released.files import read_interactions, read_shopper_heldout

USERS, PRODUCTS = "released", "products"
INTERACTION, HELDOUT = "interaction.jsonl", "heldout.jsonl"


class RecordedUsers(BaseModel):
    """The imported data of one domain: the options that its users saw, their choices, and the files they come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: str
    """Its domain is ``released/<name>``."""
    base: str
    """The domain with these features and texts."""
    sources: dict[str, str]
    """{file name: SHA-256}."""
    options: list[list[list[list[float]]]]
    """[users][rounds][3][features]."""
    chosen: list[list[int]]
    heldout: list[list[list[float]]] | None
    """[sets][3][features], the same for all; None: the last round of each user is held out."""
    truth: list[list[int]] | None
    """[users][sets]."""
    hypotheses: list[int] | None
    """The hypothesis of ``base`` for each user; None for people, whose weights are unknown."""
    lapse: list[float] | None
    """For people: the share of choices made at random, fitted on all other people."""

    @property
    def sizes(self) -> dict[str, int]:
        """The numbers of users, and of what each of them has."""
        _, chosen, _, truth = self.arrays()
        return {"users": len(chosen), "rounds": chosen.shape[1], "held-out sets": truth.shape[1]}

    @model_validator(mode="after")
    def _fits_together(self) -> RecordedUsers:
        try:
            options, chosen, heldout, truth = self.arrays()
        except (IndexError, ValueError) as error:
            raise ValueError("lists of different lengths, or none") from error
        users, features = len(options), options.shape[-1]
        whole = [
            one.size == 0 or (one.dtype.kind == "i" and 0 <= one.min() <= one.max() < OPTIONS)
            for one in (chosen, truth)
        ]
        if not (
            users > 0
            and options.shape == (*chosen.shape, OPTIONS, features)
            and heldout.shape[-2:] == (OPTIONS, features)
            and truth.shape == (users, heldout.shape[-3])
            and np.isfinite(options).all()
            and np.isfinite(heldout).all()
            and all(whole)
        ):
            raise ValueError("options and choices do not fit together")
        if any(one is not None and len(one) != users for one in (self.hypotheses, self.lapse)):
            raise ValueError("expected one hypothesis, or one lapse, a user")
        if not all(0 < lapse < 1 for lapse in self.lapse or ()):
            raise ValueError("a lapse is between 0 and 1")
        return self

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return options, chosen, heldout and truth as `beliefbench.Recorded` has them."""
        options, chosen = np.array(self.options, dtype=float), np.array(self.chosen)
        if self.heldout is None or self.truth is None:
            return options[:, :-1], chosen[:, :-1], options[:, -1:], chosen[:, -1:]
        return options, chosen, np.array(self.heldout, dtype=float), np.array(self.truth)


def record_files() -> list[Path]:
    """Return the files of imported users, one a domain."""
    return sorted((data_folder() / USERS).glob("*.json"))


def shopper_folders() -> list[Path]:
    """Return the folders of imported shoppers, one a domain, each with an interaction and a held-out file."""
    return sorted(file.parent for file in (data_folder() / USERS).glob(f"*/{HELDOUT}"))


def product_files() -> list[Path]:
    """Return the files of imported catalogues, one a domain."""
    return sorted((data_folder() / PRODUCTS).glob("*.json"))


def expect_no_less(at: Path, before: Mapping[str, int] | None, now: Mapping[str, int], source: Path) -> None:
    """Raise `UsageError` if a source has less of something than what was imported before, which it would replace.

    Parameters
    ----------
    at
        Where the imported data is.
    before, now
        {noun: number}, such as ``{"users": 12, "held-out sets": 6}``; None: nothing was imported, or it is damaged.
    """
    if before is not None and any(now[noun] < number for noun, number in before.items()):
        has, had = (", ".join(f"{number:,} {noun}" for noun, number in one.items()) for one in (now, before))
        raise UsageError(
            f"{source} has {has}; {at} was imported with {had}, and is kept: name the folder with all the files, or "
            f"remove {at} first."
        )


def read_record(file: Path) -> RecordedUsers:
    """Return the users in a file. Raises `BeliefBenchError` if it cannot be read."""
    try:
        return RecordedUsers.model_validate_json(regular(file).read_bytes())
    except (OSError, ValidationError) as error:
        raise BeliefBenchError(f"imported data '{file}' cannot be read; run `beliefbench import` again.") from error


def write_record(record: RecordedUsers, source: Path) -> None:
    """Write users from a file into the folder of imported data; raise `UsageError` if there is more already."""
    file = data_folder() / USERS / f"{record.name}.json"
    expect_no_less(file, _if_sound(lambda: read_record(file).sizes), record.sizes, source)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, (record.model_dump_json() + "\n").encode())


def write_shoppers(name: str, interaction: Path, heldout: Path) -> None:
    """Copy the files of shoppers into the folder of imported data; the held-out file comes last and completes them.

    Raises `UsageError` if there is more already.
    """
    folder = data_folder() / USERS / name
    before = _if_sound(partial(_shoppers, folder / INTERACTION, folder / HELDOUT))
    expect_no_less(folder, before, _shoppers(interaction, heldout), interaction)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / INTERACTION, interaction.read_bytes())
    write_atomically(folder / HELDOUT, heldout.read_bytes())


def write_products(catalogues: Mapping[str, Catalogue], source: Path) -> None:
    """Write catalogues from a file into the folder of imported data; raise `UsageError` if one has more already."""
    files = {name: data_folder() / PRODUCTS / f"{name}.json" for name in catalogues}
    for name, catalogue in catalogues.items():
        before = _if_sound(partial(_products, files[name]))
        expect_no_less(files[name], before, {"products": len(catalogue.products)}, source)
    for name, catalogue in catalogues.items():
        files[name].parent.mkdir(parents=True, exist_ok=True)
        write_atomically(files[name], (catalogue.model_dump_json(exclude_none=True) + "\n").encode())


def _shoppers(interaction: Path, heldout: Path) -> dict[str, int]:
    users, sets = read_interactions(interaction), read_shopper_heldout(heldout)
    least = min(len(own.options) for own in sets)
    return {"users": len(users), "rounds": len(users[0].options), "held-out sets": least}


def _products(file: Path) -> dict[str, int]:
    return {"products": len(read_catalogue(file).products)}


def _if_sound(sizes: Callable[[], dict[str, int]]) -> dict[str, int] | None:
    """Return the sizes of imported data; None if there is none, or none that can be read."""
    try:
        return sizes()
    except BeliefBenchError:
        return None
