"""What the skill model says of simulated agents, and that ArviZ says the same of the stored posterior."""

import arviz_stats
import numpy as np
import pytest
from scipy import stats
from xarray import open_datatree

from beliefbench.skill import model
from beliefbench.skill.counts import Comparable, Counts, means_and_covariance
from beliefbench.skill.learning import compare_curves, designs
from beliefbench.skill.summary import skills

SHAPES = {
    "learner": [0.36, 0.56, 0.66, 0.73],
    "coin": [0.6] * 4,
    "plateau": [0.36, 0.48, 0.48, 0.48],
    "chance": [1 / 3] * 4,
}


def counts(shape, rng, users=200, heldout=40):
    hard = rng.normal(0, 0.05, size=(users, 1))
    exact, right = (rng.binomial(heldout, np.clip(np.array(one) + hard, 0, 1)) for one in (SHAPES["learner"], shape))
    return Counts(np.arange(users), right, heldout, exact)


def known_groups():
    """Agents of known accuracy, one of them met by too few users; and twice 24 users, of whom the exact answer
    knows little before the first round, with an agent that is told the truth far above it."""
    rng = np.random.default_rng(0)
    few = counts(SHAPES["coin"], rng, users=3)
    many = Comparable([*SHAPES, "few"], [*(counts(shape, rng) for shape in SHAPES.values()), few], [0])
    found = [many]
    for _ in range(2):
        best, privileged_runs, guessing = (
            rng.binomial(10, np.clip(np.array(shape) + rng.normal(0, 0.05, size=(24, 1)), 0, 1))
            for shape in ([0.4, 0.6, 0.73, 0.8], [0.97] * 4, SHAPES["chance"])
        )
        runs = [Counts(np.arange(24), right, 10, best) for right in (privileged_runs, best, guessing)]
        found.append(Comparable(["oracle", "bayesian", "random"], runs, [0]))
    return found


def said(groups, results):
    return skills(groups, [[f"{at}/{name}" for name in group.agents] for at, group in enumerate(groups)], results)


@pytest.mark.slow
def test_what_it_says_of_known_agents(tmp_path, monkeypatch):
    """All of it in one test: a fit takes longer than all else here, and processes that share tests would each fit."""
    for name, value in {"WARMUP": 300, "DRAWS": 600}.items():
        monkeypatch.setattr(model, name, value)
    groups = known_groups()
    every = said(groups, tmp_path)
    privileged_runs = dict(zip(groups[0].agents, every[0], strict=True))
    ranks_and_plateaus_are_found(privileged_runs)
    assert privileged_runs["few"] is None  # a run of few users is left out
    diagnostics_are_those_of_the_stored_posterior(privileged_runs, tmp_path)
    for found in every[1:]:  # few users and an agent that is told the truth are no trouble
        assert [skill.problems for skill in found] == [[], [], []]
        assert found[0].rank == (1, 1)


def ranks_and_plateaus_are_found(privileged_runs):
    assert [privileged_runs[name].rank for name in SHAPES] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert privileged_runs["learner"].best is None  # it is told the truth, and no rival
    assert privileged_runs["coin"].best > 0.99
    assert privileged_runs["plateau"].plateau > 0.9
    assert privileged_runs["coin"].plateau > 0.9
    assert privileged_runs["learner"].plateau < 0.01
    assert privileged_runs["learner"].gain.low < 0.17 < privileged_runs["learner"].gain.high
    for name, shape in SHAPES.items():
        for estimate, known in zip(privileged_runs[name].accuracy, shape, strict=True):
            assert abs(estimate.value - known) < 0.03
        assert estimate.low >= 0
        assert estimate.high <= 1
    assert privileged_runs["learner"].beats[0] == 0.5
    assert privileged_runs["chance"].beats[:3] == [0, 0, 0]


def diagnostics_are_those_of_the_stored_posterior(privileged_runs, results):
    (file,) = (results / "skill").glob("*.nc")
    with open_datatree(file, engine="h5netcdf") as tree:
        tree.load()
    rhat = arviz_stats.rhat(tree, var_names=["accuracy"])["accuracy"]
    bulk = arviz_stats.ess(tree, var_names=["accuracy"])["accuracy"]
    for name in SHAPES:
        assert privileged_runs[name].rhat == float(rhat.sel(run=f"0/{name}").max())
        assert privileged_runs[name].ess_bulk == float(bulk.sel(run=f"0/{name}").min())
        assert privileged_runs[name].problems == []


@pytest.mark.slow
def test_a_posterior_is_fitted_once_and_again_where_it_is_damaged(tmp_path, monkeypatch):
    """The runs of the example of `beliefbench.skill.model.fit`, and as few draws."""
    for name, value in {"CHAINS": 1, "WARMUP": 100, "DRAWS": 200}.items():
        monkeypatch.setattr(model, name, value)
    rng = np.random.default_rng(0)
    right = [rng.binomial(20, share, size=(50, 2)) for share in (0.4, 0.7)]
    groups = [Comparable(["a", "b"], [Counts(np.arange(50), one, 20, exact=right[1]) for one in right])]
    fits = []
    real = model.fit
    monkeypatch.setattr(model, "fit", lambda groups: (fits.append(1), real(groups))[1])
    ((first, _),) = said(groups, tmp_path)
    assert fits == [1]
    ((again, _),) = said(groups, tmp_path)
    assert again.accuracy == first.accuracy
    assert fits == [1]
    (file,) = (tmp_path / "skill").glob("*.nc")
    file.write_bytes(file.read_bytes()[:1000])
    ((again, _),) = said(groups, tmp_path)
    assert fits == [1, 1]
    assert again.accuracy == first.accuracy


@pytest.mark.parametrize(("name", "best"), [("plateau", "plateau"), ("chance", "nothing"), ("learner", "free")])
def test_the_learning_curve_that_made_the_data_is_not_refused(name, best):
    found = compare_curves(counts(SHAPES[name], np.random.default_rng(1)))
    most = max(one.elpd_difference for one in found.values())
    assert found[best].elpd_difference > most - 2 * max(found[best].error, 1.5)
    refused = {curve for curve, one in found.items() if one.elpd_difference < -3 * max(one.error, 1e-9)}
    assert refused >= {"plateau": {"nothing"}, "chance": set(), "learner": {"nothing", "plateau"}}[name]


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=[] if one == "plateau" else pytest.mark.reference) for one in SHAPES]
)
def test_users_left_out_are_predicted_exactly(name):
    """Against the density of each user given the others, by the rules of normal distributions."""
    run = counts(SHAPES[name], np.random.default_rng(2), users=40)
    spread = 40 * means_and_covariance([run])[1]
    elpd = {}
    for curve, design in designs(run.right.shape[1]).items():
        shared = design @ design.T  # what users have in common: the curve, with a standard normal prior
        each = []
        for user in range(40):
            others = np.delete(run.share, user, axis=0).ravel() - 0.5
            among = np.kron(np.ones((39, 39)), shared) + np.kron(np.eye(39), spread)
            weights = np.linalg.solve(among, np.tile(shared, (39, 1))).T
            covariance = shared + spread - weights @ np.tile(shared, (39, 1))
            each.append(stats.multivariate_normal(weights @ others, covariance).logpdf(run.share[user] - 0.5))
        elpd[curve] = np.array(each)
    for curve, found in compare_curves(run).items():
        apart = elpd[curve] - elpd["free"]
        np.testing.assert_allclose(found, [apart.sum(), apart.std(ddof=1) * np.sqrt(40)], rtol=1e-6, atol=1e-8)


def test_nothing_is_said_of_learning_in_one_round():
    assert compare_curves(counts([0.3, 0.5], np.random.default_rng(0))) == {}
