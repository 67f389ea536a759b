"""Asking the models of Inspect: from the process of `beliefbench run`, and from a sample of `inspect eval`."""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from beliefbench.errors import BeliefBenchError, first_line
from beliefbench.exchange.inspect.outputs import MODEL_ARGS, config_of, messages_of, replies_of
from beliefbench.language.servers.answers_cache import AnswersCache
from beliefbench.language.servers.budget import Budget
from beliefbench.language.servers.completions import BrokenReplyError, ErrorInsideError, Reply, Request
from beliefbench.language.servers.limits import ServerLimits, limits_of
from beliefbench.language.servers.logprobs import NoLogprobsError

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from inspect_ai.model import Model

EXTRA = "pip install 'beliefbench[inspect]'"


def needs_inspect() -> None:
    """Raise `BeliefBenchError` if Inspect is not installed."""
    if find_spec("inspect_ai") is None:
        raise BeliefBenchError(f"Inspect is not installed here: {EXTRA}")


class InspectModels:
    """The models of Inspect as a server (`language.servers.served_model.Server`): each answer is stored at once."""

    address = None

    def __init__(self, cache: AnswersCache, budget: Budget, workers: int = 8) -> None:
        needs_inspect()
        self.cache, self.budget, self.workers = cache, budget, workers

    def limits(self, model: str) -> ServerLimits:
        """Return nothing: Inspect changes requests by itself."""
        return limits_of("inspect", model, "max_tokens")

    def ask(self, requests: Sequence[Request]) -> list[list[Reply]]:
        """Return the replies to requests, one for each sample; a request that occurs several times is sent once.

        Raises
        ------
        BeliefBenchError
            If a request cannot be answered, or the budget is spent. The replies so far are stored.
        """
        found: dict[str, list[Reply]] = {}
        missing: list[Request] = []
        for key, request in {one.key: one for one in requests}.items():
            stored = self._stored(request)
            if len(stored) < request.samples:
                missing.append(request)
            found[key] = stored
        if missing:
            _portal().call(self._ask_all, missing, found)
        return [found[one.key] for one in requests]

    def _stored(self, request: Request) -> list[Reply]:
        replies = []
        for sample in range(request.samples):
            key = self._key(request, sample)
            answer = self.cache.get(key)
            try:
                if answer is None:
                    break
                replies.append(Reply.model_validate_json(answer))
            except ValueError:
                self.cache.drop(key)
                break
        return replies

    def _key(self, request: Request, sample: int) -> str:
        return request.answer_key(f"inspect:{request.model}", request.parameters, sample)

    async def _ask_all(self, missing: Sequence[Request], found: dict[str, list[Reply]]) -> None:
        import anyio

        queue = iter(missing)
        failures: list[BeliefBenchError] = []

        async def work() -> None:
            for request in queue:
                try:
                    if not failures:
                        await self._answer(request, found[request.key])
                except BeliefBenchError as error:
                    failures.append(error)
                    return

        async with anyio.create_task_group() as group:
            for _ in range(min(self.workers, len(missing))):
                group.start_soon(work)
        if failures:
            said = str(failures[0]).rstrip(".")
            raise BeliefBenchError(
                f"{said}; all answers so far are stored, and running the same again asks only the others."
            )

    async def _answer(self, request: Request, replies: list[Reply]) -> None:
        model = model_of(request.model, request.parameters.get(MODEL_ARGS) or {})
        while len(replies) < request.samples:
            most = request.answer_tokens * (request.samples - len(replies))
            expected = self.budget.reserve(request.characters, most)
            new: list[Reply] = []
            try:
                new = await generated(model, request, request.samples - len(replies))
            finally:
                read = sum(one.prompt_tokens or 0 for one in new)
                self.budget.settle(expected, request.characters, read, sum(one.completion_tokens or 0 for one in new))
            for reply in new:
                self.cache.put(self._key(request, len(replies)), reply.model_dump_json())
                replies.append(reply)


async def generated(model: Model, request: Request, samples: int) -> list[Reply]:
    """Return replies of a model to a request, one or more and at most ``samples``.

    Raises
    ------
    BeliefBenchError
        If the provider fails, or its answer cannot be read.
    """
    name = request.model
    try:
        output = await model.generate(messages_of(request), config=config_of(request, samples))
        return replies_of(output, request)[:samples]
    except NoLogprobsError as error:
        raise BeliefBenchError(
            f"'{name}' gives no log-probabilities that can be read through Inspect ({error}); use "
            "probabilities=samples, stated or none."
        ) from None
    except (BrokenReplyError, ErrorInsideError) as error:
        said = getattr(error, "sent", None) or error
        raise BeliefBenchError(f"'{name}' gave no answer through Inspect ({first_line(said)})") from None
    except Exception as error:
        from inspect_ai.util import LimitExceededError

        if isinstance(error, BeliefBenchError | LimitExceededError):
            raise
        raise BeliefBenchError(f"'{name}' failed through Inspect ({first_line(error)})") from error


def model_of(name: str, arguments: Mapping[str, Any]) -> Model:
    """Return a model of Inspect: ``PROVIDER/MODEL``, with what its provider is given.

    Raises
    ------
    BeliefBenchError
        If Inspect knows no such provider, or the provider cannot make it (a key or a package that is missing).
    """
    from inspect_ai.model import get_model

    try:
        return get_model(name, **arguments)
    except (Exception, SystemExit) as error:
        raise BeliefBenchError(f"Inspect cannot make the model '{name}' ({first_line(error)}).") from error


@cache
def _portal() -> BlockingPortal:
    """Return an event loop in a thread of its own, which stays: the clients of providers belong to one loop."""
    from anyio.from_thread import start_blocking_portal

    context = start_blocking_portal()
    portal = context.__enter__()
    atexit.register(context.__exit__, None, None, None)
    return portal
