"""`tried`: a reader meets many inputs, for seconds in `make test` and for 30 minutes in `make reference`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

from beliefbench.errors import BeliefBenchError, printable

EXAMPLES = 150
"""Inputs of a reader in `make test`, always the same."""
SECONDS = 1800 / 19
"""Wall time of a reader in `make reference`: 30 minutes for all of them."""
LONGEST = 5.0
"""Seconds of processor time that reading one input may take."""
SENTENCE = 2000
"""Letters of the longest error."""

Read = Callable[[Any], object]
Tried = Callable[..., None]


def checked(read: Read, value: Any, longest: float) -> None:
    """Read an input: the outcome is a value, or an error of the package's own that can be shown, in time."""
    begun = time.process_time()
    try:
        read(value)
    except BeliefBenchError as error:
        sentence = printable(str(error))
        assert 10 < len(sentence) <= SENTENCE, sentence
        assert sentence.endswith((".", ")")), sentence
    assert time.process_time() - begun < longest


@pytest.fixture(params=["quick", pytest.param("long", marks=[pytest.mark.reference, pytest.mark.timeout(600)])])
def tried(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Tried:
    """``tried(read, inputs, examples=..., longest=...)``: read many inputs; the number of them is recorded.

    The long version draws new inputs at each of its rounds, by their numbers, until its time is up.
    """

    def try_all(read: Read, inputs: SearchStrategy, examples: int = EXAMPLES, longest: float = LONGEST) -> None:
        count = 0

        def one(value: Any) -> None:
            nonlocal count
            count += 1
            checked(read, value, longest)

        def round_of(number: int) -> None:
            unhurried = settings(
                max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
            )
            seed(number)(unhurried(given(inputs)(one)))()

        until, number = time.monotonic() + (SECONDS if request.param == "long" else 0), 0
        round_of(number)
        while time.monotonic() < until:
            round_of(number := number + 1)
        record_property("inputs", count)

    return try_all
