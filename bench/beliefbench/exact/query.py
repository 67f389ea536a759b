"""What one sweep over the hypotheses answers, and how much it works on at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from beliefbench.domain import OPTIONS
from beliefbench.draws import PLAIN_FUSION
from beliefbench.exact.hypothesis import Of

USER_GROUP = 32  # users worked on at once; fixed, so that a user's numbers do not depend on who else is asked
GROUPS_A_CALL = 32  # at most, of a compiled function
BYTES_A_CALL = 2**28  # about, of the sums that it returns
TILE = 64  # rows of weights multiplied at once
LANES = 8  # numbers that a processor multiplies at once
LEAST_BLOCK, LARGEST_BLOCK = 32, 1024  # hypotheses a block
USUAL_CACHE, USUAL_ROUNDS = 2**20, 5
SHORTEST = 8  # rounds that a history is filled up to
MOST_PARTS = 8  # of the hypotheses, each swept in a thread
# They shorten compiling, and slow down the compiled code.
COMPILER_OPTIONS = {"xla_cpu_parallel_codegen_split_count": 1, **PLAIN_FUSION}


@dataclass(frozen=True)
class Query:
    """What one sweep answers: E[value of each query | rounds], ``of`` as in `query_values`.

    options float[users, rounds, 3, features], choices int[users, rounds], used bool[users, rounds] (rounds to condition
    on), shared float[queries, 3, features], own float[users, queries, 3, features] or None.
    """

    of: Of
    stages: Literal["all", "last"]
    options: np.ndarray
    choices: np.ndarray
    used: np.ndarray
    shared: np.ndarray
    own: np.ndarray | None

    def bytes_held(self) -> int:
        """Return the approximate size of the answer and of the sweep's running sums, in bytes."""
        own = 0 if self.own is None else self.own.shape[1]
        sets = len(self.shared) + USER_GROUP * (self.choices.shape[1] + own)
        block = 6 * 8 * OPTIONS * sets * block_size(LARGEST_BLOCK)
        groups = -(-len(self.choices) // USER_GROUP)
        return self._bytes_a_group() * (groups + (MOST_PARTS + 1) * self._groups_a_call()) + block

    def calls(self) -> list[slice]:
        """Return the users of each call of a compiled function: about equally many, so that few shapes are compiled."""
        users = len(self.choices)
        groups = -(-users // USER_GROUP)
        calls = -(-groups // self._groups_a_call())
        size = USER_GROUP * -(-groups // max(1, calls))
        return [slice(at, at + size) for at in range(0, users, size)] if users else []

    def _groups_a_call(self) -> int:
        return max(1, min(GROUPS_A_CALL, BYTES_A_CALL // max(1, self._bytes_a_group())))

    def _bytes_a_group(self) -> int:
        stages = self.choices.shape[1] + 1 if self.stages == "all" else 1
        queries = len(self.shared) + (0 if self.own is None else self.own.shape[1])
        return 8 * OPTIONS * USER_GROUP * stages * queries

    def padded(self) -> Query:
        """Return the query with own queries, none if need be, and with a long history padded with unused rounds to one
        of few lengths, so that few shapes are ever compiled."""
        users, rounds = self.choices.shape
        length = rounds if self.stages == "all" else max(SHORTEST, 1 << max(0, rounds - 1).bit_length())
        extra = ((0, 0), (0, length - rounds))
        own = self.own if self.own is not None else np.empty((users, 0, *self.shared.shape[1:]))
        options = np.pad(self.options, (*extra, (0, 0), (0, 0)))
        return Query(
            self.of, self.stages, options, np.pad(self.choices, extra), np.pad(self.used, extra), self.shared, own
        )

    def of_users(self, users: Any) -> Query:
        """Return the query of some users; an index of the first axis."""
        own = None if self.own is None else self.own[users]
        history = self.options[users], self.choices[users], self.used[users]
        return Query(self.of, self.stages, *history, self.shared, own)


def grouped(of_users: np.ndarray) -> np.ndarray:
    """Split users into groups, [users, ...] -> [groups, 32, ...]; the last user fills up the last ones.

    The number of groups is 1 to 4, or a multiple of 4, so that few shapes are compiled.

    >>> grouped(np.arange(200)).shape
    (8, 32)
    """
    groups = -(-len(of_users) // USER_GROUP)
    groups = groups if groups <= 4 else -(-groups // 4) * 4
    full = np.concatenate([of_users, np.repeat(of_users[-1:], groups * USER_GROUP - len(of_users), axis=0)])
    return full.reshape(groups, USER_GROUP, *of_users.shape[1:])


def block_size(hypotheses: int) -> int:
    """Return the number of hypotheses a block: the choices of a group of users in it fill the processor's cache.

    It depends on nothing that is asked, since the order of sums, and with it their last bits, depends on it.
    """
    wanted = _cache_bytes() // (8 * OPTIONS * USER_GROUP * USUAL_ROUNDS)
    wanted = max(LEAST_BLOCK, min(LARGEST_BLOCK, wanted // LEAST_BLOCK * LEAST_BLOCK))
    blocks = -(-hypotheses // wanted)
    if blocks > 1:
        blocks += -blocks % parts_of(blocks)
    return -(-hypotheses // blocks)


def parts_of(blocks: int) -> int:
    """Return the number of parts that blocks are swept in at the same time: one a processor core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_PARTS, cores, blocks)


@lru_cache(maxsize=1)
def _cache_bytes() -> int:
    """Return the size of a core's second-level cache."""
    try:
        return 1024 * int(Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text().strip().removesuffix("K"))
    except (OSError, ValueError):  # not Linux
        return USUAL_CACHE
