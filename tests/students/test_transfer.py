"""What docs/teaching.md says of the reader on domains that it was never taught: the published answers say the same."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from beliefbench.running.store import RunStore
from beliefbench.scoring.metrics import calibration_error

ROOT = Path(__file__).parents[2]
SHOWN = (r"(\d+)", r"([\d.]+)", r"([\d.]+) \(([\d.]*)-([\d.]*)\)", r"(\d+)", r"(\d+)", r"([\d.]+)", r"([\d.]+)")
ROW = re.compile(r"^\| " + r" \| ".join([r"([a-z0-9-]+)", *SHOWN]) + r" \|$", re.M)


@pytest.fixture(scope="module")
def after_five_rounds():
    """The metrics after round 5, by domain and agent."""
    found = pd.read_csv(ROOT / "results" / "teaching" / "transfer.csv")
    return found[found["round"] == 5].set_index(["domain", "agent"])


def test_the_table_is_that_of_the_published_answers(call):
    status, out, _ = call(
        "leaderboard", "--results", str(ROOT / "results" / "transfer"), "--no-skill", "--format", "csv"
    )
    assert status == 0
    columns = ["domain", "agent", "round", "accuracy", "accuracy_lo", "accuracy_hi", "agreement", "ece", "kl_exact"]
    ours = pd.read_csv(io.StringIO(out))[columns]
    pd.testing.assert_frame_equal(ours, pd.read_csv(ROOT / "results" / "teaching" / "transfer.csv")[columns], rtol=1e-6)


def test_the_documentation_has_the_figures(after_five_rounds):
    rows = ROW.findall((ROOT / "docs" / "teaching.md").read_text())
    assert len(rows) == len({row[0] for row in rows}) == len(after_five_rounds.xs("posterior-reader", level="agent"))
    for domain, users, exact, *shown in rows:
        reader, best = after_five_rounds.loc[(domain, "posterior-reader")], after_five_rounds.loc[(domain, "bayesian")]
        assert int(users) == reader["users"]
        expected = [
            reader[name] for name in ("accuracy", "accuracy_lo", "accuracy_hi", "gap_closed", "agreement", "ece")
        ]
        for told, value, digits in zip(
            shown, [*(100 * one for one in expected), reader["kl_exact"]], (1, 1, 1, 0, 0, 1, 2), strict=True
        ):
            assert float(told or "nan") == pytest.approx(value, abs=0.51 * 10**-digits, nan_ok=True), domain
        assert float(exact) == pytest.approx(100 * best["accuracy"], abs=0.051)


@pytest.mark.parametrize(
    ("agent", "domains", "expected"),
    [
        ("posterior-reader", "webshop-*", 2.3),
        ("bayesian", "webshop-*", 2.4),
        ("posterior-reader", "flights*", 2.4),
        ("bayesian", "flights*", 1.7),
    ],
)
def test_the_calibration_over_several_domains(agent, domains, expected):
    confidence, right = [], []
    for run in sorted((ROOT / "results" / "transfer").glob(f"{domains}/{agent}/*")):
        rows = RunStore(run).rows().to_pandas()
        rows = rows[(rows["stage"] == 5) & (rows["question"] >= 0)]
        probs = rows[["prob_0", "prob_1", "prob_2"]].to_numpy(float)
        confidence.append(probs[np.arange(len(rows)), rows["choice"].to_numpy(int)])
        right.append((rows["choice"] == rows["truth"]).to_numpy())
    found = calibration_error(np.concatenate(confidence), np.concatenate(right))
    assert 100 * found == pytest.approx(expected, abs=0.05)
