"""Random keys by path: every draw of the benchmark has a named key, so that the order of work cannot change it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

CHUNK = 1024  # rows a compiled call

# XLA's fusion emitters take longer to compile; JAX 0.11 has no option to do without.
PLAIN_FUSION = {"xla_cpu_use_fusion_emitters": False} if jax.__version_info__ < (0, 11) else {}

# For what runs in milliseconds: XLA's full optimisation of a random generator takes a second each time.
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 1, **PLAIN_FUSION})


def key(seed: int, *path: str | int) -> jax.Array:
    """Return the key at ``path`` below ``seed``: ``fold_in`` applied once for each part of the path.

    Parameters
    ----------
    seed
        0 .. 2**32 - 1.
    path
        Names (folded in by the first 32 bits of their SHA-256) and numbers (0 .. 2**32 - 1).

    >>> bool(key(0, "flights", 3) == key(0, "flights", 3))
    True
    >>> bool(key(0, "flights", 3) == key(0, "hotels", 3))
    False
    """
    at = jax.random.key(seed, impl="threefry2x32")
    for part in path:
        at = jax.random.fold_in(at, part if isinstance(part, int) else _number(part))
    return at


def keys_for(at: jax.Array, numbers: Any) -> jax.Array:
    """Fold each number into a key, or into each of several: ``key[...]``, ``int[n]`` -> ``key[..., n]``.

    >>> keys_for(keys_for(key(0), np.arange(4)), np.arange(3)).shape
    (4, 3)
    """
    fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    for _ in range(at.ndim):
        fold = jax.vmap(fold, in_axes=(0, None))
    return fold(at, jnp.asarray(numbers, jnp.uint32))


def path_keys(at: jax.Array, *numbers: Any) -> np.ndarray:
    """Return the raw keys at every combination of numbers below a key, the last fastest: uint32[combinations, 2].

    >>> path_keys(key(0), range(4), [7], range(3)).shape
    (12, 2)
    >>> bool((path_keys(key(0), [5], [1])[0] == jax.random.key_data(key(0, 5, 1))).all())
    True
    """
    paths = np.stack(np.meshgrid(*map(np.asarray, numbers), indexing="ij"), axis=-1).reshape(-1, len(numbers))
    if not len(paths):
        return np.empty((0, 2), np.uint32)
    return in_chunks(partial(_folded, jax.random.key_data(at)), paths.astype(np.uint32))


@quick_jit
def _folded(base: Any, paths: Any) -> Any:
    def fold(path: Any) -> Any:
        at = jax.random.wrap_key_data(base)
        for part in path:
            at = jax.random.fold_in(at, part)
        return jax.random.key_data(at)

    return jax.vmap(fold)(paths)


def in_chunks(function: Callable[..., Any], *arrays: Any) -> np.ndarray:
    """Return ``function(*arrays)``, worked out 1,024 rows at a time: one shape is compiled for any number of them.

    Parameters
    ----------
    arrays
        Arrays, or dicts of them, with as many rows; at least one. ``function`` treats each row alone.

    >>> in_chunks(lambda values: 2 * values, np.arange(3)).tolist()
    [0, 2, 4]
    """
    rows = len(jax.tree.leaves(arrays)[0])
    parts = []
    for first in range(0, rows, CHUNK):
        here = np.minimum(np.arange(first, first + CHUNK), rows - 1)  # the last row fills up
        parts.append(np.asarray(function(*jax.tree.map(lambda array, here=here: array[here], arrays))))
    return np.concatenate(parts)[:rows]


def permutation(at: jax.Array, number: int) -> np.ndarray:
    """Return 0 .. number - 1 in a random order, int[number].

    >>> sorted(permutation(key(0), 4).tolist())
    [0, 1, 2, 3]
    """
    return np.asarray(_permutation(at, number))


@partial(quick_jit, static_argnames="number")
def _permutation(at: Any, number: int) -> Any:
    return jax.random.permutation(at, number)


def uniform_per_set(keys: Any, stage: int, sets: int, width: int) -> np.ndarray:
    """Return uniform draws in [0, 1) by user, stage and set: float32[users, sets, width].

    >>> uniform_per_set(keys_for(key(0), np.arange(2)), stage=0, sets=5, width=3).shape
    (2, 5, 3)
    """
    return np.asarray(_uniform_per_set(keys, stage, sets, width))


@partial(quick_jit, static_argnames=("sets", "width"))
def _uniform_per_set(keys: Any, stage: Any, sets: int, width: int) -> Any:
    set_keys = keys_for(jax.vmap(lambda one: jax.random.fold_in(one, stage))(keys), jnp.arange(sets))
    return jax.vmap(jax.vmap(lambda one: jax.random.uniform(one, (width,), jnp.float32)))(set_keys)


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "backslashreplace")).digest()[:4], "big")
