"""The exact predictive is calibrated on its own simulator: what it gives 70% to happens 70% of the time.

Users come from the model itself, prior and all, so that given the option sets and the rounds seen, the truth is a draw
from the exact predictive. All tests are conditional on the sets, given which users are independent: whether users share
sets matters for how many different cases are seen, and not for the null.
"""

from itertools import product

import jax
import numpy as np
import pytest
from numpyro import handlers
from scipy import stats

import beliefbench as bb
from beliefbench.agent import Brief
from beliefbench.draws import key, keys_for, quick_jit
from beliefbench.exact.latents import latent_space
from beliefbench.scoring.metrics import ECE_BINS, calibration_error

USERS, ROUNDS, QUERIES = 2_000, 5, 3
REFERENCE_USERS = 5_000
OWN_SETS_UP_TO = 5_000  # hypotheses
SHARED_HYPOTHESES, POOL = 100_000, 32
NOISE = (0.0, 0.2, 0.5, 0.8, 1.0)


def option_sets(
    domain: bb.Domain, seed: int, own: bool, users: int = USERS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rounds, float[users, 5, 3, features], who shares them, int[users], queries, float[queries, 3, features].

    Own sets: 3 of the queries for each user. Else users share 100,000 / hypotheses different sequences of rounds, at
    least one, and 32 queries: users of one sequence and the same choices have one predictive, worked out once.
    """
    sequences = users if own else max(1, SHARED_HYPOTHESES // latent_space(domain).size)
    draw = quick_jit(domain.draw, static_argnums=1)
    with jax.enable_x64(True):
        drawn = np.asarray(draw(key(seed, domain.name, "rounds"), sequences * ROUNDS))
        pool = np.asarray(draw(key(seed, domain.name, "queries"), users * QUERIES if own else POOL))
    sequence = np.arange(users) % sequences
    return drawn.reshape(sequences, ROUNDS, *drawn.shape[1:])[sequence], sequence, pool


def simulate(domain: bb.Domain, seed: int, options: np.ndarray) -> np.ndarray:
    """Return what users drawn from the prior choose, int[users, sets]; options float[users, sets, 3, features]."""

    def one_user(model_key, own):
        return handlers.trace(handlers.seed(domain.user_model, model_key)).get_trace(own)["choice"]["value"]

    with jax.enable_x64(True):
        keys = jax.random.split(key(seed, domain.name, "users"), len(options))
        return np.asarray(quick_jit(jax.vmap(one_user))(keys, options))


def answers(
    domain: bb.Domain, seed: int, believed: bb.Domain | None = None, own: bool | None = None, users: int = USERS
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate users of a domain and predict them, float[users, stages, queries, 3]; and their int[users, queries].

    Parameters
    ----------
    believed
        The domain that predicts them, where it is another.
    own
        Whether each user has option sets of their own; by default where there are up to 5,000 hypotheses.
    """
    believed = believed or domain
    own = latent_space(domain).size <= OWN_SETS_UP_TO if own is None else own
    rounds, sequence, pool = option_sets(domain, seed, own, users)
    asked = np.arange(users * QUERIES).reshape(users, QUERIES)
    if not own:
        asked = np.random.default_rng([seed, *domain.name.encode()]).permuted(
            np.tile(np.arange(POOL), (users, 1)), axis=1
        )[:, :QUERIES]
    choices = simulate(domain, seed, np.concatenate([rounds, pool[asked]], axis=1))
    told, truth = choices[:, :ROUNDS], choices[:, ROUNDS:]
    if own:
        return bb.predictives(believed, rounds, told, pool[asked], stages="all"), truth
    _, first, history = np.unique(np.column_stack([sequence, told]), axis=0, return_index=True, return_inverse=True)
    exact = bb.predictives(believed, rounds[first], told[first], pool, stages="all")
    return exact[history.ravel()[:, None], :, asked].swapaxes(1, 2), truth


def log_score_p(probs: np.ndarray, truth: np.ndarray) -> float:
    """Two-sided p-value of log score = entropy, clustered by user: probs float[users, queries, 3], truth their choices.

    An impossible choice is a p-value of 0.
    """
    given = np.take_along_axis(probs, truth[..., None], axis=-1)[..., 0]
    if (given == 0).any():
        return 0.0
    entropy = -(probs * np.log(np.where(probs > 0, probs, 1.0))).sum(axis=-1)
    excess = (-np.log(given) - entropy).mean(axis=-1)  # a user's mean is one draw
    if np.ptp(excess) < 1e-12:  # certainty, or the same for all options: nothing was left to chance
        return float(abs(excess).max() < 1e-9)
    return float(2 * stats.norm.sf(abs(excess.mean()) / stats.sem(excess)))


def ece_p(confidence: np.ndarray, right: np.ndarray) -> float:
    """P(ECE as large as the observed one) of independent answers that are right as often as they say: exact.

    A bin's hits are a sum of independent coin flips and bins are independent, so that the null distribution of the ECE
    follows by convolution, on a grid of 1/50 answer, and p-values of 1e-5 need no million draws.
    """
    order = np.sort(confidence.round(12))
    bin_of = np.searchsorted(order, confidence.round(12)) * ECE_BINS // len(order)  # ties go with the first of them
    hits = np.zeros((ECE_BINS, np.bincount(bin_of).max() + 1))  # P(hits) by bin
    hits[:, 0] = 1.0
    place = np.zeros((ECE_BINS, hits.shape[1] - 1))  # confidences by bin, filled up with answers that are never right
    for one in range(ECE_BINS):
        place[one, : (bin_of == one).sum()] = confidence[bin_of == one]
    for chance in place.T[:, :, None]:
        hits = hits * (1 - chance) + np.pad(hits[:, :-1], ((0, 0), (1, 0))) * chance
    gaps = np.rint(50 * abs(place.sum(axis=1, keepdims=True) - np.arange(hits.shape[1]))).astype(int)
    gaps[hits < 1e-30] = 0
    length = gaps.max(axis=1).sum() + 1
    spectrum = np.ones(length // 2 + 1, dtype=complex)
    for gap, chance in zip(gaps, hits, strict=True):
        spectrum *= np.fft.rfft(np.bincount(gap, weights=chance), length)
    null = np.fft.irfft(spectrum, length)
    observed = calibration_error(confidence, right) * len(confidence) * 50
    return float(np.clip(null[max(0, int(np.floor(observed - ECE_BINS / 2))) :].sum(), 0, 1))


def p_values(name: str, exact: np.ndarray, truth: np.ndarray) -> dict[tuple[str, int, str], float]:
    """The p-values of log score = entropy, and of the ECE, after each of 0 .. 5 rounds.

    The ECE uses one query a user: a user's queries share a person, so only answers to one are independent.
    """
    found = {}
    for stage, probs in enumerate(exact.swapaxes(0, 1)):
        first = probs[:, 0]
        found[name, stage, "log score"] = log_score_p(probs, truth)
        found[name, stage, "ECE"] = ece_p(first.max(axis=-1), first.argmax(axis=-1) == truth[:, 0])
    return found


@pytest.fixture
def users(request: pytest.FixtureRequest) -> int:
    return REFERENCE_USERS if request.node.get_closest_marker("reference") else USERS


@pytest.mark.slow
def test_the_exact_predictive_of_every_domain_is_calibrated(
    builtin_domains, rejected, draw_seed, users, record_property
):
    """2,000 users a domain; one decision over all domains, stages and both statistics, a false alarm at 1% of seeds.

    Domains of each kind; with ``-m reference`` all twenty, and 5,000 users. Users have option sets of their own where
    there are up to 5,000 hypotheses (all but three); in flights-6 six sequences of rounds, in flights-7 and -8 one is
    shared, by users who are as independent as ever. With sets of their own too (``OWN_SETS_UP_TO = 10**6`` and
    ``--timeout 0``) all passed at seed 0, in twenty minutes.
    """
    found = {}
    for domain in builtin_domains:
        found |= p_values(domain.name, *answers(domain, draw_seed, users=users))
    record_property("tests, and the smallest p-value", (len(found), float(f"{min(found.values()):.2g}")))
    assert not rejected(found)


@pytest.mark.parametrize("own", [True, pytest.param(False, marks=pytest.mark.reference)])
def test_an_overconfident_answer_is_caught(coins, make_coins, rejected, own):
    """The test above has teeth: users who hit 8 times in 10, answered by a model that believes in 9, are far off.

    Log score and entropy then differ by some 0.1 nats with a standard error of some 0.015, and the ECE is some 0.1:
    both are missed with probability below 1e-6. The right model is accused with probability 1%.
    """
    assert not rejected(p_values("right", *answers(coins, 0, own=own)))
    wrong = rejected(p_values("wrong", *answers(coins, 0, make_coins("believed", hit=0.9), own=own)))
    assert {("wrong", 0, "log score"), ("wrong", 0, "ECE"), ("wrong", 5, "log score"), ("wrong", 5, "ECE")} <= set(
        wrong
    )


def test_the_null_of_the_ece_is_that_of_redrawn_choices():
    """Four quantiles of 4,000 ECEs of redrawn answers against the exact null: within 4.5 standard errors, so that this
    fails with probability 3e-5. Some confidences tie, some are certain."""
    rng = np.random.default_rng(0)
    confidence = np.concatenate([rng.uniform(1 / 3, 1, 700), np.full(200, 0.5), np.ones(100)])
    answers = rng.random((4_000, 1_000)) < confidence
    null = np.sort([calibration_error(confidence, right) for right in answers])
    for share in (0.5, 0.1, 0.02, 0.005):
        at = np.searchsorted(null, np.quantile(null, 1 - share))
        right = next(right for right in answers if calibration_error(confidence, right) == null[at])
        assert abs(ece_p(confidence, right) - share) < 4.5 * np.sqrt(share * (1 - share) / 4_000) + 1e-3


# --- the paper's noise sweep ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.reference
def test_the_right_noise_model_never_falls_below_chance_and_stays_calibrated(rejected, draw_seed, users):
    """5,000 noisy users of flights-3 at each of five rates, six stages: one decision, a false alarm at 1% of seeds.

    Of right answers there are at least a third; one-sided, clustered by user.
    """
    found = {}
    for rate in NOISE:
        domain = bb.load_domain(f"flights-3,lapse={rate},lapse_to=other")
        exact, truth = answers(domain, draw_seed, users=users)
        found |= p_values(domain.name, exact, truth)
        right = (exact.argmax(axis=-1) == truth[:, None]).mean(axis=-1)
        above = stats.norm.cdf((right.mean(axis=0) - 1 / 3) / stats.sem(right, axis=0))
        found |= {(domain.name, stage, "accuracy"): p for stage, p in enumerate(above)}
    assert not rejected(found)


@pytest.mark.reference
def test_the_noiseless_model_leaves_out_rounds_that_contradict():
    """The Bayesian Assistant as in the paper, of 200 noisy users of flights-3 at each rate, against an elimination
    written in NumPy: those people are left whom each round leaves, unless it would leave nobody."""
    users, told, asked = 200, [], []
    for rate in NOISE[::2]:
        domain = bb.load_domain(f"flights-3,user_lapse={rate},user_lapse_to=other")
        assert domain.parameters["rule"]["lapse"] == 0
        rounds, _, pool = option_sets(domain, 0, own=False, users=users)
        told.append((rounds, simulate(domain, 0, rounds)))
        asked.append(np.broadcast_to(pool, (users, *pool.shape)))
    rounds, choices = (np.concatenate(part) for part in zip(*told, strict=True))
    queries = np.concatenate(asked)

    people = np.array([weights for weights in product((-1.0, -0.5, 0.0, 0.5, 1.0), repeat=3) if any(weights)])

    def shares(options: np.ndarray) -> np.ndarray:
        """P(choice | person), float[..., people, 3]; ties are decided in integers."""
        rewards = np.rint(10 * options).astype(int) @ np.rint(2 * people).astype(int).T
        best = (rewards == rewards.max(axis=-2, keepdims=True)).swapaxes(-1, -2)
        return best / best.sum(axis=-1, keepdims=True)

    left, stages, contradicts = np.ones((len(rounds), len(people))), [], []
    for stage in range(ROUNDS + 1):
        stages.append(np.einsum("up,uhpk->uhk", left / left.sum(axis=1, keepdims=True), shares(queries)))
        if stage < ROUNDS:
            after = left * shares(rounds[:, stage])[np.arange(len(rounds)), :, choices[:, stage]]
            contradicts.append(~after.any(axis=1))
            left = np.where(contradicts[-1][:, None], left, after)
    by_rate = np.array(contradicts).any(axis=0).reshape(-1, users).mean(axis=1)
    assert by_rate[0] == 0
    assert (by_rate[1:] > 0.1).all(), by_rate

    model = bb.load_domain("flights-3,user_lapse=0.5,user_lapse_to=other")  # its own model is the same at all rates
    exact = bb.predictives(model, rounds, choices, queries, stages="all", on_contradiction="ignore")
    np.testing.assert_allclose(exact, np.stack(stages, axis=1), atol=1e-12)
    agent = bb.load_agent("bayesian", model)
    state = agent.begin(Brief.of(model), keys_for(key(0), np.arange(len(rounds))))
    for stage in range(ROUNDS):
        state = agent.observe(state, rounds[:, stage], np.zeros(len(rounds), int), choices[:, stage])
    probs = agent.predict(state, queries).probs
    np.testing.assert_allclose(probs, stages[-1], atol=1e-12)
    np.testing.assert_allclose(probs.sum(axis=-1), 1.0, atol=1e-12)
