"""Answers and times that honest runs do not have: statistics, each with a stated rate of false alarms.

A flag proves nothing, and a run without flags may be forged: a forger who knows this file stays below its bounds.
"""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta

import numpy as np

from beliefbench.running.packing import pack_probs
from beliefbench.running.store import RunRecord
from beliefbench.scoring.heldout import HeldOut

RATE = 1e-6
"""The largest chance that a function of this module flags an honest run."""
MANY = 100
"""The fewest users for whose mean the normal distribution is used."""
MARGIN = 1000
"""By how much the chance under the normal distribution has to be smaller than the rate: far from its centre, the
distribution of a mean of `MANY` users is only roughly normal."""
SAME = 1e-9  # probabilities that differ by less are computed from the same sums
FASTEST = 1e-7, 1e-9
"""Seconds for a token and for an answer that no machine is faster than: it reads 10 million tokens a second."""
CLOCK = timedelta(days=1)
"""By how much the clocks of two machines may differ."""


def accuracy_flag(answers: HeldOut, rate: float = RATE) -> str | None:
    """Return a sentence if the choices name what users want more often than anybody can who saw what the agent saw.

    Given the rounds that were seen, the choice of user u in set h is right with probability p[u, h], the exact
    predictive of that option, whatever the agent's rule. Users are independent of each other; the sets of a user are
    not. Let S be the sum over users of the mean over sets of (right - p). Two bounds, each at half the rate, and each
    divided by the number of stages:

    - By Jensen's inequality E exp(l S) is at most the mean over sets h of E exp(l S[h]), where S[h] has one set of each
      user, which are independent. So P(S >= s) <= min over l > 0 of exp(-l s) mean_h prod_u exp(-l p) (1 - p + p
      exp(l)), for any number of users and any dependence of sets (Chernoff's bound).
    - From `MANY` users on, S divided by the root of the sum of squares of the users' means is nearly standard normal.
      Its tail has to be `MARGIN` times smaller.

    This holds if the users choose as the exact answer assumes. Users who are drawn without replacement differ less
    from each other than independent ones, so that S varies less.
    """
    users, stages, _ = answers.choice.shape
    level = rate / (2 * stages)
    for stage in range(stages):
        choice, exact = answers.choice[:, stage], answers.exact[:, stage]
        chance = np.take_along_axis(exact, np.maximum(choice, 0)[..., None], axis=-1)[..., 0]
        chance = np.clip(np.where(choice >= 0, chance, 0.0), 0.0, 1.0)
        gain = (choice == answers.truth[:, stage]) - chance
        means = gain.mean(axis=1)
        by_normal = users >= MANY and _normal_tail(standard_score(means)) < level / MARGIN
        if by_normal or chernoff(float(means.sum()), chance) < level:
            return (
                f"after round {stage} it is right in {means.mean():.1%} more answers than its choices can be by what "
                f"the agent saw (chance below {rate:.0e})"
            )
    return None


def standard_score(means: np.ndarray) -> float:
    """Return the sum of users' means, float[users], divided by the root of their sum of squares.

    >>> standard_score(np.array([0.5, -0.5, 0.5, 0.5]))
    1.0
    """
    spread = math.sqrt(float((means**2).sum()))
    return float(means.sum()) / spread if spread else 0.0


def chernoff(total: float, chance: np.ndarray) -> float:
    """Return the bound of `accuracy_flag` on P(S >= total); chance float[users, sets].

    >>> chernoff(0.0, np.full((4, 2), 0.5)), round(chernoff(2.0, np.full((4, 2), 0.5)), 4)  # 4 of 4: 1/16
    (1.0, 0.0625)
    """
    variance = float((chance * (1 - chance)).mean(axis=1).sum())
    if total <= math.sqrt(variance):  # it is no small chance, and most runs end here
        return 1.0
    best = 0.0
    for tilt in np.geomspace(0.05, 50, 40):
        with np.errstate(divide="ignore"):
            logs = (np.log1p(chance * np.expm1(tilt)) - tilt * chance).sum(axis=0)
        most = float(logs.max())
        best = min(best, most + math.log(float(np.exp(logs - most).mean())) - tilt * total)
    return math.exp(best)


def equals_exact(answers: HeldOut, rate: float = RATE) -> bool:
    """Return True if an agent's probabilities are the exact ones to the last digit, for more users than chance allows.

    Answers that need no computing do not count: those in which all options are equal, and those that are certain. The
    probabilities of another agent are taken to equal the exact ones to 9 digits (in published runs, to the 11 bits of
    their rounding) in all other answers of a user with a chance of 1/2 at most, which is generous, independently for
    each user. So n users have a chance of 2^-n at most: 20 users for 1e-6. An agent that computes the exact answer, as
    `bayesian` does, equals it always: whoever calls this leaves such agents out.
    """
    if answers.probs is None:
        return False
    largest, smallest = answers.exact.max(axis=-1), answers.exact.min(axis=-1)
    counts = (largest - smallest > SAME) & (largest < 1 - SAME)
    same = abs(answers.probs - answers.exact).max(axis=-1) <= SAME
    asked = counts.any(axis=(1, 2))
    return bool((same | ~counts).all()) and 0.5 ** int(asked.sum()) <= rate


def digest_of_probs(answers: HeldOut, rate: float = RATE) -> str | None:
    """Return a digest that two runs share if they have the same probabilities, to the rounding of published runs.

    None if the agent states none, or if they do not depend on the user, as those of `random` do not. Two agents are
    taken to agree by chance as in `equals_exact`; None too if there are so few users that they could.
    """
    probs = answers.probs
    if probs is None or 0.5 ** len(probs) > rate or not (abs(probs[:, -1] - probs[:1, -1]) > SAME).any():
        return None
    kept = pack_probs(np.nan_to_num(probs.reshape(-1, probs.shape[-1]), nan=1.0))
    return hashlib.sha256(np.nan_to_num(kept, nan=2.0).tobytes()).hexdigest()


def time_flag(record: RunRecord, answers: int, tokens: int | None, today: datetime | None = None) -> str | None:
    """Return a sentence if the times in run.json are those of no machine.

    There are no false alarms as long as clocks are right to a day (`CLOCK`) and no machine is faster than `FASTEST`: a
    session begins before the next and ends after it began, not in the future, and the answers of one process take no
    longer than its sessions.
    """
    try:
        starts = [datetime.fromisoformat(one.started) for one in (record, *record.resumed)]
        end = datetime.fromisoformat(record.finished or "")
        now = today or datetime.now(UTC)
        if sorted(starts) != starts or end < starts[-1]:
            return "it ended before it began, by the times in run.json"
        if end > now + CLOCK:
            return f"it ends in the future, on {end.date().isoformat()}"
    except (ValueError, TypeError):
        return "run.json has times that are no times with a time zone"
    if record.seconds is None:
        return None
    of_token, of_answer = FASTEST
    least = max(answers * of_answer, (tokens or 0) * of_token)
    if record.seconds + 1e-3 < least:  # it is rounded to a thousandth
        return f"its answers took {record.seconds:g} s, and no machine gives them in less than {least:.2g} s"
    alone = {one.machine.get("executor") for one in (record, *record.resumed)} == {"local"}
    if alone and not record.resumed and record.seconds > (end - starts[0] + timedelta(seconds=2)).total_seconds():
        return f"its answers took {record.seconds:g} s, longer than the run, by the times in run.json"
    return None


def _normal_tail(score: float) -> float:
    return 0.5 * math.erfc(score / math.sqrt(2))
