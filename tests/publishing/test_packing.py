"""Packing: what of a run it keeps, how far it may move a number, and how small it makes a run."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from beliefbench.leaderboard.ranking import read_leaderboard
from beliefbench.publishing.layout import Layout
from beliefbench.publishing.publish import publish
from beliefbench.running.packing import (
    TOLERANCE,
    all_different,
    exact_file_of,
    in_order,
    pack_exact,
    pack_probs,
    pack_rows,
    row_numbers,
    to_parquet,
    unpack_probs,
    unpack_rows,
)
from beliefbench.running.store import ROWS, RunStore
from beliefbench.scoring.heldout import HeldOut
from beliefbench.scoring.scores import ROUND_FIELDS, score

MOVED = {"log_score": 1e-4, "brier": 1e-5, "kl_exact": 1e-4, "ece": 5e-4}
"""The most by which packing may move a metric of 62,400 answers; docs/publishing.md says so."""
OF_FEW = {"log_score": 1e-3, "brier": 5e-4, "kl_exact": 1e-3, "ece": 0.05}
"""The same of 60 answers: where one falls into the next bin of ECE, that moves."""


def tied(probs: np.ndarray) -> np.ndarray:
    return probs >= probs.max(axis=-1, keepdims=True) - 1e-9


@settings(max_examples=300)
@given(arrays(np.float64, (4, 3), elements=st.one_of(st.floats(0, 1), st.sampled_from([0, 1e-7, 0.25, 0.5, 1]))))
def test_packing_moves_no_probability_far_and_changes_no_tie(weights):
    probs = np.where(weights.sum(-1, keepdims=True) > 0, weights, 1)
    probs = probs / probs.sum(axis=-1, keepdims=True)
    kept = pack_probs(probs)
    back = unpack_probs(kept)
    assert kept.dtype == np.float16
    assert abs(back - probs).max() <= TOLERANCE
    assert abs(back.sum(axis=-1) - 1).max() < 1e-12
    assert (back >= 0).all()
    assert (tied(back) == tied(probs)).all()
    assert np.array_equal(pack_probs(back), kept, equal_nan=True)  # what is packed again stays as it is


@pytest.mark.parametrize(
    "probs",
    [
        [0.5001, 0.4999, 0.0],  # both round to 1/2
        [0.33341, 0.33340, 0.33319],
        [0.3334, 0.3333, 0.3333],
        [1 / 3, 1 / 3, 1 / 3],
        [0.4, 0.2, 0.4],
        [1.0, 0.0, 0.0],
        [1 - 3e-8, 2e-8, 1e-8],
    ],
)
def test_near_ties_and_ties_stay_what_they_are(probs):
    back = unpack_probs(pack_probs(np.array([probs])))
    assert (tied(back) == tied(np.array([probs]))).all()
    assert abs(back - probs).max() <= TOLERANCE


def near(one: float | None, other: float | None, by: float) -> bool:
    return one is other or abs(one - other) <= by


def test_metrics_move_by_no_more_than_declared(local, folder_of, tmp_path):
    """Choices, truth and ties are kept, so what rests on them is the same to the bit."""
    for agent in ("bayesian", "random", "bayesian-mean"):
        publish(folder_of(local, agent), tmp_path)
    before, after = (
        {row.fields["agent"]: row for row in read_leaderboard(results).rows} for results in (local, tmp_path)
    )
    assert set(after) == set(before) == {"bayesian", "random", "bayesian-mean"}
    for agent, row in after.items():
        assert row.fields == before[agent].fields
        assert row.tokens == before[agent].tokens
        for one, other in zip(row.rounds, before[agent].rounds, strict=True):
            for name in ROUND_FIELDS:
                assert near(one[name], other[name], OF_FEW.get(name, 0)), (agent, name)
    assert max(one["kl_exact"] for one in after["bayesian"].rounds) < 1e-6


def made_up(users: int, stages: int, heldout: int) -> pa.Table:
    """Rows as a language model's would be, every probability another number, some answers unusable."""
    rng = np.random.default_rng(0)
    layout = Layout.of_shape(users, stages - 1, heldout)
    stage, question = np.tile(layout.stage, users), np.tile(layout.question, users)
    count, own = len(stage), np.tile(layout.own, users)
    scores = rng.normal(scale=5, size=(2, count, 3))  # of spreads from 1/2 to 5, this takes most
    probs, exact = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    unusable = rng.random(count) < 0.01
    levels = [[0.1, 0.2, 0.3, 0.25, 0.15]] * 4
    columns = {
        "user": np.repeat(rng.permutation(users), len(layout.stage)),
        "stage": stage,
        "question": question,
        "truth": rng.integers(3, size=count),
        "choice": np.where(unusable, -1, probs.argmax(axis=-1)),
        **{f"prob_{option}": np.where(unusable, np.nan, probs[:, option]) for option in range(3)},
        **{f"exact_{option}": np.where(own, np.nan, exact[:, option]) for option in range(3)},
        "tokens": rng.integers(10, 14, size=count),
        "text": ["The best option is Flight 1."] * count,
        "seconds": rng.random(count),
        "bounded": [None] * count,
        "by_beliefs": rng.integers(3, size=count),
        "beliefs": [levels if one == 0 else None for one in question],
        "exact_beliefs": [levels if one == 0 else None for one in question],
    }
    arrays = [pa.array(columns[field.name], type=field.type, from_pandas=True) for field in ROWS]
    return pa.Table.from_arrays(arrays, schema=ROWS)


@pytest.mark.parametrize("users", [156, pytest.param(624, marks=pytest.mark.reference)])
def test_a_language_model_on_all_of_flights_takes_2_mb_at_most(users, record_property):
    """A quarter of flights a quarter of that: what takes the time is to write them small."""
    rows = made_up(users, stages=6, heldout=100)
    packed, exact = pack_rows(rows, "exact-0.parquet"), pack_exact(rows)
    answers = packed.drop_columns(["by_beliefs", "beliefs", "exact_beliefs"])
    sizes = len(to_parquet(answers)), len(to_parquet(exact))
    record_property("bytes of answers, of the exact answer", sizes)
    assert sizes[0] < 1_900_000 * users / 624
    assert sizes[1] < 2_000_000 * users / 624
    read = (HeldOut.of(one, (users, 6, 100), True) for one in (rows, unpack_rows(packed, exact)))
    before, after = map(score, read)
    for one, other in zip(before, after, strict=True):
        for name in ROUND_FIELDS:
            assert near(one[name], other[name], MOVED.get(name, 0)), name


def test_all_that_is_kept_comes_back(tmp_path):
    rows = made_up(users=5, stages=3, heldout=4).sort_by(
        [(name, "ascending") for name in ("user", "stage", "question")]
    )
    file = tmp_path / "d" / "a" / "k" / "rows.parquet"
    file.parent.mkdir(parents=True)
    name = "exact-0123456789abcdef.parquet"
    file.write_bytes(to_parquet(pack_rows(rows, name)))
    (tmp_path / "d" / name).write_bytes(to_parquet(pack_exact(rows)))
    back = RunStore(file.parent).rows()
    moved = [one for one in ROWS.names if one.startswith(("prob", "exact", "beliefs"))]
    for one in ROWS.names:
        if one in ("text", "seconds"):
            assert back[one].null_count == back.num_rows
        elif one in moved:
            assert back[one].is_null().equals(rows[one].is_null())
        else:
            assert back[one].equals(rows[one]), one
    beliefs = back["beliefs"].drop_null().to_pylist()
    assert np.allclose(beliefs, rows["beliefs"].drop_null().to_pylist(), rtol=0, atol=TOLERANCE)


def test_probabilities_are_null_where_the_answer_is_unusable_and_exact_ones_where_there_are_none():
    rows = made_up(users=2, stages=2, heldout=2).sort_by(
        [(name, "ascending") for name in ("user", "stage", "question")]
    )
    choice = pa.array(np.arange(rows.num_rows) % 4 - 1, rows["choice"].type)
    rows = rows.set_column(rows.column_names.index("choice"), "choice", choice)
    back = unpack_rows(pack_rows(rows, "exact-0.parquet"), pack_exact(rows))
    for option in range(3):
        unusable = back[f"prob_{option}"].is_null().to_numpy(zero_copy_only=False)
        assert unusable[::4].all()
        assert not (unusable & (choice.to_numpy() >= 0))[rows["prob_0"].is_valid()].any()
        own = rows["question"].to_numpy() < 0
        assert (back[f"exact_{option}"].is_null().to_numpy(zero_copy_only=False) == own).all()


def test_rows_whose_exact_answers_are_missing_have_none():
    """Of three users, the exact answers of the first, of the second, or of the last are kept."""
    rows = made_up(users=3, stages=2, heldout=2).sort_by(
        [(name, "ascending") for name in ("user", "stage", "question")]
    )
    packed, user = pack_rows(rows, "exact-0.parquet"), rows["user"].to_numpy()
    for kept in np.unique(user):
        back = unpack_rows(packed, pack_exact(rows.filter(pa.array(user == kept))))
        there = (user == kept) & (rows["question"].to_numpy() >= 0)
        for option in range(3):
            assert (back[f"exact_{option}"].is_valid().to_numpy(zero_copy_only=False) == there).all()


def test_rows_are_put_in_order_by_user_stage_and_question():
    rows = [(1, 0, 0), (0, 1, -1), (0, 0, 1), (0, 0, -1), (0, 0, 0), (1, 0, -1)]
    tables = [
        pa.table(dict(zip(("user", "stage", "question"), map(list, zip(*some, strict=True)), strict=True)))
        for some in (rows, sorted(rows), [rows[0]], sorted(rows)[:4] + rows[:1] * 2)
    ]
    for one in tables:
        found = [tuple(row.values()) for row in in_order(one).to_pylist()]
        assert found == sorted(tuple(row.values()) for row in one.to_pylist())
    assert in_order(tables[1]) is tables[1]  # not sorted again
    assert in_order(tables[0].slice(0, 0)).num_rows == 0
    assert [all_different(one) for one in tables] == [True, True, True, False]


def test_numbers_of_rows_are_those_of_their_order():
    largest = (2**23 - 1, 2**15 - 1, 2**24 - 2)
    rows = [
        (0, 0, -1),
        (0, 0, 0),
        (0, 0, largest[2]),
        (0, 1, -1),
        (0, *largest[1:]),
        (1, 0, -1),
        (*largest[:2], -1),
        largest,
    ]
    numbers = row_numbers(*np.array(rows, np.int32).T).tolist()
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    "name", [b"../exact-0123456789abcdef.parquet", b"exact-0123.parquet", b"\xff", b"exact-0123456789ABCDEF.parquet"]
)
def test_only_files_of_exact_answers_are_looked_for(name):
    assert exact_file_of(pa.schema([])) is None
    good = pa.schema([], metadata={b"exact_answers": b"exact-0123456789abcdef.parquet"})
    assert exact_file_of(good) == "exact-0123456789abcdef.parquet"
    with pytest.raises(ValueError, match=r"it names .* as the file of its exact answers"):
        exact_file_of(pa.schema([], metadata={b"exact_answers": name}))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("user", pa.array([0.0] * 6)),
        ("stage", pa.array([None, *[0] * 5], pa.int16())),
        ("choice", pa.array(["0"] * 6)),
        ("prob_1", pa.array([0.5] * 6)),
    ],
)
def test_rows_of_other_types_were_not_packed_here(column, values):
    rows = made_up(users=1, stages=2, heldout=2).slice(0, 6)
    packed, exact = pack_rows(rows, "exact-0.parquet"), pack_exact(rows)
    values = values.slice(0, packed.num_rows)
    changed = packed.set_column(packed.column_names.index(column), column, values)
    with pytest.raises(ValueError, match=f"column {column} holds {values.type}"):
        unpack_rows(changed, exact)
    with pytest.raises(ValueError, match="column user holds"):
        unpack_rows(packed.slice(0, 0), exact)
