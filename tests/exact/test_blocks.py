"""How much a sweep works on at once: blocks of hypotheses, calls of users, and the memory that both take."""

from __future__ import annotations

import numpy as np
import pytest

from beliefbench.exact import enumeration, query
from beliefbench.exact.query import BYTES_A_CALL, Query, block_size, grouped, parts_of


def asked(users: int, rounds: int = 2, shared: int = 0, own: int | None = None, stages: str = "all") -> Query:
    return Query(
        "choice",
        stages,
        np.zeros((users, rounds, 3, 2)),
        np.zeros((users, rounds), int),
        np.ones((users, rounds), bool),
        np.zeros((shared, 3, 2)),
        None if own is None else np.zeros((users, own, 3, 2)),
    )


@pytest.mark.parametrize("cache", [2**14, 2**20, 2**22, 2**30])
@pytest.mark.parametrize("cores", [1, 2, 5, 64])
def test_blocks_cover_all_hypotheses_evenly_and_every_core_has_as_many(monkeypatch, cache, cores):
    monkeypatch.setattr(query, "_cache_bytes", lambda: cache)
    monkeypatch.setattr(query.os, "sched_getaffinity", lambda _: range(cores), raising=False)
    fills = cache / (8 * 3 * 32 * 5)  # 8 bytes of each option's probability, for 32 users and 5 rounds
    most = min(1024, max(32, fills))
    for hypotheses in (1, 2, 31, 624, 1025, 5_000, 99_999):
        size = block_size(hypotheses)
        blocks = -(-hypotheses // size)
        assert 1 <= size <= most
        # With fewer blocks, one would be too large; more are there only to give each core as many.
        fewest = -(-hypotheses // (int(most) // 32 * 32))
        assert fewest <= blocks < fewest + min(8, cores, fewest) or blocks == fewest
    assert parts_of(100) == min(8, cores)
    assert parts_of(3) == min(3, cores)


def test_blocks_are_as_many_as_parts_that_are_swept_at_once(monkeypatch):
    monkeypatch.setattr(query, "_cache_bytes", lambda: 2**20)
    monkeypatch.setattr(query.os, "sched_getaffinity", lambda _: range(6), raising=False)
    # A block of at most 256 hypotheses (2^20 / 3,840 = 273, in steps of 32): 10,000 make 40 blocks, and 6 cores 42.
    assert block_size(10_000) == -(-10_000 // 42)
    assert block_size(256) == 256
    assert block_size(257) == 129


@pytest.mark.parametrize(("stages", "times"), [("all", 3), ("last", 1)])
@pytest.mark.parametrize(("shared", "own", "queries"), [(4, None, 4), (0, 5, 5), (4, 5, 9)])
def test_a_group_of_users_takes_its_answers(stages, times, shared, own, queries):
    assert asked(3, 2, shared, own, stages)._bytes_a_group() == 8 * 3 * 32 * times * queries


@pytest.mark.parametrize("users", [1, 32, 33, 1000, 5000])
@pytest.mark.parametrize("shared", [0, 100, 20_000])
def test_calls_have_every_user_once_and_are_small_enough(users, shared):
    one = asked(users, shared=shared)
    calls = one.calls()
    assert np.concatenate([np.arange(users)[call] for call in calls]).tolist() == list(range(users))
    for call in calls:
        groups = (call.stop - call.start) / 32
        assert groups == int(groups) <= 32
        assert groups == 1 or groups * one._bytes_a_group() <= BYTES_A_CALL
    if len(calls) > 1:  # no more calls than it takes, up to the rounding of their sizes
        assert len(calls) <= -(-users // 32) / min(32, max(1, BYTES_A_CALL // max(1, one._bytes_a_group()))) + 1
    assert asked(0, shared=shared).calls() == []


@pytest.mark.parametrize(("users", "groups"), [(1, 1), (32, 1), (33, 2), (97, 4), (128, 4), (129, 8), (257, 12)])
def test_the_last_user_fills_up_the_last_groups(users, groups):
    found = grouped(np.arange(users))
    assert found.shape == (groups, 32)
    assert found.ravel().tolist() == [min(at, users - 1) for at in range(groups * 32)]


@pytest.mark.parametrize(("rounds", "length"), [(0, 8), (1, 8), (8, 8), (9, 16), (16, 16), (17, 32)])
def test_a_long_history_is_padded_with_rounds_that_are_not_used(rounds, length):
    padded = asked(2, rounds, shared=1, stages="last").padded()
    assert padded.options.shape == (2, length, 3, 2)
    assert padded.used.tolist() == [[at < rounds for at in range(length)]] * 2
    assert padded.own.shape == (2, 0, 3, 2)
    assert asked(2, rounds, shared=1, stages="all").padded().options.shape[1] == rounds


def test_the_memory_of_a_sweep_is_that_of_its_sums_and_one_block(monkeypatch):
    """2,000 users are 63 groups, 32 a call; a group's sums are 3 stages of 9 queries for 32 users."""
    monkeypatch.setattr(query, "_cache_bytes", lambda: 2**30)
    group = 8 * 3 * 32 * 3 * 9
    block = 6 * 8 * 3 * (4 + 32 * (2 + 5)) * 1024
    assert asked(2000, rounds=2, shared=4, own=5).bytes_held() == group * (63 + 9 * 32) + block
    assert asked(1, rounds=2, shared=4).bytes_held() == 8 * 3 * 32 * 3 * 4 * (1 + 9 * 32) + 6 * 8 * 3 * 68 * 1024


@pytest.mark.parametrize("most", [1, 100, 623, 624, 10_000])
def test_log_weights_are_the_same_in_any_blocks(flights, monkeypatch, most):
    options = np.random.default_rng(0).integers(0, 3, (2, 3, 4)) / 2
    chosen = np.array([1, 2])
    expected = enumeration.log_weights(flights, options, chosen)
    monkeypatch.setattr(enumeration, "LARGEST_BLOCK", most)
    found = enumeration.log_weights(flights, options, chosen)
    assert found.shape == (624,)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("said", "size"), [("512K\n", 2**19), ("2048K", 2**21), ("", 2**20), (None, 2**20)])
def test_the_cache_is_as_large_as_linux_says_and_1_mib_elsewhere(monkeypatch, said, size):
    def read(file) -> str:
        assert str(file) == "/sys/devices/system/cpu/cpu0/cache/index2/size"
        if said is None:
            raise FileNotFoundError
        return said

    monkeypatch.setattr(query.Path, "read_text", read)
    assert query._cache_bytes.__wrapped__() == size


def test_a_call_returns_a_quarter_gibibyte_at_most():
    """Of 20,000 shared sets at 3 stages: a group takes 8 x 3 x 32 x 3 x 20,000 bytes, 46 MB, and 5 groups fit."""
    assert BYTES_A_CALL == 268_435_456
    assert asked(320, shared=20_000).calls() == [slice(0, 160), slice(160, 320)]
    assert asked(321, shared=20_000).calls()[0] == slice(0, 128)  # 11 groups in 3 calls
