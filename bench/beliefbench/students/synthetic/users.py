"""The users of a synthetic domain: tables of candidate weights, one row a hypothesis; each is as likely as any other.

Every kind of user chooses the option of the largest weighted sum, with ties broken at random, so that one product answers
for all of them:

- linear: a weight for each column (paper, section 1);
- lexicographic: the first line that tells options apart decides (weights that fall faster than a line's values);
- matching: a count of wanted attributes and categories, and ties decided by an ordered line, or at random.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from beliefbench.students.synthetic.lines import Line

MAX_HYPOTHESES = 3_000
LEVELS = ((-1.0, -0.5, 0.0, 0.5, 1.0), (-1.0, -0.5, 0.0, 0.5, 1.0), (-1.0, 0.0, 1.0), (-1.0, 1.0), (0.25, 0.5, 1.0))


def linear(rng: np.random.Generator, lines: tuple[Line, ...]) -> np.ndarray:
    """Return the table of people with a weight a column, float[hypotheses, columns], without the one who does not care."""
    columns = sum(line.columns for line in lines)
    levels = np.array(LEVELS[int(rng.integers(len(LEVELS)))])
    if len(levels) ** columns <= 2 * MAX_HYPOTHESES:
        table = np.stack(np.meshgrid(*[levels] * columns, indexing="ij"), axis=-1).reshape(-1, columns)
    else:
        table = rng.choice(levels, (MAX_HYPOTHESES, columns))
    return _at_most(rng, table[(table != 0).any(axis=1)])


def lexicographic(rng: np.random.Generator, lines: tuple[Line, ...]) -> np.ndarray:
    """Return the table of people with an order of importance and a direction for each column."""
    columns = sum(line.columns for line in lines)
    steps = max(len(line.values) for line in lines) + 1
    # At most 5 columns matter, so that the weights of the last are far above rounding errors.
    ranked = min(columns, 5 if steps <= 12 else 4)
    signs = np.array(list(product((-1.0, 1.0), repeat=ranked)))
    orders = np.argsort(rng.random((4 * MAX_HYPOTHESES // len(signs), columns)), axis=1)[:, :ranked]
    orders = np.array(sorted(set(map(tuple, orders.tolist()))))
    table = np.zeros((len(orders), len(signs), columns))
    worth = float(steps) ** -np.arange(ranked)
    np.put_along_axis(table, np.repeat(orders[:, None], len(signs), axis=1), signs[None] * worth, axis=2)
    return _at_most(rng, table.reshape(-1, columns))


def matching(rng: np.random.Generator, lines: tuple[Line, ...]) -> np.ndarray:
    """Return the table of people who want some attributes and categories; an ordered line may decide between equals."""
    starts = np.cumsum([0] + [line.columns for line in lines])
    attributes = [
        start + at
        for line, start in zip(lines, starts[:-1], strict=True)
        if line.kind == "attributes"
        for at in range(line.columns)
    ]
    categories = [
        (start, line.columns) for line, start in zip(lines, starts[:-1], strict=True) if line.kind == "category"
    ]
    deciding = [start for line, start in zip(lines, starts[:-1], strict=True) if line.kind == "ordered"]
    wanted = min(len(attributes), int(rng.integers(1, 4)))
    of_categories = int(rng.integers(min(1, len(categories)), len(categories) + 1)) if wanted else len(categories)
    sign = float(rng.choice([-1, -1, 1]))
    rows = np.zeros((MAX_HYPOTHESES, starts[-1]))
    if wanted:
        order = np.argsort(rng.random((len(rows), len(attributes))), axis=1)[:, :wanted]
        np.put_along_axis(rows, np.array(attributes)[order], 1, axis=1)
    order = np.argsort(rng.random((len(rows), len(categories))), axis=1)[:, :of_categories]
    for start, size, cares in zip(
        *np.array(categories or np.zeros((0, 2), int)).T, _members(order, len(categories)), strict=True
    ):
        np.put_along_axis(rows, start + rng.integers(0, size, (len(rows), 1)), cares[:, None], axis=1)
    if deciding:
        rows[:, deciding[int(rng.integers(len(deciding)))]] = sign / 2 if rng.random() < 0.8 else 0.0
    return rows


def _members(order: np.ndarray, count: int) -> np.ndarray:
    """Return which of ``count`` things each row of numbers names, float[count, rows]."""
    return (order[None] == np.arange(count)[:, None, None]).any(axis=-1).astype(float)


def _at_most(rng: np.random.Generator, table: np.ndarray) -> np.ndarray:
    if len(table) <= MAX_HYPOTHESES:
        return table
    return table[np.sort(rng.permutation(len(table))[:MAX_HYPOTHESES])]
