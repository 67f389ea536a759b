"""Every interval that is shown covers the truth in 93% to 97% of samples from published runs, or it is not shown.

Of a published run, 8, 24, 48 and 100 users are drawn with replacement, and the value of the whole run is the truth. The
methods, and the least numbers of users, were chosen on `POOLS`; all other runs (`HELD_OUT`) test them. The reference
tests write the figures of docs/reliability.md:

    .venv/bin/pytest -m reference tests/scoring/test_coverage.py --report FILE
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from beliefbench.intervals import clustered_intervals, clustered_ratios, clustered_slope, two_way_interval
from beliefbench.leaderboard.forms.compact import _distance
from beliefbench.protocol.stopping import UntilWidth
from beliefbench.running.store import find_runs
from beliefbench.scoring.heldout import HeldOut, answers_of
from beliefbench.scoring.metrics import accuracy, calibration_error, of_option, usable_probs
from beliefbench.scoring.reliability import confidence_of, ece_null, recalibrated
from beliefbench.scoring.updating import exact_accuracy

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
USERS = (8, 24, 48, 100)
ROUNDS = (0, 1, 3, 5)
STUDENTS = ("flights/posterior-taught", "flights/bayesian-taught", "flights/oracle-taught")
POOLS = (
    *STUDENTS,
    *("flights/bayesian", "flights/random", "flights/first", "flights/cheapest", "flights/lowest-duration"),
    *("flights/oracle", "hotels/oracle", "flights-8/oracle", "hotels/bayesian", "hotels/bayesian-mean"),
    *(
        "flights-6/bayesian",
        "webshop-desk-lamps/bayesian",
        "webshop-yoga-mats/bayesian-mean",
        "webshop-headphones/first",
    ),
)
"""Near 1 are the oracles; the most skewed are ``flights/oracle`` (-5.9) and ``hotels/oracle`` (-3.8)."""
HELD_OUT = tuple(
    sorted({"/".join(run.folder.relative_to(PUBLISHED).parts[:2]) for run in find_runs(PUBLISHED)} - {*POOLS})
)
DOMAINS = ("flights", "hotels", "flights-6", "webshop-desk-lamps")
OTHER_DOMAINS = ("flights-3", "flights-5", "webshop-backpacks", "webshop-frying-pans")
CALIBRATED = (*STUDENTS, "flights/bayesian", "hotels/bayesian")
ENOUGH = 0.5
"""A population counts if the interval is shown in so many samples of it."""
Found = list[tuple[float, float]]


@cache
def pool(name: str) -> HeldOut:
    """Return the answers of a published run, by ``domain/folder of the agent``; of two, of the one with more sets."""
    records = [(store, store.record()) for store in find_runs(PUBLISHED / name)]
    store, record = max(records, key=lambda one: one[1].identity.heldout)
    return answers_of(record, store.rows())


def samples(users: int, of: int, repetitions: int) -> np.ndarray:
    """Return positions of users, int[users, repetitions], drawn with replacement: the mean of all is the truth."""
    return np.random.default_rng(0).integers(of, size=(users, repetitions))


def coverage(truth: float, low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """Return in which share of samples an interval is shown (its ends are numbers), and which of those cover."""
    shown = ~np.isnan(low)
    inside = (low[shown] <= truth) & (truth <= high[shown])
    return float(shown.mean()), float(inside.mean()) if inside.size else float("nan")


@cache
def share_right(name: str) -> np.ndarray:
    return accuracy(*pool(name)[1:])


def of_accuracy(name: str, stage: int, users: int, repetitions: int) -> tuple[float, float]:
    share = share_right(name)[:, stage]
    return coverage(share.mean(), *clustered_intervals(share[samples(users, len(share), repetitions)]))


def of_gap_closed(name: str, stage: int, users: int, repetitions: int) -> tuple[float, float]:
    answers = pool(name)
    above = share_right(name)[:, stage] - 1 / 3
    below = exact_accuracy(answers.truth, answers.exact)[:, stage] - 1 / 3
    who = samples(users, len(above), repetitions)
    return coverage(above.mean() / below.mean(), *clustered_ratios(above[who], below[who])[1:])


def of_update_slope(name: str, stage: int, users: int, repetitions: int) -> tuple[float, float]:
    answers = pool(name)
    probs = usable_probs(answers.probs, answers.choice)
    assert probs is not None
    exact, ours = (
        of_option(kind[:, stage], answers.truth[:, stage]) - of_option(kind[:, stage - 1], answers.truth[:, stage - 1])
        for kind in (answers.exact, probs)
    )
    return _of_slope(exact, ours, users, repetitions)


def of_martingale(name: str, stage: int, users: int, repetitions: int) -> tuple[float, float]:
    answers = pool(name)
    probs = usable_probs(answers.probs, answers.choice)
    assert probs is not None
    now, then = (probs[:, one].reshape(len(probs), -1) for one in (stage - 1, stage))
    return _of_slope(now, then - now, users, repetitions)


def _of_slope(x: np.ndarray, y: np.ndarray, users: int, repetitions: int) -> tuple[float, float]:
    truth = clustered_slope(x, y)
    assert truth is not None
    ends = []
    for who in samples(users, len(x), repetitions).T:
        found = clustered_slope(x[who], y[who])
        ends.append((np.nan, np.nan) if found is None or found.low is None else found[1:])
    return coverage(truth.value, *np.array(ends, float).T)


def of_ece_null(name: str, stage: int, users: int, repetitions: int) -> tuple[float, float]:
    """The agent's probabilities are recalibrated to the share right in the population, which makes it calibrated."""
    answers = pool(name)
    found = confidence_of(*(values[:, stage] for values in (answers.probs, answers.choice, answers.truth)))  # type: ignore[index]
    assert found is not None
    right = found[1]
    confidence = recalibrated(found[0], right)
    nulls, errors = [], []
    for who in samples(users, len(right), repetitions).T:
        nulls.append(ece_null(confidence[who], right[who]))
        errors.append(calibration_error(confidence[who].ravel(), right[who].ravel()))
    high = np.array(nulls, float)
    return coverage(0.0, np.where(np.isnan(high), np.nan, 0), high - errors)  # covered if the ECE is below the null


def of_mean_over_other_domains(name: str, stage: int, users: int, repetitions: int) -> tuple[float, float]:
    return of_mean_over_domains(name, stage, users, repetitions, OTHER_DOMAINS)


def of_mean_over_domains(
    name: str, stage: int, users: int, repetitions: int, domains: tuple[str, ...] = DOMAINS
) -> tuple[float, float]:
    """Of one agent on four domains; other users are drawn for each."""
    shares = [share_right(f"{domain}/{name}")[:, stage] for domain in domains]
    rng, finals = np.random.default_rng(0), []
    for share in shares:
        sample = share[rng.integers(len(share), size=(users, repetitions))]
        finals.append(np.stack([sample.mean(axis=0), *clustered_intervals(sample)]))
    truth, ends = float(np.mean([share.mean() for share in shares])), []
    for one in np.transpose(finals, (2, 0, 1)):
        names = ("accuracy", "accuracy_lo", "accuracy_hi")
        rows = [SimpleNamespace(final=dict(zip(names, row, strict=True))) for row in one]
        below, above = _distance(rows, "accuracy_lo"), _distance(rows, "accuracy_hi")
        mean = one[:, 0].mean()
        ends.append((np.nan, np.nan) if below is None or above is None else (mean - below, mean + above))
    return coverage(truth, *np.array(ends).T)


def of_until_width(name: str, stage: int, repetitions: int, width: float) -> tuple[float, float, float]:
    """Return what `coverage` does, of runs that stop by a rule, and their mean error, in points.

    The users of each run are drawn from the published run. It stops at a width that is a share of the one that 48 users
    would have.
    """
    share = share_right(name)[:, stage]
    rule = UntilWidth(width * 2 * 2.01 * float(share.std()) / 48**0.5)
    runs = share[samples(len(share), len(share), repetitions)]
    looks = rule.looks(len(share))
    ends = np.stack([clustered_intervals(runs[:look]) for look in looks])
    enough = ends[:, 1] - ends[:, 0] < rule.width
    enough[-1] = True
    at, every = enough.argmax(axis=0), np.arange(repetitions)
    for one in range(20):
        by_rule = [rule.enough(runs[:look, one]) or look == looks[-1] for look in looks]
        assert by_rule.index(True) == at[one]
    means = np.stack([runs[:look].mean(axis=0) for look in looks])[at, every]
    return *coverage(share.mean(), *ends[at, :, every].T), 100 * float(means.mean() - share.mean())


def of_accuracy_on_new_sets(name: str, stage: int, users: int, repetitions: int, sets: int = 30) -> tuple[float, float]:
    """Users and held-out sets are drawn."""
    answers, rng, ends = pool(name), np.random.default_rng(0), []
    right = (answers.choice == answers.truth)[:, stage]
    for _ in range(repetitions):
        who, which = (rng.integers(of, size=size) for of, size in zip(right.shape, (users, sets), strict=True))
        ends.append(two_way_interval(right[np.ix_(who, which)]) or (np.nan, np.nan))
    return coverage(right.mean(), *np.array(ends).T)


def told(found: Found) -> str:
    """Return the figures of a line: how often the interval is shown, and the lowest, mean and highest coverage."""
    some = [covered for shown, covered in found if shown >= ENOUGH]
    shown = f"shown in {100 * np.mean([shown for shown, _ in found]):.0f}%"
    return (
        f"{shown}: covers {100 * min(some):.1f} / {100 * np.mean(some):.1f} / {100 * max(some):.1f}%" if some else shown
    )


def held(found: Found, repetitions: int) -> None:
    for shown, covered in found:
        noise = 2 * (0.95 * 0.05 / (repetitions * shown)) ** 0.5 if shown >= ENOUGH else 1
        assert not 0.93 - noise > covered, found
        assert not 0.97 + noise < covered, found


@pytest.mark.reference
@pytest.mark.timeout(900)
@pytest.mark.parametrize("users", USERS)
@pytest.mark.parametrize(
    ("of", "names", "rounds", "repetitions"),
    [
        (of_accuracy, POOLS, ROUNDS, 10_000),
        (of_gap_closed, POOLS, ROUNDS[1:], 10_000),
        (of_accuracy_on_new_sets, ("flights/random", "flights/first", "flights/bayesian", *STUDENTS), (0, 5), 2000),
        (of_mean_over_domains, ("bayesian", "bayesian-mean", "first", "random"), ROUNDS, 2000),
        (of_update_slope, STUDENTS, (1, 3, 5), 1000),
        (of_martingale, (*STUDENTS, "flights/bayesian", "hotels/bayesian"), (1, 3, 5), 1000),
        (of_ece_null, CALIBRATED, (1, 5), 1000),
    ],
    ids=lambda of: getattr(of, "__name__", ""),
)
def test_an_interval_that_is_shown_covers_in_93_to_97_of_100_samples(
    of: Callable[..., tuple[float, float]], names, rounds, repetitions, users, record_property
):
    """93% to 97%, but for 2 standard errors of simulation; of a coverage of 94%, fewer than 1 seed in 5,000 fails.

    At most 98% where only some samples show it (`held`).
    """
    found = [of(name, stage, users, repetitions) for name in names for stage in rounds]
    record_property(f"{of.__name__.removeprefix('of_')}, {users} users", told(found))
    held(found, repetitions)


HELD_OUT_NULLS = ("flights-2/bayesian", "flights-3/bayesian", "flights-7/random", "webshop-coffee-makers/bayesian")


@pytest.mark.reference
@pytest.mark.timeout(900)
@pytest.mark.parametrize("users", USERS)
@pytest.mark.parametrize(
    ("of", "names", "rounds", "repetitions"),
    [
        (of_accuracy, HELD_OUT, ROUNDS, 10_000),
        (of_gap_closed, HELD_OUT, ROUNDS[1:], 10_000),
        (of_accuracy_on_new_sets, HELD_OUT[::11], (0, 5), 2000),
        (of_mean_over_other_domains, ("bayesian", "bayesian-mean", "first", "random"), ROUNDS, 2000),
        (of_ece_null, HELD_OUT_NULLS, (1, 5), 1000),
    ],
    ids=lambda of: getattr(of, "__name__", ""),
)
def test_an_interval_covers_in_runs_that_it_was_not_chosen_on(of, names, rounds, repetitions, users, record_property):
    """As above, for populations that were not seen when the methods were chosen."""
    found = [of(name, stage, users, repetitions) for name in names for stage in rounds]
    record_property(f"{of.__name__.removeprefix('of_')}, {len(names)} held-out runs, {users} users", told(found))
    held(found, repetitions)


@pytest.mark.reference
@pytest.mark.timeout(900)
@pytest.mark.parametrize("of", [of_update_slope, of_martingale])
def test_intervals_of_slopes_cover_where_all_users_of_flights_are_asked(of, record_property):
    """91% to 98.5% of 500 samples of 624 users: of a coverage of 94% to 96%, fewer than 1 seed in 200 leaves that."""
    found = [of(name, stage, 624, 500) for name in STUDENTS for stage in (1, 3, 5)]
    record_property(f"{of.__name__.removeprefix('of_')}, 624 users", told(found))
    assert all(shown == 1 and 0.91 <= covered <= 0.985 for shown, covered in found), found


@pytest.mark.reference
@pytest.mark.timeout(900)
@pytest.mark.parametrize("width", [0.25, 0.4, 0.7])
def test_intervals_of_runs_that_stop_once_theirs_is_narrow_cover(width, record_property):
    """92.5% or more of 2,000 runs: at a coverage of 94%, fewer than 1 seed in 300 falls below that."""
    flights = [name for name in POOLS if name.startswith(("flights/", "hotels/"))]
    found = [of_until_width(name, stage, 2000, width) for name in flights for stage in (1, 5)]
    error = max(abs(bias) for *_, bias in found)
    record_property(
        f"width {width} of that of 48 users", f"{told([one[:2] for one in found])}; error {error:.2f} points"
    )
    assert all(shown > 0.99 and 0.925 <= covered <= 0.97 for shown, covered, _ in found), found
    assert error < 0.2


@pytest.mark.parametrize(
    ("of", "name", "users"),
    [
        (of_accuracy, "flights/first", 24),
        (of_accuracy, "flights/cheapest", 24),
        (of_gap_closed, "flights/posterior-taught", 100),
        (of_accuracy_on_new_sets, "flights/first", 24),
    ],
)
def test_intervals_of_a_published_run_cover(of, name, users):
    """93% to 97% of 4,000 samples: at a coverage of 95%, a count leaves that at fewer than 1 seed in 100 million."""
    shown, covered = of(name, 5, users, 4000)
    assert shown > 0.95
    assert 0.93 <= covered <= 0.97


def test_intervals_that_would_not_cover_are_not_shown():
    """Before, these covered 91% (shares near 1), 79% to 88% (slopes), 89% (gap closed) and 86% to 92% (ECE null)."""
    assert of_accuracy("flights-2/bayesian", 4, 24, 100)[0] < 0.05
    assert of_gap_closed("flights-2/oracle", 4, 48, 100)[0] == 0
    assert of_accuracy("flights/oracle", 5, 100, 100)[0] < 0.05
    assert of_accuracy("hotels/oracle", 5, 24, 100)[0] < 0.05
    for users in USERS:
        assert of_update_slope("flights/posterior-taught", 5, users, 10)[0] == 0
        assert of_martingale("flights/bayesian", 4, users, 10)[0] == 0
    assert of_accuracy_on_new_sets("flights/first", 5, 100, 10, sets=10)[0] == 0
    assert of_ece_null("flights/bayesian", 5, 24, 10)[0] == 0
