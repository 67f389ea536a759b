"""The solver: a model of Inspect plays the protocol with one user a sample."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, Model, ModelOutput, get_model
from inspect_ai.model._generate_config import active_generate_config
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import span

from beliefbench.domain import Domain
from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.exchange.inspect.answers import ANSWERS, STORED, answers_of
from beliefbench.exchange.inspect.asking import generated
from beliefbench.exchange.inspect.outputs import MODEL_ARGS, WAYS, other_options
from beliefbench.language.assistant import Assistant
from beliefbench.language.questions.conversations import Conversations
from beliefbench.language.servers.completions import Reply, Request
from beliefbench.language.servers.limits import ServerLimits, limits_of
from beliefbench.language.servers.methods import Method, method_of
from beliefbench.language.servers.served_model import ServedModel, Server
from beliefbench.plugins.names import load_suite
from beliefbench.protocol.protocol import Protocol
from beliefbench.protocol.stopping import UntilWidth
from beliefbench.running.answering import Answers, Job, Shard, ask, shards_of
from beliefbench.running.harness import episodes_of, rows_of
from beliefbench.scoring.heldout import HeldOut


@dataclass(frozen=True)
class Playing:
    """A domain, its protocol, the rule for stopping early, and how the model is asked."""

    domain: Domain
    protocol: Protocol
    rule: UntilWidth | None
    method: Method

    @classmethod
    def of(
        cls, domain: Domain, numbers: Mapping[str, Any], until_width: float | None, settings: Mapping[str, Any]
    ) -> Playing:
        """Return them from the arguments of a task; raise `UsageError` if one is wrong."""
        rule = None if until_width is None else UntilWidth(until_width)
        return cls(domain, Protocol.of(domain, **numbers), rule, method_from(settings))

    def agent(self, model: str, server: Server) -> Assistant:
        """Return the agent that asks a model through a server; its identity is that of ``inspect:MODEL``."""
        way, asking = self.method.way, self.method.asking
        served = ServedModel(
            model,
            None,
            server,
            way,
            thinks_aloud=self.method.thinks_aloud,
            counts_unusable=self.method.counts_unusable,
        )
        return Assistant(f"inspect:{model}", "1", self.domain, served, asking)

    def described(self) -> dict[str, Any]:
        """Return what the answers depend on besides the model, as JSON values."""
        return {
            "domain": self.domain.identity(),
            "protocol": self.protocol.identity(),
            "stopping": self.rule.identity() if self.rule else None,
            "asked": {**self.method.way.identity(), **self.method.asking.identity()},
        }

    def first_question(self, place: int) -> str:
        """Return the first question about the user at a position."""
        episodes = episodes_of(self.domain, self.protocol)
        state = Conversations.begin(self.domain, self.method.asking, np.zeros(1), episodes_truth(self, place))
        sets = episodes.heldout[place] if episodes.heldout.ndim == 4 else episodes.heldout
        first = episodes.options[place, :1] if self.protocol.rounds else sets[:1]
        (dialogue,) = state.dialogues(first[None])
        return dialogue.messages(dialogue.questions[0])[0]["content"]


def method_from(settings: Mapping[str, Any]) -> Method:
    """Return the method for the arguments of a task, which Inspect reads as numbers and booleans too.

    >>> method_from({"think": False, "n": None}).asking.think
    'no'
    """
    words = {True: "yes", False: "no"}
    text = {
        name: words[value] if isinstance(value, bool) else str(value)
        for name, value in settings.items()
        if value is not None
    }
    extra: dict[str, Any] = {}
    if (effort := text.pop("reasoning_effort", None)) is not None:
        extra["reasoning_effort"] = effort
    if arguments := json.loads(text.pop(MODEL_ARGS, "{}")):
        extra[MODEL_ARGS] = arguments
    return method_of(**text, extra=extra, known=WAYS)


def json_values(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model was given, without the objects of a program, which no log and no SPEC can say.

    >>> json_values({"do_sample": False, "custom_outputs": print})
    {'do_sample': False}
    """
    found = {}
    for name, value in arguments.items():
        if value is None:
            continue
        with suppress(TypeError, ValueError):
            found[name] = json.loads(json.dumps(value, allow_nan=False))
    return found


def episodes_truth(playing: Playing, place: int) -> Mapping[str, np.ndarray] | None:
    """Return the true latents of a user, if the way of asking states them."""
    if not playing.method.asking.privileged:
        return None
    return episodes_of(playing.domain, playing.protocol).latents_of(np.array([place]))


_HEARD: ContextVar[dict[str, list[Reply]]] = ContextVar("the replies in the running sample, by the key of the request")


class SampleModel:
    """Inspect's model in a running sample as a server: threads ask it, and the event loop of Inspect answers."""

    address = None
    workers = 1

    def __init__(self, model: Model) -> None:
        self._model = model

    def limits(self, model: str) -> ServerLimits:
        return limits_of("inspect", model, "max_tokens")

    def ask(self, requests: Sequence[Request]) -> list[list[Reply]]:
        """Return the replies to requests; a request that occurs several times is sent once."""
        import anyio.from_thread

        return anyio.from_thread.run(self._ask, requests)

    async def _ask(self, requests: Sequence[Request]) -> list[list[Reply]]:
        import anyio

        found = _HEARD.get()

        async def answer(request: Request) -> None:
            replies = found.setdefault(request.key, [])
            while len(replies) < request.samples:
                replies += await generated(self._model, request, request.samples - len(replies))

        failed: list[BeliefBenchError] = []

        async def attempt(request: Request) -> None:
            try:
                await answer(request)
            except BeliefBenchError as error:
                failed.append(error)

        async with anyio.create_task_group() as group:
            for request in {one.key: one for one in requests}.values():
                group.start_soon(attempt, request)
        if failed:
            raise failed[0]
        return [found[one.key] for one in requests]


@solver
def play(domain: str, numbers: dict[str, Any], until_width: float | None, settings: dict[str, Any]) -> Solver:
    """Ask a model every question about the user of a sample: the same held-out sets before the first round and after
    each, and in each round the round's own set, whose answer is the recommendation.
    """
    made: dict[tuple[str, str], Job] = {}

    def job_of(name: str, model: Model) -> Job:
        key = name, str(model)
        if key not in made:
            given = json_values(model.model_args)
            arguments = {**settings, MODEL_ARGS: json.dumps(given)} if given else settings
            (one,) = (one for one in load_suite(domain) if one.name == name)
            playing = Playing.of(one, numbers, until_width, arguments)
            agent = playing.agent(str(model), SampleModel(model))
            made[key] = Job(one, agent, playing.protocol, None, playing.rule)
        return made[key]

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        from anyio import to_thread

        if state.epoch > 1:
            raise UsageError("a user is asked once: leave out --epochs.")
        _HEARD.set({})  # the threads that this sample starts have it too
        model = get_model()
        if other := other_options(active_generate_config()):
            raise UsageError(
                f"answers depend on {', '.join(other)}: give what the task has as an argument (-T temperature=0), and "
                "leave out the others."
            )
        job = await to_thread.run_sync(job_of, state.metadata["domain"], model)
        place = place_of(job, state.metadata["user"])
        stages = ask(job, shard_of(job, place))
        tables = []
        for stage in range(job.protocol.rounds + 1):
            async with span(f"after {stage} rounds"):
                answers: Answers = await to_thread.run_sync(partial(next, stages), abandon_on_cancel=True)
            tables.append(rows_of(episodes_of(job.domain, job.protocol), np.array([place]), answers))
        rows = pa.concat_tables(tables)
        shape = (1, job.protocol.rounds + 1, job.protocol.heldout)
        heldout = HeldOut.of(rows, shape, job.agent.probabilistic)
        state.store.set(STORED, {"domain": job.domain.name, ANSWERS: answers_of(heldout)})
        state.messages = [
            (ChatMessageUser if one["role"] == "user" else ChatMessageAssistant)(content=one["content"])
            for one in conversation(job, place, rows)
        ]
        said = state.messages[-1].text if state.messages else ""
        state.output = ModelOutput.from_content(str(model), said)
        return state

    return solve


def place_of(job: Job, user: int) -> int:
    """Return the position of a user in the episodes."""
    return int(np.flatnonzero(episodes_of(job.domain, job.protocol).users == user)[0])


def shard_of(job: Job, place: int) -> Shard:
    """Return the shard of the user at a position, who has answered nothing."""
    episodes, shape = episodes_of(job.domain, job.protocol), (job.protocol.users, job.protocol.rounds + 1)
    others = np.broadcast_to(np.arange(shape[0])[:, None] != place, shape)
    (shard,) = shards_of(job, episodes, others, np.full(shape, -1), 1)
    return shard


def conversation(job: Job, place: int, rows: pa.Table) -> Iterator[dict[str, str]]:
    """Yield the messages of the rounds: what was asked, recommended and told."""
    own = rows.filter(pa.compute.less(rows["question"], 0))
    shard, agent = shard_of(job, place), job.agent
    assert isinstance(agent, Assistant)
    state = agent.begin(None, np.zeros(1), shard.truth)  # type: ignore[arg-type]  # it has its domain
    for stage, recommended in enumerate(own["choice"].to_pylist()):
        state = state.observe(shard.options[:, stage], np.array([recommended]), shard.chosen[:, stage])
    (dialogue,) = state.dialogues(np.empty((1, 0, *shard.options.shape[2:])))
    chat = dialogue.messages("")[:-1]
    yield from chat
