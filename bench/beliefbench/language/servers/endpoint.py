"""Asking an OpenAI-compatible server many questions in parallel, each of them once.

Every answer is stored on disk at once and never asked again. Errors that may pass (no connection, a timeout, an
incomplete or empty answer, an error inside a success, 429 and 5xx) are retried, up to ``tries`` tries in all. The
pauses double from ``first`` to ``longest`` seconds (`RetryPolicy`), and each is drawn between 0 and this value. If the
server sends ``Retry-After``, this is the pause, up to ``longest``. So a question takes at most ``tries * timeout +
(tries - 1) * longest`` seconds. A parameter that the server does not take is changed, once for all questions
(`language.limits`); so the first question is asked alone. Errors that will not pass (a wrong key, an unknown model, a
conversation that is too long) end the run at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from beliefbench.errors import BeliefBenchError, counted, first_line
from beliefbench.language.servers.answers_cache import AnswersCache
from beliefbench.language.servers.budget import Budget, BudgetSpentError
from beliefbench.language.servers.completions import BrokenReplyError, ErrorInsideError, Reply, Request, read_replies
from beliefbench.language.servers.limits import ServerLimits, limits_of
from beliefbench.language.servers.logprobs import NoLogprobsError
from beliefbench.language.servers.place import Place
from beliefbench.language.servers.refusals import (
    UNCHANGEABLE,
    PassingError,
    RefusedError,
    ServerError,
    no_logprobs,
    unconnected,
)

if TYPE_CHECKING:
    from anyio import Event
    from openai import AsyncOpenAI
    from tenacity import RetryCallState

OPENAI = "https://api.openai.com/v1"
NO_KEY = "no-key"  # sent if there is none: servers on one's own machine need none, and the client insists on one


@dataclass(frozen=True)
class RetryPolicy:
    """The number of tries per question, and the first and the longest pause between them, in seconds."""

    tries: int = 8
    first: float = 1.0
    longest: float = 60.0


@dataclass
class _Task:
    """A request, and the numbers of the samples that are still to be had."""

    request: Request
    samples: list[int]


@dataclass
class _Queue:
    """Questions in progress: the waiting ones, and what failed; ``stopped`` is set at the first failure."""

    waiting: Iterator[_Task]
    stopped: Event
    failures: list[BeliefBenchError] = field(default_factory=list)


Found = dict[tuple[str, int], Reply]
"""Replies by the key of their request and the number of the sample."""


class ChatServer:
    """The server at ``OPENAI_BASE_URL``, with the key ``OPENAI_API_KEY``. It is contacted with the first question."""

    def __init__(
        self,
        cache: AnswersCache,
        budget: Budget,
        *,
        workers: int = 8,
        timeout: float = 120.0,
        patience: RetryPolicy = RetryPolicy(),
    ) -> None:
        """Take the cache of answers, the budget, the number of parallel questions, and the seconds per try.

        Raises
        ------
        BeliefBenchError
            If a package is missing, or no server is named, or its address is none.
        """
        missing = [name for name in ("anyio", "openai", "tenacity") if find_spec(name) is None]
        if missing:
            raise BeliefBenchError(
                f"asking a server needs packages that are not installed here: pip install {' '.join(missing)}"
            )
        address, key = os.environ.get("OPENAI_BASE_URL"), os.environ.get("OPENAI_API_KEY")
        if not address and not key:
            raise BeliefBenchError(
                "no server is named: set OPENAI_BASE_URL to its address, such as http://localhost:8000/v1, "
                "or OPENAI_API_KEY to a key of OpenAI's."
            )
        self.cache, self.budget, self.workers, self.timeout, self.patience = cache, budget, workers, timeout, patience
        self._place = Place.of(address or OPENAI, (key or "").strip() or NO_KEY)
        self._heard = False

    @property
    def address(self) -> str:
        """The server's address without its secret parts."""
        return str(self._place)

    def limits(self, model: str) -> ServerLimits:
        """Return what the server is known not to take for a model."""
        # OpenAI's newer models know only the new name.
        length = "max_completion_tokens" if self._place.address.rstrip("/") == OPENAI else "max_tokens"
        return limits_of(str(self._place), model, length)

    def ask(self, requests: Sequence[Request]) -> list[list[Reply]]:
        """Return the replies to requests, one for each sample; a request that occurs several times is sent once.

        Raises
        ------
        BeliefBenchError
            If a request cannot be answered, or the budget is spent. The replies so far are stored.
        """
        wanted = {request.key: request for request in requests}
        found: Found = {}
        if self._missing(wanted, found):
            from anyio.from_thread import start_blocking_portal

            # An event loop in its own thread, because notebooks have one already; Ctrl-C cancels its tasks.
            with start_blocking_portal() as portal:
                portal.call(self._ask_all, wanted, found)
        return [[found[request.key, sample] for sample in range(request.samples)] for request in requests]

    def answer_key(self, request: Request, sample: int = 0) -> str:
        """Return the key of an answer in the cache, as it is asked now."""
        return request.answer_key(str(self._place), self.limits(request.model).body(request), sample)

    def _missing(self, wanted: Mapping[str, Request], found: Found) -> list[_Task]:
        """Add the answers that are stored to ``found``, and return what is still to be asked."""
        tasks = []
        for key, request in wanted.items():
            missing = []
            for sample in range(request.samples):
                if (key, sample) in found:
                    continue
                reply = self._stored(request, sample)
                if reply is None:
                    missing.append(sample)
                else:
                    found[key, sample] = reply
            if missing:
                tasks.append(_Task(request, missing))
        return tasks

    def _stored(self, request: Request, sample: int) -> Reply | None:
        key = self.answer_key(request, sample)
        answer = self.cache.get(key)
        try:
            return None if answer is None else Reply.model_validate_json(answer)
        except ValueError:
            self.cache.drop(key)
            return None

    async def _ask_all(self, wanted: Mapping[str, Request], found: Found) -> None:
        from openai import AsyncOpenAI

        try:
            client = AsyncOpenAI(
                base_url=self._place.address, api_key=self._place.key, timeout=self.timeout, max_retries=0
            )
        except (ImportError, ValueError) as error:  # of the client's proxies
            raise BeliefBenchError(
                f"no connection to {self._place}{self._place.proxy} can be made: "
                f"{self._place.scrubbed(first_line(error))}"
            ) from None
        async with client:
            tasks = self._missing(wanted, found)
            first = tasks[0].request
            if not self.limits(first.model).is_proven(first):
                await self._run(client, tasks[:1], found)
                tasks = self._missing(wanted, found)  # what was learnt from it may lead to answers that are stored
            await self._run(client, tasks, found)

    async def _run(self, client: AsyncOpenAI, tasks: Sequence[_Task], found: Found) -> None:
        import anyio

        queue = _Queue(iter(tasks), anyio.Event())
        async with anyio.create_task_group() as group:
            for _ in range(min(self.workers, len(tasks))):
                group.start_soon(self._work, client, queue, found)
        if not queue.failures:
            return
        failure, again = queue.failures[0], "running the same again"
        said = str(failure).rstrip(".")
        if isinstance(failure, BudgetSpentError):
            spent = f"{counted(self.budget.requests, 'request')} and {counted(self.budget.tokens, 'token')} were spent"
            said, again = f"{spent}, and {said}", f"{again}, or with a larger {failure.limit},"
        raise BeliefBenchError(f"{said}; all answers so far are stored, and {again} asks only the others.")

    async def _work(self, client: AsyncOpenAI, queue: _Queue, found: Found) -> None:
        """Answer one waiting question after the other, until none is left or any question has failed."""
        for task in queue.waiting:
            request, samples = task.request, list(task.samples)
            while samples:
                try:
                    body, replies = await self._answer(client, _Task(request, samples), queue.stopped)
                    for reply in replies:
                        sample = samples.pop(0)
                        self.cache.put(request.answer_key(str(self._place), body, sample), reply.model_dump_json())
                        found[request.key, sample] = reply
                except BeliefBenchError as error:
                    queue.failures.append(error)
                    queue.stopped.set()
                    return
                if queue.stopped.is_set():
                    return

    async def _answer(self, client: AsyncOpenAI, task: _Task, stopped: Event) -> tuple[dict[str, Any], list[Reply]]:
        """Return what was sent, and answers to it: one or more, and at most as many as the request lacks."""
        import anyio
        from tenacity import AsyncRetrying, retry_if_exception_type

        async def pause(seconds: float) -> None:
            with anyio.move_on_after(seconds):
                await stopped.wait()

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(PassingError),
            stop=lambda state: stopped.is_set() or state.attempt_number >= self.patience.tries,
            wait=self._pause,
            sleep=pause,
            reraise=True,
        )
        try:
            return await retrying(self._try, client, task)
        except PassingError as error:
            tries = retrying.statistics["attempt_number"]
            raise BeliefBenchError(
                f"the server at {self._place} failed {tries} time{'s' * (tries > 1)} ({error})"
            ) from None

    def _pause(self, state: RetryCallState) -> float:
        from tenacity import wait_random_exponential

        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, PassingError) else None
        own = wait_random_exponential(multiplier=self.patience.first, max=self.patience.longest)(state)
        return min(max(asked or 0.0, own), self.patience.longest)

    async def _try(self, client: AsyncOpenAI, task: _Task) -> tuple[dict[str, Any], list[Reply]]:
        """Send a request; if the server does not take one of its parameters, send it as the server takes it."""
        request, limits = task.request, self.limits(task.request.model)
        while True:
            body = limits.body(request, len(task.samples))
            try:
                replies = await self._send(client, request, body)
            except RefusedError as error:
                refused = error.refused
                if limits.body(request, len(task.samples)) != body:
                    continue  # another question has been refused meanwhile, and what is sent is already changed
                if refused.status not in UNCHANGEABLE and limits.learn(refused.said, body):
                    continue
                raise refused.sentence(request, self._place) from None
            limits.prove(request)
            if len(replies) == 1 < body.get("n", 1):
                limits.alone = True
            return body, replies[: len(task.samples)]

    async def _send(self, client: AsyncOpenAI, request: Request, body: dict[str, Any]) -> list[Reply]:
        """Send a body once."""
        import anyio
        import openai

        most = request.answer_tokens * body.get("n", 1)
        expected = self.budget.reserve(request.characters, most)
        read = written = 0
        started = time.perf_counter()
        try:
            with anyio.fail_after(self.timeout):  # the client's own limit is for each piece that comes
                sent = await client.post(request.path, cast_to=str, body=body)
            self._heard = True
            replies = read_replies(sent, request, time.perf_counter() - started)
            first = replies[0]
            read = expected - most if first.prompt_tokens is None else first.prompt_tokens
            written = most if first.completion_tokens is None else first.completion_tokens
            return replies
        except (TimeoutError, openai.APITimeoutError):
            raise PassingError(f"no answer within {self.timeout:g} s") from None
        except openai.APIStatusError as error:
            self._heard = True
            said = error.body if error.body is not None else error.response.text
            raise RefusedError(ServerError.of(said, self._place, error.status_code, error.response.headers)) from None
        except openai.APIConnectionError as error:
            raise unconnected(self._place, error.__cause__, self._heard) from None
        except ErrorInsideError as error:
            raise RefusedError(ServerError.of(error.sent, self._place)) from None
        except NoLogprobsError as error:
            if self.limits(request.model).is_proven(request):  # other answers have them
                raise PassingError(f"an answer's log-probabilities cannot be used: {error}") from None
            raise no_logprobs(self._place, request, str(error)) from None
        except BrokenReplyError as error:
            raise PassingError(f"{self._place.scrubbed(str(error))}{self._place.hint}") from None
        except ValueError:
            raise PassingError(f"its response is not a chat completion{self._place.hint}") from None
        finally:
            self.budget.settle(expected, request.characters, read, written)
