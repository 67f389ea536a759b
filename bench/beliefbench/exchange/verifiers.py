"""A taskset of verifiers: interactions with simulated users, with exact rewards (`beliefbench.teaching.environment`).

verifiers finds a taskset by the name of a package at the top, so ``vf-eval beliefbench-verifiers`` finds this module
through the package `beliefbench_verifiers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import verifiers.v1 as vf
from pydantic import model_validator

from beliefbench.errors import BeliefBenchError
from beliefbench.plugins.names import load_domain
from beliefbench.teaching.environment import Environment, Form, Reward


class InteractionData(vf.TaskData):
    """What an interaction is drawn from (`Environment`). ``prompt`` is not set: the user speaks first."""

    domain: str
    reward: Reward
    form: Form
    rounds: int
    seed: int


class InteractionTask(vf.Task[InteractionData]):
    """One user's interaction. Its replies alone are scored."""

    @vf.reward
    async def mean_reward(self, trace: vf.Trace) -> float:
        """Return the mean reward of the rounds; one without a reply has that of an unusable reply."""
        rewards = self._rewards(trace)
        return sum(rewards) / len(rewards)

    @vf.metric
    async def reward_by_round(self, trace: vf.Trace) -> dict[str, float]:
        """Return the reward of each round."""
        return {f"reward_{number}": value for number, value in enumerate(self._rewards(trace), 1)}

    @vf.metric
    async def unusable(self, trace: vf.Trace) -> float:
        """Return the share of the rounds that have no usable reply."""
        environment = begun(self.data)
        usable = [environment.step(reply).option >= 0 for reply in replies(trace)[: self.data.rounds]]
        return 1 - sum(usable) / self.data.rounds

    def _rewards(self, trace: vf.Trace) -> list[float]:
        environment = begun(self.data)
        said = replies(trace)[: self.data.rounds]
        return [environment.step(reply).reward for reply in said + [""] * (self.data.rounds - len(said))]


class InteractionsConfig(vf.TasksetConfig):
    """Which interactions: settings of `Environment`, and the number of users."""

    domain: str = "flights"
    reward: Reward = "exact"
    form: Form = "sentence"
    rounds: int = 5
    users: int = 1000
    seed: int = 0
    """Another seed has other users."""

    @model_validator(mode="after")
    def check(self) -> Self:
        """Refuse what no interaction can be drawn from, when the command line is read."""
        if self.users < 1 or self.seed < 0:
            raise ValueError(
                f"users = {self.users}, seed = {self.seed}; expected users of 1 or more, a seed of 0 or more."
            )
        try:
            begun(self.interaction(self.users - 1))
        except BeliefBenchError as error:
            raise ValueError(str(error)) from error
        return self

    def interaction(self, place: int) -> InteractionData:
        """Return the data of the interaction at a place, from 0."""
        settings = self.model_dump(include={"domain", "reward", "form", "rounds"})
        return InteractionData(**settings, seed=self.seed * self.users + place)


class Interactions(vf.Taskset[InteractionTask, InteractionsConfig]):
    """An interaction for each user."""

    def load(self) -> Iterator[InteractionTask]:
        """Return the tasks."""
        for place in range(self.config.users):
            yield InteractionTask(self.config.interaction(place), self.config.task)


class InteractionEnvConfig(vf.EnvConfig):
    """The assistant: a chat without tools, which needs no sandbox."""

    agent: vf.AgentConfig = vf.AgentConfig(harness={"id": "null"}, runtime={"type": "subprocess"})


class InteractionEnv(vf.Env[InteractionEnvConfig]):
    """Tells the assistant what the simulated user says, until the last round."""

    async def run(self, task: InteractionTask, agents: vf.Agents) -> None:
        """Play one interaction."""
        environment = begun(task.data)
        message = environment.messages[-1]["content"]
        async with agents.agent.interaction(task) as interaction:
            while message:
                heard = await interaction.turn(message)
                if heard.terminated:
                    break
                message = environment.step(heard.last_reply).observation


def begun(data: InteractionData) -> Environment:
    """Return the environment at the beginning of an interaction."""
    environment = Environment(load_domain(data.domain), data.reward, data.form, data.rounds)
    environment.reset(data.seed)
    return environment


def replies(trace: vf.Trace) -> list[str]:
    """Return the text of each reply, without the thoughts."""
    return [str(message.content or "") for message in trace.assistant_messages]
