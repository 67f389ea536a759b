"""Memory: a budget in bytes, a cache of prefixes within it, and errors for conversations that are too large."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from beliefbench.errors import BeliefBenchError

GIB = 2**30
CPU_BUDGET = 2 * GIB
CUDA_SHARE = 0.5  # of what the weights leave of the device, so that the same device always splits rows the same way
CUDA_BUDGET = 8 * GIB  # more at once goes no faster, and other processes may use the device too
FIXED_ROPES = ("default", "linear", "llama3", "proportional", "yarn")
"""Rotary embeddings that encode a position alike in texts of any length."""
CONTEXTS = ("max_position_embeddings", "max_seq_len", "max_target_positions")
"""What configurations call the longest text: most of them, MPT, Whisper."""
CPU_TOKENS = 2048  # more at once leave the processor's caches, and go no faster

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Prefix:
    """Tokens that were read, with the keys and values of each layer, [1, heads, tokens, size]."""

    tokens: list[int]
    layers: list[tuple[torch.Tensor, torch.Tensor]]

    def cut(self, length: int) -> Prefix:
        """Return its first tokens."""
        if length == len(self.tokens):
            return self
        return Prefix(self.tokens[:length], [(k[..., :length, :], v[..., :length, :]) for k, v in self.layers])

    @property
    def nbytes(self) -> int:
        """The size of its keys and values, in bytes."""
        return sum(keys.nbytes + values.nbytes for keys, values in self.layers)


class PrefixCache:
    """A cache of prefixes by the stems that they were read in. The least recently used ones are dropped to stay within
    a budget."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._prefixes: OrderedDict[tuple[tuple[int, ...], ...], Prefix] = OrderedDict()

    def longest(self, stems: Sequence[tuple[int, ...]]) -> tuple[int, Prefix]:
        """Return the longest cached prefix of the stems, and the number of stems that it contains."""
        for known in range(len(stems), 0, -1):
            if found := self._prefixes.get(tuple(stems[:known])):
                self._prefixes.move_to_end(tuple(stems[:known]))
                return known, found
        return 0, Prefix([], [])

    def keep(self, stems: Sequence[tuple[int, ...]], prefix: Prefix) -> None:
        """Keep a prefix."""
        self._prefixes[tuple(stems)] = prefix
        self._prefixes.move_to_end(tuple(stems))
        while self.nbytes > self.budget:
            self._prefixes.popitem(last=False)

    @property
    def nbytes(self) -> int:
        """The size of all prefixes, in bytes."""
        return sum(prefix.nbytes for prefix in self._prefixes.values())


def default_budget(model: Any) -> int:
    """Return the default memory for rows and cached prefixes, in bytes."""
    devices = {parameter.device for parameter in model.parameters() if parameter.device.type == "cuda"}
    if not devices:
        return CPU_BUDGET
    weights = sum(parameter.nbytes for parameter in model.parameters())
    total = sum(torch.cuda.get_device_properties(device).total_memory for device in devices)
    return max(GIB // 4, min(CUDA_BUDGET, int((total - weights) * CUDA_SHARE)))


def rows_within(model: Any, budget: int, width: int, past: int, tail: int, held: int = 0) -> int:
    """Return the number of rows of ``width`` tokens after ``past`` others that fit into a budget, given the size of a
    layer and ``held`` bytes per row for the tokens that are written next.
    """
    config, item = model.config.get_text_config(), model.dtype.itemsize
    hidden = config.hidden_size
    inner = getattr(config, "intermediate_size", None)
    inner = inner if isinstance(inner, int) else 4 * hidden
    layer = width * (8 * hidden + 3 * inner) * item + 2 * width * (past + width) * item
    repeated = 4 * (past + width) * hidden * item  # the prefix for each row, if it cannot be shared
    answers = tail * config.vocab_size * (item + 8)
    rows = budget // (layer + repeated + answers + held)
    if model.device.type == "cpu":
        rows = min(rows, CPU_TOKENS // width)
    return max(1, int(rows))


def map_in_batches(
    items: Sequence[Item], size: int, work: Callable[[Sequence[Item]], Sequence[Result]]
) -> list[Result]:
    """Return the results of all items, ``size`` at a time; if memory runs out, continue with half as many.

    >>> map_in_batches([1, 2, 3], 2, lambda piece: [10 * one for one in piece])
    [10, 20, 30]
    """
    results: list[Result] = []
    while len(results) < len(items):
        piece = items[len(results) : len(results) + size]
        try:
            results += work(piece)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or len(piece) == 1:
                raise
            size = len(piece) // 2
        else:
            continue
        if torch.cuda.is_available():  # outside the except clause, which holds on to what the failed piece held
            torch.cuda.empty_cache()
    return results


def out_of_memory(error: Exception) -> bool:
    """Return True if an error means that memory ran out."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    told = str(error).lower()
    return isinstance(error, RuntimeError) and ("not enough memory" in told or "can't allocate memory" in told)


def within_context(model: Any, tokens: int, more: int = 0) -> None:
    """Raise `BeliefBenchError` if a conversation and an answer of up to ``more`` tokens are more than the model takes.

    >>> from transformers import LlamaConfig
    >>> from types import SimpleNamespace
    >>> within_context(SimpleNamespace(config=LlamaConfig(max_position_embeddings=2048)), 3000)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    beliefbench.errors.BeliefBenchError: a conversation has 3,000 tokens, and the model takes 2,048; ...
    """
    longest = context_of(model.config.get_text_config())
    if longest is not None and tokens + more > longest:
        answer = f" and its answer up to {more:,}" if more else ""
        mend = "fewer rounds, a smaller answer_tokens, or another model" if more else "fewer rounds, or another model"
        raise BeliefBenchError(
            f"a conversation has {tokens:,} tokens{answer}, and the model takes {longest:,}; use {mend}."
        )


def context_of(config: Any) -> int | None:
    """Return the number of tokens that a model takes; None if nothing limits it.

    >>> from transformers import LlamaConfig
    >>> context_of(LlamaConfig(max_position_embeddings=2048))
    2048
    >>> from transformers import MptConfig
    >>> context_of(MptConfig(max_seq_len=1024))
    1024
    >>> scaled = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4}
    >>> context_of(LlamaConfig(max_position_embeddings=2048, rope_parameters=scaled))
    8192
    """
    longest = next(filter(None, (getattr(config, name, None) for name in CONTEXTS)), None)
    if not isinstance(longest, int) or longest <= 0:
        return None
    factors = [rope.get("factor") or 1.0 for rope in _ropes(config) if "dynamic" in _kind(rope)]
    return int(longest * min(factors, default=1.0))


def rope_limit(config: Any) -> int | None:
    """Return the longest text, in tokens, up to which a model's rotary embedding does not depend on the text's length;
    None if it never does; 0 if its kind is not known.

    >>> from transformers import LlamaConfig
    >>> scaled = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4}
    >>> rope_limit(LlamaConfig(max_position_embeddings=2048, rope_parameters=scaled)), rope_limit(LlamaConfig())
    (2047, None)
    """
    limits: list[int] = []
    for rope in _ropes(config):
        kind = _kind(rope)
        if kind == "longrope":
            own = getattr(config, "original_max_position_embeddings", None) or config.max_position_embeddings
            limits.append(rope.get("original_max_position_embeddings") or own)
        elif "dynamic" in kind:
            limits.append(config.max_position_embeddings - 1)
        elif kind not in FIXED_ROPES:
            limits.append(0)
    return min(limits, default=None)


def _ropes(config: Any) -> list[Any]:
    """Return the parameters of each rotary embedding of a model."""
    told = getattr(config, "rope_parameters", None) or {}
    return [told, *(one for one in told.values() if isinstance(one, dict))]


def _kind(rope: Any) -> str:
    return rope.get("rope_type") or "default"


@contextmanager
def memory_told() -> Iterator[None]:
    """Return the error for a single conversation that does not fit into memory."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise BeliefBenchError(
            "there is not enough memory for one question at a time; use a smaller model, or a machine with more."
        ) from error
