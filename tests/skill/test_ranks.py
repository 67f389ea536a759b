"""What is said of the draws of a posterior: ranks, who beats whom, gains; each counted draw by draw."""

from __future__ import annotations

import numpy as np
import pytest
from xarray import Dataset, DataTree

from beliefbench.scoring.heldout import HeldOut
from beliefbench.skill.counts import MIN_USERS, Comparable, Counts, means_and_covariance
from beliefbench.skill.learning import compare_curves
from beliefbench.skill.summary import SMALL_GAIN, _summed, fits


def runs(number: int, stages: int) -> list[Counts]:
    nothing = np.zeros((MIN_USERS, stages), int)
    return [Counts(np.arange(MIN_USERS), nothing, 5, nothing)] * number


def posterior(accuracy: np.ndarray, diverging: int = 0) -> DataTree:
    told = np.zeros(accuracy.shape[:2], bool)
    told.ravel()[:diverging] = True
    return DataTree.from_dict(
        {
            "posterior": Dataset({"accuracy": (("chain", "draw", "run", "round"), accuracy)}),
            "sample_stats": Dataset({"diverging": (("chain", "draw"), told)}),
        }
    )


@pytest.mark.parametrize("stages", [2, 3, 5])
def test_ranks_and_gains_are_those_counted_draw_by_draw(stages):
    rng = np.random.default_rng(stages)
    groups = [
        Comparable(["a", "oracle", "b"], runs(3, stages), privileged=[1]),
        Comparable(["a", "b", "c"], runs(3, stages)),
    ]
    accuracy = rng.uniform(0.3, 0.7, size=(2, 50, 6, stages))
    accuracy[..., 1, :] += 0.3
    accuracy[0, :7, 2] = accuracy[0, :7, 0]  # ties
    accuracy[..., 5, -1] = accuracy[..., 5, min(1, stages - 1)] + rng.normal(SMALL_GAIN, 0.01, size=(2, 50))
    found = _summed(groups, posterior(accuracy, diverging=3))
    draws = accuracy.reshape(100, 6, stages)
    for places, privileged in (([0, 1, 2], [1]), ([3, 4, 5], [])):
        final = draws[:, places, -1]
        for at, place in enumerate(places):
            skill = found[place]
            ranks = sorted(1 + sum(other > one[at] for other in one) for one in final.tolist())
            assert skill.rank == (ranks[2], ranks[97])  # of 100 draws: the 2.5% and 97.5% quantiles, nearest
            beats = [float(np.mean(final[:, at] > final[:, other])) for other in range(len(places))]
            beats[at] = 0.5
            assert skill.beats == pytest.approx(beats)
            rivals = [other for other in range(len(places)) if other not in privileged]
            best = np.mean([all(one[at] >= one[other] for other in rivals) for one in final])
            assert skill.best == (None if at in privileged else pytest.approx(best))
            for stage in range(stages):
                shown = draws[:, place, stage].clip(0, 1)
                expected = [shown.mean(), *np.quantile(shown, [0.025, 0.975])]
                assert list(skill.accuracy[stage]) == pytest.approx(expected)
            if stages < 3:
                assert (skill.gain, skill.plateau) == (None, None)
                continue
            gain = draws[:, place, -1] - draws[:, place, 1]
            assert skill.gain.value == pytest.approx(gain.mean())
            assert skill.plateau == pytest.approx(np.mean(gain < SMALL_GAIN))
            assert skill.divergences == 3
            assert "3 divergences" in skill.problems


def test_covariance_is_that_of_the_formulas_in_the_docstring():
    """Loops instead of arrays: variances of Student's t, Agresti and Coull's for a run without variation, and
    Schaefer and Strimmer's shrunk correlations."""
    rng = np.random.default_rng(5)
    users = [np.arange(12), np.arange(3, 12), np.arange(12)]
    right = [rng.binomial(10, 0.5, size=(12, 2)), rng.binomial(10, 0.6, size=(9, 2)), np.full((12, 2), 7)]
    mean, covariance = means_and_covariance(
        [Counts(one, each, 10, each) for one, each in zip(users, right, strict=True)]
    )
    away, variances, means = [], [], []
    for who, each in zip(users, right, strict=True):
        for stage in range(2):
            share, n = each[:, stage] / 10, len(who)
            column = np.zeros(12)
            column[who] = share - share.mean()
            squares = sum(one**2 for one in column)
            means.append(share.mean())
            if squares < 1e-9:
                likely = (n * share.mean() + 2) / (n + 4)
                variances.append(likely * (1 - likely) / (n + 4))
                away.append(column)
            else:
                variances.append(squares / (n - 1) / n * (n - 1) / (n - 3))
                away.append(column / squares**0.5)
    size, shrink, signal = len(away), 0.0, 0.0
    for one in range(size):
        for other in range(size):
            if one != other:
                products = [a * b for a, b in zip(away[one], away[other], strict=True)]
                shrink += 12 / 11 * (sum(product**2 for product in products) - sum(products) ** 2 / 12)
                signal += sum(products) ** 2
    by = min(max(shrink / signal, 0.001), 1)
    expected = np.zeros((size, size))
    for one in range(size):
        for other in range(size):
            correlation = 1.0 if one == other else (1 - by) * float(away[one] @ away[other])
            expected[one, other] = correlation * (variances[one] * variances[other]) ** 0.5
    np.testing.assert_allclose(mean, means)
    np.testing.assert_allclose(covariance, expected, rtol=1e-10, atol=1e-15)


def test_right_answers_are_counted_of_each_user_at_each_stage():
    """One user, two stages, three sets: 2 and 0 are right; the exact answer is torn between two options in one."""
    torn = [[0.4, 0.4, 0.2], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1]]
    answers = HeldOut(
        np.array([5]), None, np.array([[[0, 2, 1], [2, 1, 1]]]), np.array([[[0, 2, 0]] * 2]), np.array([[torn] * 2])
    )
    found = Counts.of(answers)
    assert found.users.tolist() == [5]
    assert found.right.tolist() == [[2, 0]]
    assert found.heldout == 3
    np.testing.assert_allclose(found.exact, [[2.5, 2.5]])
    np.testing.assert_allclose(found.share, [[2 / 3, 0]])


def test_runs_are_fitted_by_their_rounds_and_those_of_few_users_are_left_out():
    few = Counts(np.arange(MIN_USERS - 1), np.zeros((MIN_USERS - 1, 3), int), 5, np.zeros((MIN_USERS - 1, 3)))
    groups = [
        Comparable(["a", "few", "b"], [*runs(1, 3), few, *runs(1, 6)], privileged=[2]),
        Comparable(["c", "d"], runs(2, 3), privileged=[1]),
    ]
    short, long = fits(groups, [["A", "FEW", "B"], ["C", "D"]])
    assert (short.rounds, long.rounds) == (2, 5)
    assert (short.labels, long.labels) == (["A", "C", "D"], ["B"])
    assert (short.places, long.places) == ([(0, 0), (1, 0), (1, 1)], [(0, 2)])
    assert [list(group.privileged) for group in short.groups] == [[], [1]]
    assert [list(group.privileged) for group in long.groups] == [[0]]


def test_curves_are_compared_from_two_rounds_on():
    right = np.random.default_rng(0).binomial(10, 0.5, size=(12, 3))
    assert set(compare_curves(Counts(np.arange(12), right, 10, right))) == {"nothing", "plateau", "logarithmic", "free"}
    assert compare_curves(Counts(np.arange(12), right[:, :2], 10, right[:, :2])) == {}
