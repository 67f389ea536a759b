"""The scorer: the metrics of `beliefbench.scoring`, after each round, over the users of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import TaskState

from beliefbench.exchange.inspect.answers import ANSWERS, STORED, heldout_of, together
from beliefbench.exchange.inspect.stopping import enough
from beliefbench.protocol.stopping import UntilWidth
from beliefbench.scoring.heldout import HeldOut
from beliefbench.scoring.metrics import accuracy
from beliefbench.scoring.scores import score as score_rounds


@metric
def by_round(until_width: float | None = None, users: int = 0) -> Metric:
    """Each metric after each round, over all users: ``accuracy_5`` is the accuracy after round 5.

    ``accuracy_lo_5`` and ``accuracy_hi_5`` are the ends of its 95% interval, clustered by user. In a suite, names begin
    with the domain. With ``until_width``, users beyond those after which the rule stops are left out.
    """

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        answers: list[Mapping[str, Any]] = [one.score.metadata or {} for one in scores]
        if until_width is not None:
            answers = up_to_width(answers, UntilWidth(until_width), users)
        return metrics_of(answers)

    return compute


def metrics_of(answers: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the metrics of the answers of users, as `answers_of` returns them."""
    domains: dict[str, list[HeldOut]] = {}
    for one in answers:
        if ANSWERS in one:
            domains.setdefault(one["domain"], []).append(heldout_of(one[ANSWERS]))
    found: dict[str, float] = {}
    for domain, users in domains.items():
        begin = f"{domain}: " if len(domains) > 1 else ""
        for values in score_rounds(together(users)):
            number = values.pop("round")
            found |= {f"{begin}{name}_{number}": value for name, value in values.items() if value is not None}
    return found


def up_to_width(answers: Sequence[Mapping[str, Any]], rule: UntilWidth, users: int) -> list[Mapping[str, Any]]:
    """Return the answers of the users after whom a rule stops; of all, if it needs more."""
    accuracy = {one["place"]: final_accuracy(one[ANSWERS]) for one in answers}
    look = enough(rule, users, accuracy)
    return [one for one in answers if look is None or one["place"] < look]


def final_accuracy(answers: Mapping[str, Any]) -> float:
    """Return a user's accuracy after the last round."""
    return float(accuracy(*heldout_of(answers)[1:])[0, -1])


@scorer(metrics=[by_round()], name="beliefbench")
def by_user() -> Scorer:
    """A user's accuracy after the last round, with all answers in the metadata."""

    async def judge(state: TaskState, target: Target) -> Score:
        kept = state.store.get(STORED)
        heldout = heldout_of(kept[ANSWERS])
        values = accuracy(*heldout[1:])[0]
        told = ", ".join(f"{stage}: {value:.0%}" for stage, value in enumerate(values))
        return Score(
            value=float(values[-1]),
            answer=", ".join(str(one) for one in heldout.choice[0, -1]),
            explanation=f"accuracy on {heldout.choice.shape[-1]} held-out sets after each round: {told}",
            metadata={"domain": state.metadata["domain"], "place": state.metadata["place"], ANSWERS: kept[ANSWERS]},
        )

    return judge
