"""A posterior is used only if it was fitted here, to these answers: anybody can write a file in a folder of results."""

from __future__ import annotations

import numpy as np
import pytest

from beliefbench.skill import storage
from beliefbench.skill.counts import Comparable, Counts
from beliefbench.skill.storage import posterior_file, posterior_of, stored_posterior

LABELS = ["a", "b"]


def groups(first: int) -> list[Comparable]:
    right = np.full((10, 2), first)
    return [Comparable(LABELS, [Counts(np.arange(10), one, 20, exact=right) for one in (right, right + 1)])]


def tree(accuracy: float):
    from xarray import Dataset, DataTree

    return DataTree.from_dict({"posterior": Dataset({"accuracy": (("run", "round"), np.full((2, 2), accuracy))})})


@pytest.fixture
def fits(monkeypatch) -> list[int]:
    """One entry for each fit; what is fitted says 0.5."""
    made: list[int] = []
    monkeypatch.setattr(storage, "_fitted", lambda groups, labels: (made.append(1), tree(0.5))[1])
    return made


def said(found) -> float:
    return float(found["posterior"]["accuracy"].max())


def test_an_edited_posterior_is_fitted_again(tmp_path, fits, monkeypatch):
    posterior_of(groups(9), LABELS, tmp_path)
    assert said(posterior_of(groups(9), LABELS, tmp_path)) == 0.5
    monkeypatch.setattr(storage, "_fitted_here", {})  # as another process: the digest is in the cache folder
    assert said(stored_posterior(groups(9), LABELS, tmp_path)) == 0.5
    assert fits == [1]
    tree(0.99).to_netcdf(posterior_file(groups(9), LABELS, tmp_path), engine="h5netcdf")
    assert stored_posterior(groups(9), LABELS, tmp_path) is None
    assert said(posterior_of(groups(9), LABELS, tmp_path)) == 0.5
    assert fits == [1, 1]


def test_the_posterior_of_other_answers_is_not_used(tmp_path, fits):
    posterior_of(groups(9), LABELS, tmp_path)
    file = posterior_file(groups(9), LABELS, tmp_path)
    file.rename(posterior_file(groups(3), LABELS, tmp_path))
    posterior_of(groups(9), LABELS, tmp_path)
    posterior_of(groups(5), LABELS, tmp_path)
    posterior_file(groups(5), LABELS, tmp_path).replace(file)
    assert stored_posterior(groups(3), LABELS, tmp_path) is None


def test_a_stranger_s_posterior_is_not_opened(tmp_path, fits):
    file = posterior_file(groups(9), LABELS, tmp_path)
    file.parent.mkdir()
    tree(0.99).to_netcdf(file, engine="h5netcdf")
    assert stored_posterior(groups(9), LABELS, tmp_path) is None
    assert said(posterior_of(groups(9), LABELS, tmp_path)) == 0.5
