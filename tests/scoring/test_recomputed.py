"""Every metric recomputed in plain Python, answer by answer, from its definition in docs/metrics.md.

The answers are random: with ties, zeros, repeated confidences, unusable answers, and agents that only choose.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pytest

from beliefbench.scoring.beliefs import score_beliefs
from beliefbench.scoring.diagnostics import diagnostic_metrics
from beliefbench.scoring.heldout import HeldOut
from beliefbench.scoring.metrics import METRICS
from beliefbench.scoring.scores import score

TOLERANCE = 1e-12
FLOOR, BINS = 1e-6, 15


class Answer(NamedTuple):
    probs: list[float] | None
    choice: int
    truth: int
    exact: list[float]

    @property
    def usable(self) -> list[float]:
        return self.probs if self.choice >= 0 else [1 / 3] * 3

    @property
    def confidence(self) -> float:
        return self.usable[self.choice] if self.choice >= 0 else 1 / 3


Run = list[list[list[Answer]]]  # [users][stages][sets]


def random_run(rng: np.random.Generator, users: int, stages: int, sets: int, probabilistic: bool) -> HeldOut:
    shape = (users, stages, sets)
    exact, probs = (rng.dirichlet([0.5] * 3, shape) for _ in range(2))
    for kind in (exact, probs):
        coarse = rng.random(shape) < 0.4
        kind[coarse] = rng.multinomial(4, [1 / 3] * 3, int(coarse.sum())) / 4
    choice = np.where(rng.random(shape) < 0.15, -1, rng.integers(0, 3, shape))
    probs[choice < 0] = np.nan
    truth = rng.integers(0, 3, shape)
    return HeldOut(np.arange(users), probs if probabilistic else None, choice, truth, exact)


def as_lists(answers: HeldOut) -> Run:
    def one(*place: int) -> Answer:
        probs = None if answers.probs is None else answers.probs[place].tolist()
        return Answer(probs, int(answers.choice[place]), int(answers.truth[place]), answers.exact[place].tolist())

    users, stages, sets = answers.choice.shape
    return [[[one(user, stage, at) for at in range(sets)] for stage in range(stages)] for user in range(users)]


def mean(values) -> float:
    values = list(values)
    return math.fsum(values) / len(values)


def floored(probs: list[float]) -> list[float]:
    kept = [max(one, FLOOR) for one in probs]
    return [one / math.fsum(kept) for one in kept]


def best(exact: list[float]) -> list[int]:
    return [option for option in range(3) if exact[option] >= max(exact) - 1e-9]


ANSWER_BY_ANSWER = {
    "accuracy": lambda one: one.choice == one.truth,
    "agreement": lambda one: one.choice in best(one.exact),
    "coverage": lambda one: one.choice >= 0,
    "log_score": lambda one: -math.log(floored(one.usable)[one.truth]),
    "brier": lambda one: math.fsum((share - (at == one.truth)) ** 2 for at, share in enumerate(one.usable)),
    "kl_exact": lambda one: math.fsum(
        p * math.log(p / q) for p, q in zip(floored(one.exact), floored(one.usable), strict=True)
    ),
}


def levels(answers: list[Answer]) -> list[list[Answer]]:
    """The answers by confidence, ascending; those of one confidence together."""
    by_confidence = sorted(answers, key=lambda one: round(one.confidence, 12))
    return [list(some) for _, some in groupby(by_confidence, key=lambda one: round(one.confidence, 12))]


def ece(answers: list[Answer]) -> float:
    gaps, before = dict.fromkeys(range(BINS), 0.0), 0
    for some in levels(answers):
        gaps[before * BINS // len(answers)] += math.fsum(one.confidence - (one.choice == one.truth) for one in some)
        before += len(some)
    return math.fsum(abs(gap) for gap in gaps.values()) / len(answers)


def corp(answers: list[Answer]) -> tuple[float, float, float]:
    """Miscalibration, discrimination and uncertainty; the pool-adjacent-violators fit as the largest of the least means
    (the min-max formula), in fractions."""
    hits = [(sum(one.choice == one.truth for one in some), len(some)) for some in levels(answers)]
    every = range(len(hits))

    def share(first: int, last: int) -> Fraction:
        some = hits[first : last + 1]
        return Fraction(sum(right for right, _ in some), sum(size for _, size in some))

    least_from = [[min(share(first, last) for last in every[at:]) for first in every[: at + 1]] for at in every]
    fit = [max(some) for some in least_from]
    right = Fraction(sum(one for one, _ in hits), len(answers))
    least = sum(h * (1 - f) ** 2 + (n - h) * f**2 for (h, n), f in zip(hits, fit, strict=True)) / len(answers)
    uncertainty = right * (1 - right)
    stated = mean((one.confidence - (one.choice == one.truth)) ** 2 for one in answers)
    return stated - float(least), float(uncertainty - least), float(uncertainty)


def slope(pairs: list[tuple[float, float]]) -> float:
    x, y = mean(x for x, _ in pairs), mean(y for _, y in pairs)
    return math.fsum((a - x) * (b - y) for a, b in pairs) / math.fsum((a - x) ** 2 for a, _ in pairs)


def updating(run: Run, stage: int) -> dict[str, float | None]:
    """The metrics of updating after a round."""
    told = [one for user in run for one in user[stage]]
    ideal = mean((one.truth in best(one.exact)) / len(best(one.exact)) for one in told)
    found: dict[str, float | None] = dict.fromkeys(("update_slope", "martingale_score"))
    found["gap_closed"] = (mean(one.choice == one.truth for one in told) - 1 / 3) / (ideal - 1 / 3)
    if told[0].probs is None:
        return found
    if stage:
        steps = [pair for user in run for pair in zip(user[stage - 1], user[stage], strict=True)]
        found["update_slope"] = slope(
            [
                (now.exact[now.truth] - then.exact[then.truth], now.usable[now.truth] - then.usable[then.truth])
                for then, now in steps
            ]
        )
    if stage + 1 < len(run[0]):
        steps = [pair for user in run for pair in zip(user[stage], user[stage + 1], strict=True)]
        found["martingale_score"] = slope(
            [(a, b - a) for now, later in steps for a, b in zip(now.usable, later.usable, strict=True)]
        )
    return found


def assert_alike(found: dict[str, float | None], expected: dict[str, float | None]) -> None:
    nothing = {name for name, value in expected.items() if value is None}
    assert {name for name, value in found.items() if value is None} == nothing
    expected = {name: value for name, value in expected.items() if name not in nothing}
    found = {name: value for name, value in found.items() if name not in nothing}
    assert found == pytest.approx(expected, rel=0, abs=TOLERANCE)


SHAPES = [(12, 3, 4), (16, 4, 3), (15, 1, 6), (9, 5, 2)]


@pytest.fixture(params=range(12), ids=lambda seed: f"seed {seed}")
def answers(request) -> HeldOut:
    rng = np.random.default_rng(request.param)
    found = random_run(rng, *SHAPES[request.param % 4], probabilistic=request.param % 3 != 2)
    # As in a run: the truth does not change from round to round, and the exact answer knows something of it.
    truth = np.broadcast_to(found.truth[:, :1], found.truth.shape)
    for option in range(1, 3):  # in most sets, the largest probability is moved to the truth
        wanted = (found.exact.argmax(axis=-1) + option) % 3 == truth
        moved = wanted & (rng.random(truth.shape) < 0.7)
        found.exact[moved] = np.roll(found.exact[moved], option, axis=-1)
    return found._replace(truth=truth)


def test_metrics_of_each_user_and_round(answers):
    run = as_lists(answers)
    for name, metric in METRICS.items():
        found = metric(*answers[1:])
        if found is None:
            assert answers.probs is None
            assert name in ("log_score", "brier", "ece", "kl_exact")
        elif name == "ece":
            expected = [ece([one for user in run for one in user[stage]]) for stage in range(len(run[0]))]
            np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
        else:
            expected = [[mean(map(ANSWER_BY_ANSWER[name], stage)) for stage in user] for user in run]
            np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    assert set(METRICS) == {*ANSWER_BY_ANSWER, "ece"}


def test_what_is_shown_of_a_run(answers):
    run = as_lists(answers)
    rounds, diagnostics = score(answers), diagnostic_metrics(answers)
    assert [one["round"] for one in rounds] == list(range(len(run[0])))
    for stage, (one, more) in enumerate(zip(rounds, diagnostics, strict=True)):
        told = [answer for user in run for answer in user[stage]]
        expected: dict[str, float | None] = updating(run, stage)
        for name, value in ANSWER_BY_ANSWER.items():
            of_choices = name in ("accuracy", "agreement", "coverage")
            expected[name] = mean(map(value, told)) if of_choices or answers.probs is not None else None
        calibration = (None,) * 4 if answers.probs is None else (ece(told), *corp(told))
        expected |= dict(zip(("ece", "miscalibration", "discrimination", "uncertainty"), calibration, strict=True))
        found = {name: (one | more)[name] for name in expected}
        assert_alike(found, expected)


@pytest.mark.parametrize("seed", range(4))
def test_metrics_of_beliefs(seed):
    rng = np.random.default_rng(seed)
    users, stages, scales, kinds, sets = (int(number) for number in rng.integers(2, 6, 5))
    stated, exact = (rng.dirichlet([0.5] * kinds, (users, stages, scales)) for _ in range(2))
    stated[rng.random((users, stages, scales)) < 0.3] = np.nan
    stated[:, 0] = np.nan  # nothing was stated in a whole round
    implied, choice, truth = (rng.integers(-low, 3, (users, stages, sets)) for low in (1, 1, 0))
    for stage, found in enumerate(score_beliefs(stated, exact, implied, choice, truth)):
        gaps = [
            math.fsum(abs(a - b) for a, b in zip(ours, ideal, strict=True)) / 2
            for user in range(users)
            for ours, ideal in zip(stated[user, stage].tolist(), exact[user, stage].tolist(), strict=True)
            if not any(map(math.isnan, ours))
        ]
        three = list(zip(*(one[:, stage].ravel().tolist() for one in (implied, choice, truth)), strict=True))
        expected = {
            "distance": mean(gaps) if gaps else None,
            "accuracy": mean(a == c for a, _, c in three),
            "consistency": mean(a == b >= 0 for a, b, _ in three),
            "coverage": len(gaps) / (users * scales),
        }
        assert_alike(found, expected)
