"""Runs that hold next to nothing are shown in every form, without a number that is none.

One user, no round, one held-out set, no usable answer, an exact answer at chance, and all of these at once.
"""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pandas as pd
import pytest

from beliefbench.leaderboard.forms.formats import writer
from beliefbench.leaderboard.page.pictures import draw_all
from beliefbench.leaderboard.ranking import Leaderboard, read_leaderboard
from beliefbench.running import store
from beliefbench.running.store import RunStore

FORMS = ("table", "full table", "md", "latex", "csv", "json", "html")
KINDS = {
    "one user": {"right": [[3, 8]]},
    "no round": {"right": [[3], [5], [4]]},
    "one set": {"right": [[0, 1], [1, 1], [0, 0]], "sets": 1},
    "all unusable": {"right": [[3, 8], [5, 6]], "unusable": True},
    "exact answer at chance": {"right": [[4, 4], [5, 5]], "chance": True},
    "no user differs": {"right": [[5, 5]] * 30},
    "everything right": {"right": [[10, 10]] * 30},
    "everything at once": {"right": [[0]], "sets": 1, "unusable": True, "chance": True},
}


@pytest.fixture(params=KINDS)
def board(request, tmp_path, make_run) -> Leaderboard:
    kind = dict(KINDS[request.param])
    unusable, chance = (kind.pop(name, False) for name in ("unusable", "chance"))
    for agent, probs in (("sure", (0.8, 0.1, 0.1)), ("chooses", None)):
        folder = make_run(tmp_path, agent, kind["right"], sets=kind.get("sets", 10), probs=probs)
        rows = RunStore(folder).rows().to_pandas()
        if unusable:
            rows["choice"] = -1
            rows[["prob_0", "prob_1", "prob_2"]] = np.nan
        if chance:  # every option is equally probable, and the truth is each as often as the next
            asked = rows["question"] >= 0
            rows.loc[asked, ["exact_0", "exact_1", "exact_2"]] = 1 / 3
        store.pq.write_table(
            store.pa.Table.from_pandas(rows, store.ROWS, preserve_index=False), folder / "rows.parquet"
        )
    board = read_leaderboard(tmp_path)
    assert board.problems == []
    assert len(board.rows) == 2
    return board


@pytest.mark.parametrize("form", FORMS)
def test_a_degenerate_run_is_shown_in_every_form(board, form):
    text = writer("table", full=True)(board) if form == "full table" else writer(form)(board)
    assert "sure" in text
    assert "chooses" in text
    shown = (
        " ".join(re.findall(r"<td.*?</td>", text, flags=re.DOTALL)) if form == "html" else text
    )  # definitions say None
    assert not re.search(r"(?<![a-zA-Z])(nan|inf|infinity|None)(?![a-zA-Z])", shown)
    if form == "json":
        for row in json.loads(text, parse_constant=pytest.fail)["rows"]:
            for one in row["rounds"]:
                assert 0 <= one["accuracy"] <= 1
                assert (one["accuracy_lo"] is None) == (one["accuracy_hi"] is None)
                assert one["accuracy_lo"] is None or one["accuracy_lo"] <= one["accuracy"] <= one["accuracy_hi"]
    if form == "csv":
        table = pd.read_csv(io.StringIO(text))
        for name in ("accuracy", "gap_closed", "update_slope", "martingale_score"):
            there = table[f"{name}_lo"].notna()
            assert (there == table[f"{name}_hi"].notna()).all()
            assert (table[f"{name}_lo"][there] <= table[name][there] + 1e-12).all()
            assert (table[name][there] <= table[f"{name}_hi"][there] + 1e-12).all()


def test_its_pictures_are_drawn(board, tmp_path):
    for file in draw_all(board, tmp_path / "pictures"):
        assert file.stat().st_size > 500
        if file.suffix == ".svg":
            assert "nan" not in file.read_text().lower()
