"""How much may be asked of a server that charges for it."""

from __future__ import annotations

from functools import cache
from threading import Lock

from beliefbench.errors import BeliefBenchError

TOKENS_PER_CHARACTER = 0.5  # taken until the first answer tells; English has about a quarter


class BudgetSpentError(BeliefBenchError):
    """The next request would pass a limit."""

    def __init__(self, limit: str, most: int) -> None:
        super().__init__(f"the next request would pass {limit}={most}")
        self.limit = limit


class Budget:
    """Requests and tokens that were spent, and the most that may be; None is no limit.

    What a request will cost is known only afterwards. Before it is sent, its characters are reckoned at the most tokens
    a character seen so far, and its answer at its full length; what it cost then takes the place of that.
    """

    def __init__(self, max_requests: int | None = None, max_tokens: int | None = None) -> None:
        self.max_requests, self.max_tokens = max_requests, max_tokens
        self.requests = 0
        self.tokens = 0
        self._in_flight = 0
        self._per_character: float | None = None
        self._one_at_a_time = Lock()

    def reserve(self, characters: int, answer_tokens: int) -> int:
        """Take a request into account and return the tokens it may cost, to be handed to `settle`.

        Raises
        ------
        BudgetSpentError
            If it would pass a limit.
        """
        with self._one_at_a_time:
            rate = TOKENS_PER_CHARACTER if self._per_character is None else self._per_character
            expected = round(rate * characters) + answer_tokens
            if self.max_requests is not None and self.requests + 1 > self.max_requests:
                raise BudgetSpentError("max_requests", self.max_requests)
            if self.max_tokens is not None and self.tokens + self._in_flight + expected > self.max_tokens:
                raise BudgetSpentError("max_tokens", self.max_tokens)
            self.requests += 1
            self._in_flight += expected
            return expected

    def settle(self, expected: int, characters: int, prompt_tokens: int, completion_tokens: int) -> None:
        """Put what a request cost (nothing, if it failed) in the place of what was reserved for it."""
        with self._one_at_a_time:
            self._in_flight -= expected
            self.tokens += prompt_tokens + completion_tokens
            if prompt_tokens:
                self._per_character = max(self._per_character or 0.0, prompt_tokens / characters)


@cache
def process_budget(max_requests: int | None, max_tokens: int | None) -> Budget:
    """Return the one budget of this process with these limits: the agents of all domains of a suite spend from it."""
    return Budget(max_requests, max_tokens)
