"""The harness asks everything once and writes down every answer; what breaks an agent's contract it names."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import beliefbench as bb
from beliefbench.agent import Prediction
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.running.answering import Job, run_identity
from beliefbench.running.store import OWN_SET, run_folder, run_key

from .pupil import PROTOCOL, STAGES, Pupil, every_unit

# --- one sitting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("users_per_call", [1, 4, 1000])
def test_every_user_is_asked_once_at_every_stage(flights, tmp_path, make_pupil, asked, users_per_call):
    bb.run(flights, make_pupil(users_per_call=users_per_call), results=tmp_path / "r", **PROTOCOL)
    assert asked() == Counter(every_unit(flights))


@pytest.mark.parametrize("users_per_call", [1, 4, 1000])
def test_the_size_of_a_call_changes_no_byte(flights, tmp_path, make_pupil, uninterrupted, users_per_call):
    done = bb.run(flights, make_pupil(users_per_call=users_per_call), results=tmp_path, **PROTOCOL)
    assert (done.folder / "rows.parquet").read_bytes() == uninterrupted


def test_the_rows_hold_the_protocol_and_the_answers(flights, tmp_path, make_pupil):
    rows = bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL).rows().to_pandas()
    episodes = Episodes(flights, Protocol(**PROTOCOL))
    assert len(rows) == 6 * (3 * 4 + 2)  # 4 held-out sets at each of 3 stages, and the own set of each of 2 rounds
    assert rows[["user", "stage", "question"]].equals(
        rows[["user", "stage", "question"]].sort_values(["user", "stage", "question"], ignore_index=True)
    )
    for at, user in enumerate(episodes.users):
        for stage in range(STAGES):
            mine = rows[(rows.user == user) & (rows.stage == stage)].set_index("question")
            assert list(mine.index) == ([OWN_SET, 0, 1, 2, 3] if stage < 2 else [0, 1, 2, 3])
            assert mine.truth[range(4)].tolist() == episodes.truth[at].tolist()
            np.testing.assert_array_equal(
                mine.loc[range(4), ["exact_0", "exact_1", "exact_2"]], episodes.exact[at, stage]
            )
            if stage < 2:
                assert mine.truth[OWN_SET] == episodes.chosen[at, stage]
    given = rows[["prob_0", "prob_1", "prob_2"]]
    unusable = rows.choice < 0
    assert 0 < unusable.sum() < len(rows) / 2
    assert given[unusable].isna().all(axis=None)
    assert given[~unusable].notna().all(axis=None)
    assert (rows.text == "I say " + rows.choice.astype(str)).all()
    assert (rows.tokens == 3).all()


def test_progress_counts_up_to_all_there_is(flights, tmp_path, make_pupil):
    seen = []
    bb.run(flights, make_pupil(), results=tmp_path, progress=lambda *counts: seen.append(counts), **PROTOCOL)
    assert seen[0] == (0, 18)
    assert seen[-1] == (18, 18)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_an_agent_is_told_its_own_recommendation(flights, tmp_path, make_pupil):
    pupil = make_pupil()
    rows = bb.run(flights, pupil, results=tmp_path, **PROTOCOL).rows().to_pandas()
    own = rows[rows.question == OWN_SET]
    assert sorted(answer for _, _, answer in pupil.told) == sorted(own.choice)
    assert len(pupil.told) == 6 * 2


def test_only_a_privileged_agent_is_handed_the_truth(flights, tmp_path, make_pupil):
    common, insider = make_pupil(), make_pupil()
    insider.name, insider.privileged = "insider", True
    bb.run(flights, common, results=tmp_path, **PROTOCOL)
    bb.run(flights, insider, results=tmp_path, **PROTOCOL)
    assert common.begun_with == [None, None, None]
    handed = np.concatenate([truth["person"] for truth in insider.begun_with])
    assert handed.tolist() == Episodes(flights, Protocol(**PROTOCOL)).users.tolist()


def test_zero_rounds_is_one_stage(flights, tmp_path, make_pupil):
    rows = bb.run(flights, make_pupil(), results=tmp_path, **{**PROTOCOL, "rounds": 0}).rows()
    assert rows.num_rows == 6 * 4
    assert set(rows["stage"].to_pylist()) == {0}


# --- a finished run -------------------------------------------------------------------------------


def test_a_finished_run_is_reused(flights, tmp_path, make_pupil, asked):
    first = bb.run(flights, make_pupil(), results=tmp_path / "r", **PROTOCOL)
    asked()
    second = bb.run(flights, make_pupil(users_per_call=5), results=tmp_path / "r", **PROTOCOL)
    assert (first.reused, second.reused) == (False, True)
    assert second.folder == first.folder
    assert second.record == first.record
    assert asked() == Counter()


def changed(agent: Pupil, **fields: object) -> Pupil:
    for name, value in fields.items():
        setattr(agent, name, value)
    return agent


def test_what_answers_depend_on_changes_the_folder_and_nothing_else_does(flights, tmp_path, make_pupil):
    def folder(domain=flights, agent=None, **numbers):
        agent = agent or make_pupil()
        identity = run_identity(Job(domain, agent, Protocol(**{**PROTOCOL, **numbers})))
        return run_folder(tmp_path, domain.name, agent.name, run_key(identity.json_values()))

    base = folder()
    others = [
        folder(seed=1),
        folder(users=5),
        folder(rounds=1),
        folder(heldout=3),
        folder(agent=changed(make_pupil(), version="2")),
        folder(agent=changed(make_pupil(), name="another")),
        folder(agent=changed(make_pupil(), identity=lambda: {"school": "new"})),
        folder(replace(flights, version="2")),
        folder(replace(flights, name="planes")),
        folder(replace(flights, parameters={**flights.parameters, "choice": "worst"})),
    ]
    assert len({base, *others}) == 11
    assert folder(agent=make_pupil(users_per_call=3, pause=0.001)) == base
    assert folder(agent=changed(make_pupil(), note="a note")) == base
    assert bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL).folder == base


# --- agents that break their contract -------------------------------------------------------------


def uniform(options: np.ndarray) -> Prediction:
    return Prediction(np.zeros(options.shape[:2], int), np.full(options.shape[:3], 1 / 3))


BREACHES = {
    "too few answers": (lambda options: uniform(options[:, 1:]), r"choice is int64\[2, 4\]; expected int\[2, 5\]"),
    "float choices": (lambda options: Prediction(np.zeros(options.shape[:2])), r"choice is float64"),
    "a choice of 3": (lambda options: replace(uniform(options), choice=np.full(options.shape[:2], 3)), r"got 3 to 3"),
    "a choice of -2": (
        lambda options: replace(uniform(options), choice=np.full(options.shape[:2], -2)),
        r"got -2 to -2",
    ),
    "no probabilities": (lambda options: replace(uniform(options), probs=None), r"probabilistic is True"),
    "probabilities of another shape": (
        lambda options: replace(uniform(options), probs=np.full(options.shape[:2], 1 / 3)),
        r"probs have shape \[2, 5\]; expected \[2, 5, 3\]",
    ),
    "sums other than 1": (
        lambda options: replace(uniform(options), probs=np.full(options.shape[:3], 0.3)),
        r"sum to 1",
    ),
    "negative probabilities": (
        lambda options: replace(uniform(options), probs=np.broadcast_to([-0.5, 0.5, 1.0], options.shape[:3])),
        r"0 or more",
    ),
    "NaN": (lambda options: replace(uniform(options), probs=np.full(options.shape[:3], np.nan)), r"must be numbers"),
    "nothing": (lambda options: None, r"agent 'pupil' broke"),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_of_contract_is_named_and_writes_nothing(flights, tmp_path, make_pupil, breach):
    answer, says = BREACHES[breach]
    agent = changed(make_pupil(), predict=lambda state, options: answer(options))
    with pytest.raises(bb.BeliefBenchError, match=says) as error:
        bb.run(flights, agent, results=tmp_path, **PROTOCOL)
    assert "agent 'pupil' broke" in str(error.value)
    assert not list(tmp_path.rglob("*.parquet"))


def test_an_agent_that_only_chooses_must_not_state_probabilities(flights, tmp_path, make_pupil):
    agent = changed(make_pupil(), probabilistic=False)
    with pytest.raises(bb.BeliefBenchError, match="probabilistic is False, but probs is ndarray"):
        bb.run(flights, agent, results=tmp_path, **PROTOCOL)


def test_an_agent_that_spoils_its_arrays_spoils_nothing_else(flights, tmp_path, make_pupil, uninterrupted):
    class Vandal(Pupil):
        def predict(self, state, options):
            answers = super().predict(state, options)
            if options.flags.writeable:
                options[:] = -1
            return answers

        def observe(self, state, options, recommended, chosen):
            state = super().observe(state, options, recommended, chosen)
            for array in (options, recommended, chosen):
                if array.flags.writeable:
                    array[:] = 0
            return state

    done = bb.run(flights, Vandal(tmp_path / "notes"), results=tmp_path, **PROTOCOL)
    assert (done.folder / "rows.parquet").read_bytes() == uninterrupted


def test_an_error_of_beliefbench_itself_passes_as_it_is(flights, tmp_path, make_pupil):
    def predict(state, options):
        raise bb.UsageError("name another model.")

    with pytest.raises(bb.UsageError, match=r"^name another model\.$"):
        bb.run(flights, changed(make_pupil(), predict=predict), results=tmp_path, **PROTOCOL)


def test_a_run_is_shown_in_one_line_and_its_metrics_are_those_of_the_leaderboard(flights, tmp_path):
    done = bb.run(flights, "first", users=3, rounds=2, heldout=4, results=tmp_path)
    assert repr(done) == (f"<Run of first on flights: 3 users, 2 rounds, 4 held-out sets, seed 0, in {done.folder}>")
    pd.testing.assert_frame_equal(bb.metrics(done), bb.leaderboard(tmp_path))


def test_python_and_the_command_have_the_same_presets(flights, tmp_path):
    identity = bb.run(flights, "first", results=tmp_path).record.identity
    assert (identity.users, identity.rounds, identity.heldout) == (8, 5, 8)
    with pytest.raises(bb.UsageError, match="there is no preset 'huge'; use quick, standard, paper"):
        bb.run(flights, "first", preset="huge", results=tmp_path)


def test_a_domain_that_cannot_be_used_is_refused_in_a_sentence(flights, tmp_path):
    with pytest.raises(bb.UsageError, match="domain 'flights' cannot be used: its version is 1; expected some text"):
        bb.run(replace(flights, version=1), "first", results=tmp_path)
