"""The skill model against an independent computation, and against simulated agents whose accuracy is known."""

import jax
import numpy as np
import pytest
from numpyro.infer.util import log_density
from scipy import stats

from beliefbench.skill import model
from beliefbench.skill.counts import Comparable, Counts, means_and_covariance
from beliefbench.skill.model import Batch, fit, skill_model


def simulated(rng, accuracy, users, exact=None, heldout=20, spread=0.1):
    """Counts of runs float[runs, stages] that met the same users, who differ in how hard they are."""
    hard = rng.normal(0, spread, size=(users, 1))
    known = accuracy[-1] if exact is None else exact
    best, *right = (rng.binomial(heldout, np.clip(one + hard, 0, 1)) for one in (known, *accuracy))
    return [Counts(np.arange(users), one, heldout, best) for one in right]


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
    part = Counts(other.users[:1000], other.right[:1000], other.heldout, other.exact[:1000])
    _, covariance = means_and_covariance([whole, part])
    # Of means over n and m users, m of them shared, the covariance is that of a user over n.
    shared = np.cov(whole.share[:1000, 0], part.share[:, 0])[0, 1] / 4000
    assert covariance[0, 1] == pytest.approx(shared, rel=0.02)


@pytest.mark.parametrize("users", [8, 12, 60])
def test_covariance_can_be_inverted_with_fewer_users_than_accuracies(users):
    rng = np.random.default_rng(2)
    runs = simulated(rng, np.full((10, 6), 0.5), users)
    runs += [runs[0], runs[0]._replace(right=np.full((users, 6), 20))]  # a copy, and one that is always right
    _, covariance = means_and_covariance(runs)
    assert np.linalg.eigvalsh(covariance).min() > 0
    assert 0 < covariance[-1, -1] < 0.1 / users


@pytest.fixture
def groups():
    rng = np.random.default_rng(3)
    first, second = np.array([[0.35, 0.5], [0.4, 0.7], [0.5, 0.5]]), np.array([[0.4, 0.55], [0.45, 0.5]])
    return [
        Comparable(["a", "b", "c"], simulated(rng, first, users=20, exact=[0.4, 0.75]), privileged=[1]),
        Comparable(["a", "c"], simulated(rng, second, users=10, exact=[0.45, 0.6])),
    ]


def by_hand(groups, agents, exact, accuracy, closed, between, spread):
    """The log joint of everything, each distribution by its own density; lists of a group each."""
    shape = np.array([[1, 0.5], [0.5, 1]])
    total = stats.lognorm(0.5, scale=0.5).logpdf(between) + stats.halfnorm(0.02, 0.05).logpdf(spread)
    total += stats.multivariate_normal([0.5, 0.5], between**2 * shape).logpdf(closed).sum()
    for group, best, seen in zip(groups, exact, accuracy, strict=True):
        mean, covariance = means_and_covariance([Counts.of_exact(group.runs), *group.runs])
        total += stats.multivariate_normal(mean, covariance).logpdf([*best, *seen.ravel()])
        total += stats.norm(0.6, 0.3).logpdf(best).sum()
        for place, (name, one) in enumerate(zip(group.agents, seen, strict=True)):
            limit = 1 if place in group.privileged else best
            expected = 1 / 3 + closed[agents.index(name)] * (limit - 1 / 3)
            total += stats.multivariate_t(expected, spread**2 * shape, df=4).logpdf(one)
    return total


def test_the_log_joint_is_the_declared_one(groups):
    rng = np.random.default_rng(0)
    batches, agents = Batch.all_of(groups), ["a", "b", "c"]
    privileged_runs, ours, theirs = np.array([False, True, False, False, False]), [], []
    for _ in range(5):
        sites = {"between_agents": rng.uniform(0.2, 1), "over_domains": rng.uniform(0.02, 0.1)}
        sites["closed"] = rng.normal(0.5, 0.5, size=(3, 2))
        exact, accuracy = [None, None], [None, None]
        for number, batch in enumerate(batches):
            sites[f"error_{number}"] = rng.normal(size=batch.mean.shape)
            for at, group in enumerate(batch.groups):
                values = (batch.mean[at] + batch.root[at] @ sites[f"error_{number}"][at]).reshape(-1, 2)
                exact[group], accuracy[group] = values[0], values[1:]
        with jax.enable_x64(True):
            ours.append(
                float(log_density(skill_model, (batches, np.array([0, 1, 2, 0, 2]), privileged_runs, 2), {}, sites)[0])
            )
        theirs.append(
            by_hand(
                groups, agents, exact, accuracy, *(sites[name] for name in ("closed", "between_agents", "over_domains"))
            )
        )
    np.testing.assert_allclose(np.diff(ours), np.diff(theirs), rtol=1e-9)


def by_pymc(groups, stages):
    """Posterior means and deviations of accuracies: the same model, written anew in PyMC, every quantity by itself."""
    import pymc as pm

    agents = sorted({name for group in groups for name in group.agents})
    shape = 0.5 * (np.eye(stages) + np.ones((stages, stages)))
    with pm.Model():
        between = pm.LogNormal("between", np.log(0.5), 0.5)
        spread = pm.TruncatedNormal("spread", 0.02, 0.05, lower=0.02)
        closed = pm.MvNormal("closed", np.full(stages, 0.5), between**2 * shape, shape=(len(agents), stages))
        found = []
        for number, group in enumerate(groups):
            exact = pm.Normal(f"exact_{number}", 0.6, 0.3, shape=stages)
            own = pm.MvStudentT(
                f"own_{number}", nu=4, mu=np.zeros(stages), scale=spread**2 * shape, shape=(len(group.runs), stages)
            )
            at = [agents.index(name) for name in group.agents]
            privileged_runs = np.isin(np.arange(len(group.runs)), group.privileged)[:, None]
            found.append(1 / 3 + closed[at] * (pm.math.where(privileged_runs, 1.0, exact) - 1 / 3) + own)
            mean, covariance = means_and_covariance([Counts.of_exact(group.runs), *group.runs])
            everything = pm.math.concatenate([exact, found[-1].ravel()])
            pm.MvNormal(f"observed_{number}", everything, covariance, observed=mean)
        pm.Deterministic("accuracy", pm.math.concatenate(found))
        drawn = pm.sample(1500, tune=1500, chains=2, cores=1, random_seed=5, target_accept=0.95, progressbar=False)
    values = drawn.posterior["accuracy"].to_numpy().reshape(3000, -1)
    return values.mean(axis=0), values.std(axis=0)


@pytest.mark.reference
@pytest.mark.timeout(900)
def test_the_posterior_is_that_of_pymc(groups, record_property):
    """Declared failure rate: of 10 means and 10 deviations none is off by more than four Monte Carlo errors, at an
    effective size of a thousand: less than 1 in 500 runs fails by chance."""
    mean, deviation = by_pymc(groups, stages=2)
    drawn = fit(groups).accuracy.reshape(4000, -1)
    away = abs(drawn.mean(axis=0) - mean) / deviation
    record_property("largest difference of means, in deviations", round(away.max(), 4))
    assert (abs(drawn.mean(axis=0) - mean) < 4 * deviation / np.sqrt(1000)).all()
    np.testing.assert_allclose(drawn.std(axis=0), deviation, rtol=4 / np.sqrt(2 * 1000))


@pytest.mark.slow
def test_an_agent_that_does_alike_elsewhere_is_believed_where_it_does_not(monkeypatch):
    """Closes all of the gap on four domains, and nothing on a fifth: there it stays where it was seen."""
    for name, value in {"CHAINS": 1, "WARMUP": 400, "DRAWS": 800}.items():  # the mean is sure to a tenth of its error
        monkeypatch.setattr(model, name, value)
    rng = np.random.default_rng(6)
    groups = [
        Comparable(["learner", "guesser"], simulated(rng, np.array([[share], [1 / 3]]), 300, exact=[0.8]))
        for share in (0.8, 0.8, 0.8, 0.8, 0.35)
    ]
    drawn = fit(groups).accuracy[..., 8, 0]
    seen = groups[-1].runs[0].share.mean()
    assert abs(drawn.mean() - seen) < drawn.std()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("agents", "domains", "least", "most"),
    [(50, 4, 0.9, 0.99), pytest.param(125, 8, 0.93, 0.97, marks=pytest.mark.reference)],
)
def test_intervals_cover_known_accuracies(monkeypatch, record_property, agents, domains, least, most):
    """200 simulated runs, 1,000 where a minute matters less: agents on domains, 60 users each.

    Declared failure rate: were the cover 95%, the share of 1,000 independent intervals would lie within 93 and 97 all
    but 4 times in 1,000, and that of 200 within 90 and 99 all but 2 times in 1,000.
    """
    for name, value in {"CHAINS": 1, "WARMUP": 400, "DRAWS": 800}.items():  # enough for a quantile of each
        monkeypatch.setattr(model, name, value)
    rng = np.random.default_rng(4)
    closed, exact = rng.uniform(0, 1, size=(agents, 1)), rng.uniform(0.6, 0.9, size=domains)
    truth = 1 / 3 + closed * (exact - 1 / 3) + rng.normal(0, 0.05, size=(agents, domains))
    groups = []
    for domain in range(domains):
        runs = simulated(rng, truth[:, domain, None], users=60, exact=[exact[domain]], spread=0)
        groups.append(Comparable([f"agent {agent}" for agent in range(agents)], runs))
    drawn = fit(groups).accuracy.reshape(800, domains, agents)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    cover = ((low < truth.T) & (high > truth.T)).mean()
    record_property("share of 95% intervals that cover", round(cover, 3))
    assert least <= cover <= most
