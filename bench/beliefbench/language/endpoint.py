"""Asking an OpenAI-compatible server many questions in parallel, each of them once.

Every answer is stored on disk at once and never asked again. Errors that may pass (no connection, a timeout, an
incomplete answer, 429 and 5xx) are retried, up to ``tries`` tries in all. The pauses double from ``first`` to
``longest`` seconds (`RetryPolicy`), and each is drawn between 0 and this value. If the server sends ``Retry-After``,
this is the pause, up to ``longest``. So a question takes at most ``tries * timeout + (tries - 1) * longest`` seconds.
Errors that will not pass (a wrong key, an unknown model, a conversation that is too long) end the run at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from beliefbench.errors import BeliefBenchError, counted
from beliefbench.language.answers_cache import AnswersCache
from beliefbench.language.budget import Budget, BudgetSpentError
from beliefbench.language.completions import NoLogprobsError, Reply, Request, read_reply
from beliefbench.language.refusals import PassingError, Place, no_logprobs, refusal

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
class _Queue:
    """Questions in progress: the waiting ones, and the results of the others; ``stopped`` is set at the first
    failure."""

    waiting: Iterator[Request]
    stopped: Event
    found: dict[str, Reply] = field(default_factory=dict)
    failures: list[BeliefBenchError] = field(default_factory=list)


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
            If a package is missing, or no server is named.
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
        self._place = Place(address or OPENAI, key or NO_KEY)
        self._heard = False

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        """Return the replies to requests; a request that occurs several times is sent once.

        Raises
        ------
        BeliefBenchError
            If a request cannot be answered, or the budget is spent. The replies so far are stored.
        """
        kept = {request.key: self.cache.get(request.key) for request in requests}
        missing = {request.key: request for request in requests if kept[request.key] is None}
        found = {key: Reply.model_validate_json(answer) for key, answer in kept.items() if answer is not None}
        if missing:
            from anyio.from_thread import start_blocking_portal

            # An event loop in its own thread, because notebooks have one already; Ctrl-C cancels its tasks.
            with start_blocking_portal() as portal:
                found |= portal.call(self._ask_all, missing)
        return [found[request.key] for request in requests]

    async def _ask_all(self, missing: Mapping[str, Request]) -> dict[str, Reply]:
        import anyio
        from openai import AsyncOpenAI

        queue = _Queue(iter(missing.values()), anyio.Event())
        async with (
            AsyncOpenAI(
                base_url=self._place.address, api_key=self._place.key, timeout=self.timeout, max_retries=0
            ) as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(min(self.workers, len(missing))):
                group.start_soon(self._work, client, queue)
        if not queue.failures:
            return queue.found
        failure, again = queue.failures[0], "running the same again"
        said = str(failure).rstrip(".")
        if isinstance(failure, BudgetSpentError):
            spent = f"{counted(self.budget.requests, 'request')} and {counted(self.budget.tokens, 'token')} were spent"
            said, again = f"{spent}, and {said}", f"{again}, or with a larger {failure.limit},"
        raise BeliefBenchError(f"{said}; all answers so far are stored, and {again} asks only the others.")

    async def _work(self, client: AsyncOpenAI, queue: _Queue) -> None:
        """Answer one waiting question after the other, until none is left or any question has failed."""
        for request in queue.waiting:
            try:
                reply = await self._answer(client, request, queue.stopped)
                self.cache.put(request.key, reply.model_dump_json())
            except BeliefBenchError as error:
                queue.failures.append(error)
                queue.stopped.set()
                return
            queue.found[request.key] = reply
            if queue.stopped.is_set():
                return

    async def _answer(self, client: AsyncOpenAI, request: Request, stopped: Event) -> Reply:
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
            return await retrying(self._try, client, request)
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

    async def _try(self, client: AsyncOpenAI, request: Request) -> Reply:
        """Send a request once."""
        import anyio
        import openai

        expected = self.budget.reserve(request.characters, request.answer_tokens)
        read = written = 0
        started = time.perf_counter()
        try:
            with anyio.fail_after(self.timeout):  # the client's own limit is for each piece that comes
                sent = await client.post(request.path, cast_to=object, body=self._body(request))
            self._heard = True
            reply = read_reply(sent, request, time.perf_counter() - started)
            read = expected - request.answer_tokens if reply.prompt_tokens is None else reply.prompt_tokens
            written = request.answer_tokens if reply.completion_tokens is None else reply.completion_tokens
            return reply
        except (TimeoutError, openai.APITimeoutError):
            raise PassingError(f"no answer within {self.timeout:g} s") from None
        except openai.APIStatusError as error:
            self._heard = True
            raise refusal(error, request, self._place) from None
        except openai.APIConnectionError as error:
            if type(error.__cause__).__name__ == "ConnectError" and not self._heard:
                raise BeliefBenchError(
                    f"no server answers at {self._place}; start it, or set OPENAI_BASE_URL to its address"
                ) from None
            raise PassingError("the connection broke") from None
        except NoLogprobsError:
            raise no_logprobs(self._place) from None
        except ValueError:
            raise PassingError("its response is not a chat completion") from None
        finally:
            self.budget.settle(expected, request.characters, read, written)

    def _body(self, request: Request) -> dict[str, Any]:
        body = {"model": request.model, **request.parameters}
        if self._place.address == OPENAI and "max_tokens" in body:
            body["max_completion_tokens"] = body.pop("max_tokens")  # OpenAI's newer models know only this
        return body
