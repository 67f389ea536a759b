"""Stopping early in Inspect: no further users once the interval of the final accuracy is narrow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from beliefbench.protocol.stopping import UntilWidth

if TYPE_CHECKING:
    from inspect_ai.dataset import Sample
    from inspect_ai.log import EvalSpec
    from inspect_ai.scorer import SampleScore
    from inspect_ai.util import EarlyStop
    from pydantic import JsonValue


def enough(rule: UntilWidth, users: int, accuracy: Mapping[int, float]) -> int | None:
    """Return after how many of the users a rule stops; None if more are needed.

    ``accuracy`` has the final accuracy of users by their place in the order of asking. Users beyond a check do not
    change it, so that it does not matter how many are asked at the same time.

    >>> enough(UntilWidth(0.3), 100, {place: 0.5 for place in range(60)})
    48
    >>> enough(UntilWidth(0.3), 100, {place: 0.5 for place in range(40)}) is None
    True
    """
    for look in rule.looks(users):
        if any(place not in accuracy for place in range(look)):
            return None
        if look == users or rule.enough(np.array([accuracy[place] for place in range(look)])):
            return look
    return None


class StopAtWidth:
    """The rule for the samples of a task, which are in the order of asking. Samples that have begun are finished."""

    def __init__(self, rule: UntilWidth) -> None:
        self.rule = rule
        self._places: dict[str | int | None, int] = {}
        self._accuracy: dict[int, float] = {}

    async def start_task(self, task: EvalSpec, samples: list[Sample], epochs: int) -> str:
        self._places = {sample.id: place for place, sample in enumerate(samples)}
        return "beliefbench: interval width"

    async def schedule_sample(self, id: str | int, epoch: int) -> EarlyStop | None:
        from inspect_ai.util import EarlyStop

        look = enough(self.rule, len(self._places), self._accuracy)
        if look is None or self._places[id] < look:
            return None
        return EarlyStop(id=id, epoch=epoch, reason=f"{look} users are enough")

    async def complete_sample(self, id: str | int, epoch: int, scores: dict[str, SampleScore]) -> None:
        for score in scores.values():
            self._accuracy[self._places[id]] = score.score.as_float()

    async def complete_task(self) -> dict[str, JsonValue]:
        return {"users": enough(self.rule, len(self._places), self._accuracy), "width": self.rule.width}
