"""Limits on requests and tokens for servers that charge for them."""

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
    """Requests and tokens spent, and their limits; None is no limit.

    The cost of a request is known only afterwards. Before it is sent, tokens are reserved: its characters times the
    largest number of tokens per character seen so far, plus the maximum length of the answer. Afterwards the actual
    cost replaces the reservation.
    """

    def __init__(self, max_requests: int | None = None, token_budget: int | None = None) -> None:
        self.max_requests, self.token_budget = max_requests, token_budget
        self.requests = 0
        self.tokens = 0
        self._in_flight = 0
        self._per_character: float | None = None
        self._one_at_a_time = Lock()

    def reserve(self, characters: int, answer_tokens: int) -> int:
        """Reserve the cost of a request, and return the reserved tokens, which `settle` needs.

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
            if self.token_budget is not None and self.tokens + self._in_flight + expected > self.token_budget:
                raise BudgetSpentError("token_budget", self.token_budget)
            self.requests += 1
            self._in_flight += expected
            return expected

    def settle(self, expected: int, characters: int, prompt_tokens: int, completion_tokens: int) -> None:
        """Replace the reservation by the actual cost of a request (nothing, if it failed)."""
        with self._one_at_a_time:
            self._in_flight -= expected
            self.tokens += prompt_tokens + completion_tokens
            if prompt_tokens:
                self._per_character = max(self._per_character or 0.0, prompt_tokens / characters)


@cache
def process_budget(max_requests: int | None, token_budget: int | None) -> Budget:
    """Return the budget of this process with these limits. The agents of all domains of a suite share it."""
    return Budget(max_requests, token_budget)
