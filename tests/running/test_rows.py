"""The rows of small runs are those that they were: a change of any answer, user or set shows here."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

import beliefbench as bb

HASHES = {
    "flights": {
        "bayesian": "caa718c5958f9301",
        "oracle": "2048639a0e4a5672",
        "random": "14ca9f65bc5eb5fc",
        "first": "3dda1ae582256dfe",
    },
    "flights-3,lapse=0.1": {
        "bayesian": "49d9238158083367",
        "oracle": "cbcb1bb8b424c4d3",
        "random": "811959855d013222",
        "first": "d3d4e654bbc78520",
    },
    "flights-2,user_lapse=0.3": {
        "bayesian": "ff9ebcaa0a989af1",
        "oracle": "5d12752fa7dcf918",
        "random": "f02b1c503e71128d",
        "first": "8adb906a392f3926",
    },
    "flights-2,information=0.3": {
        "bayesian": "d1a4d07f68b86073",
        "oracle": "09f609baf74ed80c",
        "random": "c9a335994fbd309e",
        "first": "f9e4da53fb681839",
    },
    "hotels": {
        "bayesian": "74757fb6f859462f",
        "oracle": "efdb50d9f8ab4d57",
        "random": "c6f1bdf04d109ef7",
        "first": "b00fddc6bacad5bd",
    },
    "webshop-backpacks": {
        "bayesian": "434220c1697730b7",
        "oracle": "3d6fdeee09908fcb",
        "random": "6dfa3640acb17bd5",
        "first": "259f5ac4886ae6f6",
    },
    "flights-6": {
        "bayesian": "2f0653d410137245",
        "oracle": "5099960f7e2179d5",
        "random": "d94d7681872678a6",
        "first": "21717b225a26b139",
    },
}
QUICK = ("flights", "hotels", "webshop-backpacks")  # each of the others compiles for ten seconds


def row_hash(rows: pd.DataFrame) -> str:
    """Return a digest of rows without the seconds they took: integers and text as they are, numbers to 9 digits."""
    digest = hashlib.sha256()
    for name in sorted(set(rows.columns) - {"seconds"}):
        column = rows[name]
        if pd.api.types.is_float_dtype(column):
            digest.update((np.round(column.to_numpy(float), 9) + 0.0).tobytes())  # -0.0 is 0.0
        else:
            digest.update(json.dumps([None if pd.isna(value) else value for value in column.tolist()]).encode())
    return digest.hexdigest()[:16]


@pytest.mark.slow
@pytest.mark.parametrize(
    "domain", [pytest.param(one, marks=() if one in QUICK else pytest.mark.reference) for one in HASHES]
)
def test_rows_are_those_they_were(tmp_path, domain):
    """The hashes were made with the default compiler options of XLA, which exact inference no longer uses."""
    found = {}
    for agent in HASHES[domain]:
        rows = bb.run(domain, agent, users=4, rounds=2, heldout=5, results=tmp_path).rows().to_pandas()
        found[agent] = row_hash(rows)
    assert found == HASHES[domain]
