"""What honest runs do not look like: what is flagged, and how often an honest run is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom

import beliefbench as bb
from beliefbench.leaderboard.ranking import read_leaderboard
from beliefbench.publishing.plausibility import (
    _normal_tail,
    accuracy_flag,
    chernoff,
    digest_of_probs,
    equals_exact,
    standard_score,
    time_flag,
)
from beliefbench.publishing.publish import exact_name, publish
from beliefbench.publishing.several import verify_all
from beliefbench.publishing.verify import verify_run
from beliefbench.running.packing import pack_rows
from beliefbench.running.store import RunStore
from beliefbench.scoring.heldout import HeldOut, answers_of

from .tampering import change_rows, choose_again, edit_record, said


def simulated(rng: np.random.Generator, users: int, sets: int = 20) -> HeldOut:
    """Users of two kinds, who choose alike in all sets: 0.9 for one of two options. The agent saw two choices, and
    names at random the likeliest option or another."""
    kind = rng.integers(0, 2, users)
    seen = (rng.random((users, 2)) < 0.9) == kind[:, None].astype(bool)
    count = seen.sum(axis=1)
    posterior = np.array([1 / 82, 0.5, 81 / 82])[count]  # of kind 1
    first = 0.1 + 0.8 * posterior
    exact = np.stack([first, 1 - first, np.zeros(users)], axis=-1)[:, None, None].repeat(sets, axis=2)
    of_kind = rng.random((users, sets)) < 0.9
    truth = np.where(of_kind == (kind[:, None] == 1), 0, 1)[:, None]
    choice = np.where(rng.random((users, 1, 1)) < 0.8, exact.argmax(axis=-1), 1)
    return HeldOut(np.arange(users), exact, choice, truth, exact)


def gains(answers: HeldOut) -> tuple[np.ndarray, np.ndarray]:
    chance = np.take_along_axis(answers.exact, answers.choice[..., None], axis=-1)[:, 0, :, 0]
    return ((answers.choice == answers.truth)[:, 0] - chance).mean(axis=1), chance


def test_honest_runs_are_flagged_no_more_often_than_said(record_property):
    """The sets of a user depend on each other as much as they can. 4,000 runs at each size, one seed; the count of
    alarms at 1% has a standard deviation of 6, and the test fails by chance at less than one seed in a thousand."""
    rng, runs = np.random.default_rng(0), 4000
    for users in (20, 150):
        by_bound = by_score = 0
        for _ in range(runs):
            means, chance = gains(simulated(rng, users))
            by_bound += chernoff(float(means.sum()), chance) < 0.01
            by_score += standard_score(means) > 2.3263
        record_property(f"alarms at 1%, {users} users", f"bound {by_bound / runs:.2%}, score {by_score / runs:.2%}")
        assert by_bound <= 0.01 * runs
        assert by_score <= 0.016 * runs
    assert not any(accuracy_flag(simulated(rng, 150)) for _ in range(1000))


@pytest.mark.parametrize("users", [20, 150])
def test_the_wanted_option_is_flagged(users):
    answers = simulated(np.random.default_rng(1), users)
    lucky = answers._replace(choice=answers.truth, exact=np.full_like(answers.exact, 1 / 3))
    assert "chance below 1e-06" in accuracy_flag(lucky)
    assert accuracy_flag(HeldOut(*(part[:8] for part in lucky))) is None  # 8 users can be lucky


@pytest.mark.parametrize("stages", [1, 3])
def test_each_of_two_bounds_has_its_share_of_the_rate_at_each_stage(stages):
    """30 users whose choices are right by chance 1/2, who are right 26 times after the last round; before, 15 times."""
    right = np.zeros((30, stages, 1), int)
    right[:15], right[:26, -1] = 1, 1
    exact = np.tile([0.5, 0.5, 0.0], (30, stages, 1, 1))
    answers = HeldOut(np.arange(30), exact, np.zeros_like(right), 1 - right, exact)
    bound = chernoff(11.0, np.full((30, 1), 0.5))
    assert binom.sf(25, 30, 0.5) < bound < 10 * binom.sf(25, 30, 0.5)
    assert accuracy_flag(answers, bound * 2 * stages * 0.999) is None
    assert f"after round {stages - 1} it is right in 36.7% more" in accuracy_flag(answers, bound * 2 * stages * 1.001)


@pytest.mark.parametrize(("users", "flagged"), [(50, False), (99, False), (100, True), (101, True)])
def test_the_normal_distribution_is_used_for_many_users_alone(users, flagged):
    """All are right where the chance is .9 each: 2.7e-5 for 100 users, which is no alarm; their mean is ten standard
    deviations from what is expected, were it normally distributed."""
    exact = np.tile([0.9, 0.1, 0.0], (users, 1, 1, 1))
    right = np.zeros((users, 1, 1), int)
    found = accuracy_flag(HeldOut(np.arange(users), exact, right, right, exact))
    assert (found is not None) == flagged


@pytest.mark.parametrize(("score", "tail"), [(0.0, 0.5), (1.959964, 0.025), (6.0, 9.865876e-10), (-1.0, 0.8413447)])
def test_the_tail_is_that_of_the_normal_distribution(score, tail):
    assert _normal_tail(score) == pytest.approx(tail, rel=1e-5)


def stated(probs: np.ndarray, exact: np.ndarray) -> HeldOut:
    nothing = np.zeros(probs.shape[:-1], int)
    return HeldOut(np.arange(len(probs)), probs, nothing, nothing, exact)


def test_answers_that_need_no_computing_do_not_count():
    """20 users, one set: with certain and with equal exact answers, whatever the agent says to those, and without."""
    exact = np.tile([0.2, 0.3, 0.5], (20, 1, 3, 1))
    exact[:, :, 1], exact[:, :, 2] = [0.0, 0.0, 1.0], [1 / 3, 1 / 3, 1 / 3]
    other = exact.copy()
    other[:, :, 1:] = [0.6, 0.2, 0.2]
    assert equals_exact(stated(exact, exact))
    assert equals_exact(stated(other, exact))
    assert not equals_exact(stated(other[:19], exact[:19]))
    other[7, 0, 0] = [0.2, 0.3 + 1e-8, 0.5 - 1e-8]
    assert not equals_exact(stated(other, exact))
    for easy in (1, 2):
        assert not equals_exact(stated(exact[:, :, easy : easy + 1], exact[:, :, easy : easy + 1]))
    near = np.tile([0.5 - 1e-8, 0.5 + 1e-8, 0.0], (20, 1, 1, 1))
    assert equals_exact(stated(near, near))
    assert not equals_exact(stated(exact, exact)._replace(probs=None))


def test_two_runs_share_a_digest_if_their_probabilities_are_the_same_and_depend_on_the_user():
    same = np.tile([0.2, 0.3, 0.5], (20, 2, 3, 1))
    assert digest_of_probs(stated(same, same)) is None
    one = same.copy()
    one[13, 1, 2] = [0.3, 0.2, 0.5]
    assert digest_of_probs(stated(one, same)) == digest_of_probs(stated(one + 1e-6, same))
    other = one.copy()
    other[3, 0, 0] = [0.21, 0.29, 0.5]
    assert digest_of_probs(stated(one, same)) != digest_of_probs(stated(other, same))
    assert digest_of_probs(stated(one[:19], same[:19])) is None
    before = same.copy()
    before[13, 0, 2] = [0.3, 0.2, 0.5]
    assert digest_of_probs(stated(before, same)) is None  # after the last round, it says the same of all users
    unusable = one.copy()
    unusable[2, 1, 1] = np.nan
    assert digest_of_probs(stated(unusable, same)) not in (None, digest_of_probs(stated(one, same)))


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """Published runs of 30 users."""
    results = tmp_path_factory.mktemp("many")
    for agent in ("bayesian", "random", "oracle", "bayesian-mean"):
        bb.run("flights-2", agent, users=24, rounds=2, heldout=8, results=results / "local")
    for folder in (results / "local" / "flights-2").glob("*/*"):
        publish(folder, results / "out")
    return results


def run_of(results: Path, agent: str) -> Path:
    (folder,) = (results / "flights-2" / agent).iterdir()
    return folder


def test_honest_runs_have_no_flags(many):
    for report in verify_all(many / "out"):
        assert report.flags == [], said(report)
    assert all(row.flags == () and row.note is None for row in read_leaderboard(many / "out").rows)


@pytest.fixture
def copied(many, tmp_path) -> Path:
    """A run of `random` with the answers of `bayesian`, attested anew, beside the others."""
    import shutil

    from .tampering import attest

    out = Path(shutil.copytree(many / "out", tmp_path / "out"))
    folder = run_of(out, "random")
    rows = RunStore(run_of(many / "local", "bayesian")).rows()
    change_rows(folder, lambda _: pack_rows(rows, exact_name(RunStore(folder).record())))
    choose_again(folder)
    attest(folder)
    return out


def test_the_exact_answers_of_another_agent_are_flagged(copied):
    report = verify_run(run_of(copied, "random"))
    assert report.intact, said(report)
    assert report.flags == ["its probabilities equal the exact ones to the last digit"]
    assert "  flag  its probabilities equal the exact ones" in said(report)
    list(verify_all(copied))
    (row,) = [row for row in read_leaderboard(copied).rows if row.fields["agent"] == "random"]
    assert "flagged: its probabilities equal the exact ones to the last digit" in row.note
    assert row.as_json()["flags"] == list(row.flags)


def test_the_probabilities_of_another_run_are_flagged(copied, many):
    from .tampering import attest

    rows = RunStore(run_of(many / "local", "oracle")).rows()
    folder = run_of(copied, "random")
    change_rows(folder, lambda _: pack_rows(rows, exact_name(RunStore(folder).record())))
    choose_again(folder)
    attest(folder)
    flags = {report.folder.parent.name: report.flags for report in verify_all(copied)}
    assert any("equal to the last digit those of the run in" in flag for flag in flags["random"])
    assert flags["bayesian"] == []
    flagged = {row.fields["agent"]: row.flags for row in read_leaderboard(copied).rows}
    assert all(any("those of the run in" in flag for flag in flagged[name]) for name in ("random", "oracle"))


def test_few_users_prove_nothing(many):
    store = RunStore(run_of(many / "local", "bayesian"))
    answers = answers_of(store.record(), store.rows())
    few = HeldOut(*(part[:15] for part in answers))
    assert (equals_exact(answers), equals_exact(few)) == (True, False)
    assert digest_of_probs(answers) is not None
    assert digest_of_probs(few) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"started": "2026-05-05T00:00:00+00:00", "finished": "2026-05-04T00:00:00+00:00"}, "ended before it began"),
        ({"finished": "2999-01-01T00:00:00+00:00"}, "it ends in the future, on 2999-01-01"),
        ({"finished": "yesterday"}, "times that are no times"),
        ({"started": "2026-05-05T00:00:00"}, "times that are no times"),
        ({"seconds": 1e6}, "longer than the run"),
    ],
)
def test_times_that_no_machine_makes_are_flagged(many, tmp_path, changes, sentence):
    import shutil

    out = Path(shutil.copytree(many / "out", tmp_path / "out"))
    edit_record(run_of(out, "random"), changes)
    report = verify_run(run_of(out, "random"))
    assert any(sentence in flag for flag in report.flags), said(report)


def test_too_many_tokens_in_no_time_are_flagged(many):
    record = RunStore(run_of(many / "local", "random")).record().model_copy(update={"seconds": 0.5})
    today = datetime.now(UTC)
    assert time_flag(record, 10**6, 10**6, today) is None
    assert "no machine gives them in less than 10 s" in time_flag(record, 10**6, 10**8, today)


def test_random_that_is_always_right_is_flagged_though_it_is_a_plugin(many, tmp_path):
    """Whose choices need not follow from its probabilities."""
    import json
    import shutil

    from beliefbench.running.store import run_key

    from .tampering import attest

    out = Path(shutil.copytree(many / "out", tmp_path / "out"))
    folder = run_of(out, "random")
    record = json.loads((folder / "run.json").read_text())
    record["identity"]["agent"]["name"] = record["agent"]["name"] = "genius"
    record.update(key=run_key(record["identity"]), spec="genius")
    (folder / "run.json").write_text(json.dumps(record))
    change_rows(
        folder, lambda rows: rows.set_column(rows.column_names.index("choice"), "choice", rows["truth"].cast(pa.int8()))
    )
    (out / "flights-2" / "genius").mkdir()
    report = verify_run(attest(folder))
    assert report.passed, said(report)
    assert any("more answers than its choices can be by what the agent saw" in flag for flag in report.flags)
