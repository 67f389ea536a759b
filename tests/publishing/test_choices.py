"""Whether choices follow from the probabilities, and from the seed where these tie; how many do not, and why."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import beliefbench as bb
from beliefbench.checking.results import CheckFailedError
from beliefbench.publishing.declared import CannotAskError, check_choices, expected_choices
from beliefbench.publishing.recompute import Recomputed
from beliefbench.running.harness import Run

USERS, ANSWERS = 4, 4 * (3 * 3 + 2)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    numbers = {"users": USERS, "rounds": 2, "heldout": 3, "results": folder}
    return {agent: bb.run("flights-2", agent, **numbers) for agent in ("random", "bayesian", "first")}


def changed(done: Run, choices: dict[int, int], **of_agent: object) -> Recomputed:
    """A run in which some answers, by their rows, are others."""
    rows = done.rows()
    choice = rows["choice"].to_numpy().copy()
    for row, instead in choices.items():
        choice[row] = instead
    rows = rows.set_column(rows.column_names.index("choice"), "choice", pa.array(choice, rows["choice"].type))
    record = done.record.model_copy(
        update={"agent": done.record.agent.model_copy(update=of_agent), "spec": of_agent.get("name", done.record.spec)}
    )
    return Recomputed(record, rows, bb.load_domain("flights-2"))


def test_choices_of_honest_runs_follow(runs):
    for agent in ("random", "bayesian"):
        run = changed(runs[agent], {})
        np.testing.assert_array_equal(expected_choices(run), run.layout.columns(run.rows, "choice")[0])
        assert check_choices(run) == (
            f"{ANSWERS} choices follow from the probabilities, and from the seed where these tie."
        )
    assert "states no probabilities" in check_choices(changed(runs["first"], {}))


def test_unusable_answers_are_no_choices(runs):
    assert check_choices(changed(runs["random"], {0: -1, 7: -1})).startswith(f"{ANSWERS - 2} choices follow")


def test_ties_that_are_broken_otherwise_and_options_that_are_not_the_likeliest_are_counted(runs):
    choice = runs["random"].rows()["choice"].to_numpy()
    others = {row: int((choice[row] + 1) % 3) for row in (0, 5, 43)}
    with pytest.raises(CheckFailedError) as error:
        check_choices(changed(runs["random"], others))
    assert str(error.value) == (
        f"3 choices of {ANSWERS} do not follow from the probabilities: 3 break a tie in another way than the seed, "
        "0 are not the likeliest option."
    )
    rows = runs["bayesian"].rows()
    probs = np.stack([rows[f"prob_{option}"].to_numpy() for option in range(3)], axis=-1)
    surest = np.argsort(probs.max(axis=-1))[-2:]
    with pytest.raises(CheckFailedError, match=r"2 choices of 44 .*: 0 break a tie .*, 2 are not the likeliest"):
        check_choices(changed(runs["bayesian"], {int(row): int(probs[row].argmin()) for row in surest}))


def test_a_plugin_may_have_another_rule(runs):
    """Under another name, it breaks ties by other keys."""
    with pytest.raises(
        CannotAskError, match=r"^\d+ choices of 44 .*; mine is a plugin, which may choose by another rule"
    ):
        check_choices(changed(runs["random"], {}, name="mine"))
