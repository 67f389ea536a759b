"""Teaching curves: what is written of a student, and what is read from it."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from beliefbench.students import curves, student
from beliefbench.students.curves import CONDITIONS, by_size, differences, measured, teach_curve
from beliefbench.students.student import BATCH, Settings

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.reference]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two conditions with two small students each, a few steps long, on the smallest domain."""
    out = tmp_path_factory.mktemp("curves")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "EXAMINED", BATCH)  # one compiled draw serves the examination and the steps
        patch.setattr(student, "SHAPE", student.SHAPE | {"hidden_size": 32, "intermediate_size": 64})
        for name in ("posterior", "oracle"):
            for seed in (0, 1):
                teach_curve("flights-2", name, Settings(64, seed), out / f"{name}-seed-{seed}.parquet")
    return out


@pytest.fixture(scope="module")
def table(folder):
    return measured(folder)


def test_every_student_answers_the_same_examination(folder):
    first, *others = (pd.read_parquet(file) for file in sorted(folder.glob("*.parquet")))
    assert first["interactions"].unique().tolist() == [BATCH * step for step in range(1, 5)]
    assert len(first) == 4 * BATCH * 6
    asked = ["interactions", "user", "stage", "truth", *(f"exact_{option}" for option in range(3))]
    for other in others:
        pd.testing.assert_frame_equal(first[asked], other[asked])
        assert (first["prob_0"] != other["prob_0"]).any()


def test_measures_are_those_of_the_answers(folder, table):
    one = table.query("condition == 'oracle' and seed == 1 and interactions == 64 and stage == 2").iloc[0]
    rows = pd.read_parquet(folder / "oracle-seed-1.parquet").query("interactions == 64 and stage == 2")
    probs, exact = (rows[[f"{kind}_{option}" for option in range(3)]].to_numpy(float) for kind in ("prob", "exact"))
    choice = probs.argmax(axis=1)
    assert one["accuracy"] == pytest.approx((choice == rows["truth"]).mean())
    assert one["agreement"] == pytest.approx((exact[np.arange(BATCH), choice] >= exact.max(axis=1) - 1e-6).mean())
    floored = np.maximum(exact, 1e-6)
    floored = floored / floored.sum(axis=1, keepdims=True)
    assert one["kl_exact"] == pytest.approx((floored * np.log(floored / probs)).sum(axis=1).mean(), abs=1e-3)


def test_the_exact_answer_stands_beside_the_students(table):
    exact = table.query("condition == 'exact'")
    assert exact["stage"].nunique() == 6
    np.testing.assert_allclose(exact["kl_exact"], 0, atol=1e-6)
    np.testing.assert_allclose(exact["agreement"], 1)
    assert exact.groupby("stage")["accuracy"].nunique().max() == 1  # whatever the students were taught meanwhile


def test_differences_are_paired_by_seed(table):
    table = by_size(table)
    found = differences(table, [("posterior", "oracle")]).query("interactions == 64 and measure == 'kl_exact'").iloc[0]
    values = [
        table.query(f"condition == '{name}' and seed == {seed} and interactions == 64")["kl_exact"].item()
        for name in ("posterior", "oracle")
        for seed in (0, 1)
    ]
    assert found["mean"] == pytest.approx((values[0] - values[2] + values[1] - values[3]) / 2)
    assert found["seeds"] == 2


def test_curves_are_drawn(table, tmp_path):
    from beliefbench.students.drawing import draw

    for name in ("one", "two"):
        draw(by_size(table), tmp_path / f"{name}.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    draw(by_size(table), tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").size[0] > 1000


def test_workers_know_folders_of_plugins(call, tmp_path, trips_folder):
    arguments = ["--out", "found", "--domain", "trips", "--interactions", "16", "--seeds", "1"]
    assert call("teach", "curves", "--plugins", str(trips_folder), *arguments)[0] == 0
    assert set(measured(tmp_path / "found")["condition"]) == {"exact", *CONDITIONS}


def test_a_wrong_call_is_one_sentence(call, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    for arguments, why in (
        (["--out", str(tmp_path)], "not an empty folder"),
        (["--out", "x", "--seeds", "0"], "expected 1 to 100"),
        (["--out", "x", "--interactions", "1"], "expected 16"),
        (["--out", "x", "--domain", "webshop-backpacks"], "a question about each"),
    ):
        status, _, said = call("teach", "curves", *arguments)
        assert (status, said.count("\n")) == (2, 1), said
        assert why in said
