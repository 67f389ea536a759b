"""Updating and reliability on agents that are made of the exact answer, so that it is known what is wrong with them."""

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.intervals import clustered_interval
from beliefbench.scoring.heldout import HeldOut
from beliefbench.scoring.metrics import METRICS, ece
from beliefbench.scoring.reliability import confidence_of, corp, diagram, ece_null, recalibrated
from beliefbench.scoring.updating import gap_closed, martingale_score, update_slope

SIMULATIONS = 1000


@pytest.fixture(scope="module")
def exact():
    """The exact answer to all 624 users of flights, as an agent."""
    domain = bb.load_domain("flights")
    episodes = bb.Episodes(domain, bb.Protocol(users=624, rounds=5, heldout=20))
    probs = episodes.exact
    truth = np.broadcast_to(episodes.truth[:, None], probs.shape[:3])
    best = probs >= probs.max(axis=-1, keepdims=True) - 1e-9
    choice = (best * np.random.default_rng(0).random(probs.shape)).argmax(axis=-1)
    return HeldOut(episodes.users, probs, choice, truth, probs)


def agent(exact, probs):
    return exact._replace(probs=probs, choice=probs.argmax(axis=-1))


def sharpened(exact, power):
    probs = exact.probs**power
    return exact._replace(probs=probs / probs.sum(axis=-1, keepdims=True))


def mixed(exact, rng, weight):
    return agent(exact, weight * exact.probs + (1 - weight) * rng.dirichlet([2, 2, 2], size=exact.truth.shape))


def test_the_exact_answer_is_exact(exact):
    answers = exact[1:]
    assert METRICS["kl_exact"](*answers).max() < 1e-6
    for estimate in update_slope(*answers)[1:]:
        assert estimate.value == pytest.approx(1, abs=0.01)
    assert [round(estimate.value, 1) for estimate in gap_closed(*answers)] == [1] * 6
    confidence, right = confidence_of(*answers[:3])
    for stage, found in enumerate(ece(*answers)):
        assert found < ece_null(confidence[:, stage], right[:, stage], quantile=0.999)
    for estimate in martingale_score(*answers)[1:-1]:
        assert abs(estimate.value) < 0.05


def test_over_confidence_is_found(exact):
    sure = sharpened(exact, 3)
    for stage in range(1, 6):
        assert update_slope(*sure[1:])[stage].low > 1.05
        confidence, right = (values[:, stage] for values in confidence_of(*sure[1:4]))
        assert ece(*sure[1:])[stage] > 2 * ece_null(confidence, right)
        calm, its = (values[:, stage] for values in confidence_of(*exact[1:4]))
        assert corp(confidence, right).miscalibration > 5 * corp(calm, its).miscalibration
        assert corp(confidence, right).discrimination == pytest.approx(corp(calm, its).discrimination, rel=0.3)
    assert all(estimate.high < 0 for estimate in martingale_score(*sure[1:])[1:-1])


def test_too_little_updating_is_found(exact):
    for estimate in update_slope(*mixed(exact, np.random.default_rng(0), 0.4)[1:])[1:]:
        assert estimate.low < 0.4 < estimate.high
        assert estimate.high < 0.5


def test_no_probabilities_give_no_estimates(exact):
    chooser = exact._replace(probs=None)
    assert update_slope(*chooser[1:]) == [None] * 6
    assert martingale_score(*chooser[1:]) == [None] * 6
    assert confidence_of(*chooser[1:4]) is None
    assert gap_closed(*chooser[1:])[5].value == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("users", [40, 200])
def test_intervals_of_a_coin_cover(users):
    rng = np.random.default_rng(users)
    shares = rng.binomial(20, 0.6, size=(SIMULATIONS, users)) / 20
    ends = np.array([clustered_interval(one) for one in shares])
    assert 0.93 <= ((ends[:, 0] < 0.6) & (ends[:, 1] > 0.6)).mean() <= 0.97


@pytest.mark.parametrize("stage", [1, 5])
def test_intervals_of_a_noisy_exact_answer_cover(exact, stage):
    """1,000 samples of 100 users, of all 624 the truth: accuracy and gap closed."""
    rng = np.random.default_rng(stage)
    noisy = mixed(exact, rng, 0.5)
    two = HeldOut(noisy.users, *(values[:, stage - 1 : stage + 1] for values in noisy[1:]))
    known = (two.choice == two.truth)[:, 1].mean(), gap_closed(*two[1:])[1].value
    covered = np.zeros(2)
    for _ in range(SIMULATIONS):
        who = rng.integers(624, size=100)
        some = HeldOut(two.users[who], *(values[who] for values in two[1:]))
        ends = [clustered_interval((some.choice == some.truth)[:, 1].mean(axis=-1)), gap_closed(*some[1:])[1][1:]]
        covered += [low < value < high for (low, high), value in zip(ends, known, strict=True)]
    assert ((covered / SIMULATIONS >= 0.93) & (covered / SIMULATIONS <= 0.97)).all(), covered


def test_calibration_error_of_a_calibrated_agent_is_within_its_null_as_often_as_said():
    """Declared failure rate: the null is a 95% quantile, and of 400 simulations a share of .91 to .99 lies below it."""
    rng = np.random.default_rng(0)
    below = 0
    for _ in range(400):
        ease = rng.normal(0, 0.1, size=(100, 1))  # what a user's answers share, known to the agent
        confidence = np.clip(0.6 + ease + rng.normal(0, 0.1, size=(100, 20)), 0.34, 0.99)
        right = rng.random(confidence.shape) < confidence
        chooser = np.zeros((100, 1, 20), int)
        rest = (1 - confidence[:, None, :, None]) / 2
        probs = np.concatenate([confidence[:, None, :, None], rest, rest], axis=-1)
        found = ece(probs, chooser, np.where(right, 0, 1)[:, None], probs)[0]
        below += found < ece_null(confidence, right, draws=200)
    assert 0.91 <= below / 400 <= 0.99


def test_recalibration_is_the_best_rising_fit():
    rng = np.random.default_rng(0)
    confidence, right = rng.random(40).round(1), rng.random(40) < 0.5
    best = recalibrated(confidence, right)
    order = np.argsort(confidence, kind="stable")
    assert (np.diff(best[order]) >= -1e-12).all()
    for level in np.unique(confidence):
        assert np.ptp(best[confidence == level]) == 0
    loss = ((best - right) ** 2).sum()
    for _ in range(500):  # no other rising fit is better
        levels = np.unique(confidence, return_inverse=True)[1]
        other = np.sort(rng.random(levels.max() + 1))[levels]
        assert ((other - right) ** 2).sum() >= loss


def test_corp_by_hand():
    """Confidences .2, .4, .6 (wrong, right, wrong): PAV pools the last two to 1/2."""
    confidence, right = np.array([0.2, 0.4, 0.6]), np.array([False, True, False])
    parts = corp(confidence, right)
    brier = (0.2**2 + 0.6**2 + 0.6**2) / 3
    assert parts.uncertainty == pytest.approx(2 / 9)
    assert parts.miscalibration == pytest.approx(brier - 0.5 / 3)
    assert parts.discrimination == pytest.approx(2 / 9 - 0.5 / 3)
    assert parts.miscalibration - parts.discrimination + parts.uncertainty == pytest.approx(brier)


def test_a_diagram_of_a_calibrated_agent_lies_around_the_diagonal():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.4, 0.9, size=(300, 30))
    drawn = diagram(confidence, rng.random(confidence.shape) < confidence)
    middle = (drawn.confidence > 0.5) & (drawn.confidence < 0.8)
    assert (abs(drawn.share - drawn.confidence)[middle] < 0.06).all()
    assert (np.diff(drawn.share) >= 0).all()
    assert drawn.answers.sum() == confidence.size
