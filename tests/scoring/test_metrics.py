"""Each metric worked by hand, and what must hold of any answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefbench.scoring.metrics import METRICS, calibration_error

# One user, one stage, four sets. The last answer could not be used.
PROBS = np.array([[[[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [1.0, 0.0, 0.0], [np.nan, np.nan, np.nan]]]])
CHOICE = np.array([[[0, 1, 0, -1]]])
TRUTH = np.array([[[0, 2, 1, 0]]])
EXACT = np.array([[[[0.6, 0.4, 0.0], [0.25, 0.5, 0.25], [0.4, 0.4, 0.2], [0.2, 0.2, 0.6]]]])


def value(name: str, probs=PROBS, choice=CHOICE, truth=TRUTH, exact=EXACT):
    found = METRICS[name](probs, choice, truth, exact)
    return None if found is None else found.tolist()


def test_accuracy():
    # Right, wrong, wrong, unusable.
    assert value("accuracy") == [[1 / 4]]


def test_agreement():
    # The exact best are 0; 1; 0 and 1, of which either agrees; 2, which nobody named.
    assert value("agreement") == [[3 / 4]]
    assert value("agreement", choice=np.array([[[1, 0, 2, 2]]])) == [[1 / 4]]


def test_coverage():
    assert value("coverage") == [[3 / 4]]


def test_log_score():
    # P(truth) = .5, .1, 0 floored at 1e-6 and shared out of 1 + 2e-6, and 1/3 for the unusable answer.
    by_hand = -(np.log(0.5) + np.log(0.1) + np.log(1e-6 / (1 + 2e-6)) + np.log(1 / 3)) / 4
    assert value("log_score") == [[pytest.approx(by_hand, rel=1e-12)]]


def test_brier():
    # .25 + .09 + .04 = .38; .01 + .64 + .81 = 1.46; 1 + 1 = 2, not floored; 4/9 + 1/9 + 1/9 = 2/3.
    assert value("brier") == [[pytest.approx((0.38 + 1.46 + 2 + 2 / 3) / 4, rel=1e-12)]]


def test_kl_exact():
    # Two sets that no floor touches: .25 ln(.25/.1) * 2 + .5 ln(.5/.8), and against uniform for the unusable answer.
    second = 2 * 0.25 * np.log(0.25 / 0.1) + 0.5 * np.log(0.5 / 0.8)
    fourth = 2 * 0.2 * np.log(0.2 * 3) + 0.6 * np.log(0.6 * 3)
    pick = [1, 3]
    found = value("kl_exact", PROBS[:, :, pick], CHOICE[:, :, pick], TRUTH[:, :, pick], EXACT[:, :, pick])
    assert found == [[pytest.approx((second + fourth) / 2, rel=1e-9)]]


def test_kl_exact_is_floored_on_both_sides():
    # Sure of the wrong option: P = (1, f, f), Q = (f, 1, f) over 1 + 2f, so KL = (1 - f) ln(1/f) / (1 + 2f).
    floor = 1e-6
    sure, wrong = np.array([[[[1.0, 0, 0]]]]), np.array([[[[0, 1.0, 0]]]])
    found = value("kl_exact", wrong, np.array([[[1]]]), np.array([[[0]]]), sure)
    assert found == [[pytest.approx((1 - floor) * np.log(1 / floor) / (1 + 2 * floor), rel=1e-9)]]


def test_ece():
    # Stated .5, .8, 1, and 1/3 for the unusable answer, each alone in its bin; right, wrong, wrong, wrong.
    assert value("ece") == [pytest.approx((0.5 + 0.8 + 1.0 + 1 / 3) / 4)]


def test_ece_pools_users_but_not_stages():
    # Two users, two stages, one set. At stage 0 both say .7, one is right: .2. At stage 1 both say .5, one is right: 0.
    probs = np.broadcast_to(np.array([[[0.7, 0.2, 0.1]], [[0.5, 0.4, 0.1]]]), (2, 2, 1, 3))
    truth = np.array([[[0], [0]], [[1], [1]]])
    assert value("ece", probs, np.zeros((2, 2, 1), int), truth, probs) == [pytest.approx(0.2), pytest.approx(0.0)]


def test_values_are_means_over_a_users_own_sets():
    choice = np.array([[[0, 0], [0, 1]], [[1, 1], [1, 0]]])  # two users, two stages, two sets
    truth = np.zeros((2, 2, 2), int)
    even = np.full((2, 2, 2, 3), 1 / 3)
    assert value("accuracy", None, choice, truth, even) == [[1, 0.5], [0, 0.5]]


@pytest.mark.parametrize("name", ["log_score", "brier", "ece", "kl_exact"])
def test_an_agent_that_only_chooses_has_no_metric_of_probabilities(name):
    assert value(name, probs=None) is None


@pytest.mark.parametrize("name", ["accuracy", "agreement", "coverage"])
def test_metrics_of_choices_do_not_look_at_probabilities(name):
    assert value(name, probs=None) == value(name)


@pytest.mark.parametrize(
    ("name", "uniform"),
    [("log_score", np.log(3)), ("brier", 2 / 3), ("accuracy", 0), ("agreement", 0), ("coverage", 0)],
)
def test_answers_that_cannot_be_used_score_as_wrong_and_uniform(name, uniform):
    nothing = np.full((1, 1, 4, 3), np.nan), np.full((1, 1, 4), -1)
    assert value(name, *nothing) == [[pytest.approx(uniform)]]


def simplex(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.dirichlet(np.ones(3), size=shape)


def test_the_exact_answer_has_no_kl_and_agrees_with_itself():
    exact = np.concatenate(
        [simplex(np.random.default_rng(0), 5, 2, 7), np.eye(3)[None, None].repeat(5, 0).repeat(2, 1)], 2
    )
    choice = exact.argmax(axis=-1)
    np.testing.assert_allclose(METRICS["kl_exact"](exact, choice, choice, exact), 0, atol=1e-12)
    np.testing.assert_array_equal(METRICS["agreement"](exact, choice, choice, exact), 1)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), order=st.permutations(range(3)))
def test_metrics_do_not_care_how_options_are_numbered(seed, order):
    rng = np.random.default_rng(seed)
    probs, exact = simplex(rng, 2, 2, 6), simplex(rng, 2, 2, 6)
    choice, truth = rng.integers(-1, 3, (2, 2, 6)), rng.integers(0, 3, (2, 2, 6))
    place = np.argsort(order)
    moved = np.where(choice < 0, -1, place[choice])
    for metric in METRICS.values():
        np.testing.assert_allclose(
            metric(probs[..., order], moved, place[truth], exact[..., order]),
            metric(probs, choice, truth, exact),
            atol=1e-12,
        )


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_answer_beats_the_exact_one_in_expectation(seed):
    """Proper scores: the expected log score and Brier score under the exact predictive are least for the exact one."""
    rng = np.random.default_rng(seed)
    exact, other = simplex(rng), simplex(rng)
    answers = {}
    for name in ("log_score", "brier"):
        for who, probs in (("exact", exact), ("other", other)):
            scores = [
                METRICS[name](probs[None, None, None], np.zeros((1, 1, 1), int), np.full((1, 1, 1), truth), None)
                for truth in range(3)
            ]
            answers[name, who] = sum(p * float(s[0, 0]) for p, s in zip(exact, scores, strict=True))
        assert answers[name, "exact"] <= answers[name, "other"] + 1e-6


# --- calibration error ----------------------------------------------------------------------------


def test_calibration_error_of_an_overconfident_stream_by_hand():
    # 100 answers at .9, 60 of them right; 100 at .5, 50 right: 100/200 * .3 + 100/200 * 0.
    confidence = np.repeat([0.9, 0.5], 100)
    right = np.tile(np.arange(100), 2) < np.repeat([60, 50], 100)
    assert calibration_error(confidence, right) == pytest.approx(0.15)


def test_over_and_underconfidence_in_different_bins_do_not_cancel():
    confidence = np.repeat([0.6, 0.4], 50)
    right = np.r_[np.arange(50) < 20, np.arange(50) < 30]  # 40% right at .6, 60% right at .4
    assert calibration_error(confidence, right) == pytest.approx(0.2)


def test_bins_of_equal_mass_by_hand():
    # Four different levels in two bins: {.2, .4} with one right of two, {.6, .8} with two right of two.
    confidence, right = np.array([0.8, 0.2, 0.6, 0.4]), np.array([True, False, True, True])
    assert calibration_error(confidence, right, bins=2) == pytest.approx((abs(0.6 - 1) + abs(1.4 - 2)) / 4)


def test_a_calibrated_stream_has_a_small_error_and_an_overconfident_one_its_excess():
    """50,000 answers at confidences over [1/3, .9]. In 15 bins of 3,333 a gap has a standard deviation below .0087, so
    that the mean of 15 absolute gaps (expected .007, standard deviation .0014) exceeds .0145 with probability below
    1e-6; .1 too much is found to the same margin.
    """
    rng = np.random.default_rng(0)
    confidence = rng.uniform(1 / 3, 0.9, 50_000)
    right = rng.random(50_000) < confidence
    assert calibration_error(confidence, right) < 0.0145
    assert calibration_error(confidence + 0.1, right) == pytest.approx(0.1, abs=0.0145)


@settings(max_examples=100, deadline=None)
@given(
    answers=st.lists(
        st.tuples(st.sampled_from([0.3, 0.34, 0.5, 0.500001, 0.9, 1.0]), st.booleans()), min_size=1, max_size=80
    ),
    order=st.randoms(),
)
def test_equal_confidences_are_never_split(answers, order):
    """So the order of answers cannot matter; and with as many bins as answers each level is alone in one."""
    shuffled = order.sample(answers, len(answers))
    values = [calibration_error(*map(np.array, zip(*some, strict=True))) for some in (answers, shuffled)]
    assert values[0] == pytest.approx(values[1], abs=1e-12)
    confidence, right = map(np.array, zip(*answers, strict=True))
    alone = sum(abs((confidence - right)[confidence == level].sum()) for level in set(confidence)) / len(answers)
    assert calibration_error(confidence, right, bins=len(answers)) == pytest.approx(alone, abs=1e-12)
    assert values[0] <= alone + 1e-12


@settings(max_examples=50, deadline=None)
@given(level=st.floats(0, 1), hits=st.integers(0, 30), misses=st.integers(0, 30))
def test_one_level_is_one_bin(level, hits, misses):
    if hits + misses:
        right = np.arange(hits + misses) < hits
        found = calibration_error(np.full(hits + misses, level), right)
        assert found == pytest.approx(abs(level - hits / (hits + misses)), abs=1e-9)
