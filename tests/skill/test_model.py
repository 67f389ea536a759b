"""The skill model against an independent computation, and against simulated agents whose accuracy is known."""

import numpy as np
import pytest
from scipy import stats

from bench.skill import model
from bench.skill.counts import Counts, means_and_covariance
from bench.skill.model import Comparable, fit


def simulated(rng, accuracy, users, heldout=20, spread=0.1):
    """Counts of runs float[runs, stages] that met the same users, who differ in how hard they are."""
    hard = rng.normal(0, spread, size=(users, 1))
    return [Counts(np.arange(users), rng.binomial(heldout, np.clip(one + hard, 0, 1)), heldout) for one in accuracy]


def test_covariance_is_that_of_the_users():
    rng = np.random.default_rng(0)
    runs = simulated(rng, np.array([[0.4, 0.5], [0.6, 0.6]]), users=5000)
    mean, covariance = means_and_covariance(runs)
    shares = np.concatenate([run.share for run in runs], axis=1)
    np.testing.assert_allclose(mean, shares.mean(axis=0))
    np.testing.assert_allclose(covariance, np.cov(shares.T) / 5000, rtol=0.02)


def test_runs_of_some_of_the_users_share_what_they_share():
    rng = np.random.default_rng(1)
    whole, other = simulated(rng, np.array([[0.5], [0.5]]), users=4000)
    part = Counts(other.users[:1000], other.right[:1000], other.heldout)
    _, covariance = means_and_covariance([whole, part])
    # Of means over n and m users, m of them shared, the covariance is that of a user over n.
    shared = np.cov(whole.share[:1000, 0], part.share[:, 0])[0, 1] / 4000
    assert covariance[0, 1] == pytest.approx(shared, rel=0.02)


@pytest.mark.parametrize("users", [8, 12, 60])
def test_covariance_can_be_inverted_with_fewer_users_than_accuracies(users):
    rng = np.random.default_rng(2)
    runs = simulated(rng, np.full((10, 6), 0.5), users)
    runs += [runs[0], Counts(np.arange(users), np.full((users, 6), 20), 20)]  # a copy, and one that is always right
    _, covariance = means_and_covariance(runs)
    assert np.linalg.eigvalsh(covariance).min() > 0
    assert 0 < covariance[-1, -1] < 0.1 / users


def by_quadrature(groups, agents, stages):
    """Posterior means and deviations of accuracies, the two scales on a grid and all else in closed form."""
    found = [means_and_covariance(group.runs) for group in groups]
    mean = np.concatenate([one for one, _ in found])
    size = len(mean)
    noise = np.zeros((size, size))
    start = 0
    for one, covariance in found:
        noise[start : start + len(one), start : start + len(one)] = covariance
        start += len(one)
    runs = size // stages
    group = np.repeat(np.arange(len(groups)), [len(one.runs) for one in groups])
    same_stage = np.tile(np.eye(stages), (runs, runs))
    same_group, same_agent = (np.kron(who[:, None] == who, np.ones((stages, stages))) for who in (group, agents))
    weights, means, squares = [], [], []
    scales = np.exp(np.linspace(np.log(0.002), np.log(1.5), 60))
    for between in scales:
        for own in scales:
            prior = same_stage * (0.09 * same_group + between**2 * same_agent) + own**2 * np.eye(size)
            total = prior + noise
            gain = prior @ np.linalg.inv(total)
            centre = 0.5 + gain @ (mean - 0.5)
            weights.append(
                stats.multivariate_normal(np.full(size, 0.5), total).logpdf(mean)
                + stats.norm(np.log(0.1), 0.7).logpdf(np.log(between))
                + stats.norm(np.log(0.05), 0.7).logpdf(np.log(own))
            )
            means.append(centre)
            squares.append(np.diag(prior - gain @ prior) + centre**2)
    weight = np.exp(np.array(weights) - max(weights))
    weight /= weight.sum()
    first = weight @ np.array(means)
    return first, np.sqrt(weight @ np.array(squares) - first**2)


@pytest.mark.slow
def test_the_posterior_is_that_of_quadrature():
    rng = np.random.default_rng(3)
    groups = [
        Comparable(["a", "b", "c"], simulated(rng, np.array([[0.35, 0.5], [0.4, 0.7], [0.5, 0.5]]), users=20)),
        Comparable(["a", "c"], simulated(rng, np.array([[0.4, 0.55], [0.45, 0.5]]), users=10)),
    ]
    mean, deviation = by_quadrature(groups, np.array([0, 1, 2, 0, 2]), stages=2)
    drawn = fit(groups).accuracy.reshape(4000, -1)
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.004)
    np.testing.assert_allclose(drawn.std(axis=0), deviation, rtol=0.08)


@pytest.mark.slow
def test_intervals_cover_known_accuracies(monkeypatch):
    """1,000 simulated runs: 125 agents on 8 domains, 60 users each.

    Declared failure rate: were the cover 95%, the share of 1,000 independent intervals would lie within 93 and 97 all
    but 4 times in 1,000.
    """
    monkeypatch.setattr(model, "WARMUP", 250)
    monkeypatch.setattr(model, "DRAWS", 250)
    rng = np.random.default_rng(4)
    agents, domains = 125, 8
    skill, level = rng.normal(0, 0.1, size=(agents, 1)), rng.normal(0, 0.05, size=(1, domains))
    truth = 0.5 + skill + level + rng.normal(0, 0.05, size=(agents, domains))
    groups = []
    for domain in range(domains):
        runs = simulated(rng, truth[:, domain, None], users=60, spread=0)
        groups.append(Comparable([f"agent {agent}" for agent in range(agents)], runs))
    drawn = fit(groups).accuracy.reshape(1000, domains, agents)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    assert 0.93 <= ((low < truth.T) & (high > truth.T)).mean() <= 0.97
