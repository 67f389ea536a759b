"""Stopping early in Inspect: no further users once the interval of the final accuracy is narrow."""

from __future__ import annotations

import numpy as np
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalSpec
from inspect_ai.scorer import SampleScore
from inspect_ai.util import EarlyStop
from pydantic import JsonValue

from beliefbench.errors import UsageError
from beliefbench.protocol.stopping import UntilWidth


class StopAtWidth:
    """The rule `beliefbench.protocol.stopping.UntilWidth` for the samples of a task, which are in the order of asking.

    A sample waits until all users of the last check before it are done.
    """

    def __init__(self, rule: UntilWidth) -> None:
        self.rule = rule

    async def start_task(self, task: EvalSpec, samples: list[Sample], epochs: int) -> str:
        import anyio

        if task.config.fail_on_error not in (None, True):
            raise UsageError("until_width needs every user of a check: leave out --fail-on-error and its like.")
        self._places = {sample.id: place for place, sample in enumerate(samples)}
        self._accuracy: dict[int, float] = {}
        self._done = anyio.Condition()
        return "beliefbench: interval width"

    async def schedule_sample(self, id: str | int, epoch: int) -> EarlyStop | None:
        place = self._places[id]
        looks = [look for look in self.rule.looks(len(self._places)) if look <= place]
        async with self._done:
            while looks and not all(one in self._accuracy for one in range(looks[-1])):
                await self._done.wait()
        for look in looks:
            if self.rule.enough(np.array([self._accuracy[one] for one in range(look)])):
                return EarlyStop(id=id, epoch=epoch, reason=f"{look} users are enough")
        return None

    async def complete_sample(self, id: str | int, epoch: int, scores: dict[str, SampleScore]) -> None:
        (score,) = scores.values()
        async with self._done:
            self._accuracy[self._places[id]] = score.score.as_float()
            self._done.notify_all()

    async def complete_task(self) -> dict[str, JsonValue]:
        return {"users": len(self._accuracy), "width": self.rule.width}
