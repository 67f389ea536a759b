"""The users of a synthetic domain: tables of candidate weights. Each row is a hypothesis; all are equally likely.

Every user chooses the option with the largest weighted sum of its columns, and breaks ties uniformly at random. So one
matrix product gives the rewards of all kinds of users:

- linear: a weight for each column (paper, section 1);
- lexicographic: the first line that tells two options apart decides. Weights fall faster than a line has values;
- matching: a user counts the wanted attributes and categories. Ties are decided by an ordered line, or at random.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from beliefbench.students.synthetic.lines import Line

MAX_LINEAR, MAX_OTHERS = 16_000, 4_000
LEVELS = (*[(-1.0, -0.5, 0.0, 0.5, 1.0)] * 3, (-1.0, 0.0, 1.0), (-1.0, 1.0))
"""The sets of weights of linear users; one set is drawn for each domain."""


def linear(rng: np.random.Generator, lines: tuple[Line, ...]) -> np.ndarray:
    """Return linear users, float64[hypotheses, columns], without the user whose weights are all 0.

    A table that would be larger than twice `MAX_LINEAR` is a random sample of it, with replacement.

    >>> linear(np.random.default_rng(4), (Line("scale", "size", ("small", "large")),)).tolist()
    [[-1.0], [1.0]]
    """
    columns = sum(line.columns for line in lines)
    levels = np.array(LEVELS[int(rng.integers(len(LEVELS)))])
    if len(levels) ** columns <= 2 * MAX_LINEAR:
        table = np.stack(np.meshgrid(*[levels] * columns, indexing="ij"), axis=-1).reshape(-1, columns)
    else:
        table = rng.choice(levels, (MAX_LINEAR, columns))
    return _at_most(rng, table[(table != 0).any(axis=1)])


def lexicographic(rng: np.random.Generator, lines: tuple[Line, ...]) -> np.ndarray:
    """Return lexicographic users, float64[hypotheses, columns]: an order of columns, and a direction for each.

    >>> table = lexicographic(np.random.default_rng(0), (Line("scale", "size", ("small", "large")),) * 2)
    >>> len(table), table[0].tolist()
    (8, [-1.0, -0.3333333333333333])
    """
    columns = sum(line.columns for line in lines)
    steps = max(len(line.values) for line in lines) + 1
    # At most 5 columns have weights, so that the smallest weight is far above rounding errors.
    ranked = min(columns, 5 if steps <= 12 else 4)
    signs = np.array(list(product((-1.0, 1.0), repeat=ranked)))
    orders = np.argsort(rng.random((MAX_OTHERS // len(signs), columns)), axis=1)[:, :ranked]
    orders = np.unique(orders, axis=0)
    table = np.zeros((len(orders), len(signs), columns))
    sizes = float(steps) ** -np.arange(ranked)
    np.put_along_axis(table, np.repeat(orders[:, None], len(signs), axis=1), signs[None] * sizes, axis=2)
    return _at_most(rng, table.reshape(-1, columns))


def matching(rng: np.random.Generator, lines: tuple[Line, ...]) -> np.ndarray:
    """Return matching users, float64[`MAX_OTHERS`, columns].

    All users of a domain want as many attributes and categories as each other, and use the same ordered line. The lines
    need an attribute and a category.
    """
    starts = np.cumsum([0] + [line.columns for line in lines])
    placed = list(zip(lines, starts[:-1].tolist(), strict=True))
    attributes = [start + at for line, start in placed if line.kind == "attributes" for at in range(line.columns)]
    categories = [(start, line.columns) for line, start in placed if line.kind == "category"]
    deciding = [start for line, start in placed if line.ordered]
    attributes_wanted = min(len(attributes), int(rng.integers(1, 4)))
    categories_wanted = int(rng.integers(1, len(categories) + 1))
    sign = float(rng.choice([-1, -1, 1]))
    table = np.zeros((MAX_OTHERS, starts[-1]))
    order = np.argsort(rng.random((len(table), len(attributes))), axis=1)[:, :attributes_wanted]
    np.put_along_axis(table, np.array(attributes)[order], 1, axis=1)
    order = np.argsort(rng.random((len(table), len(categories))), axis=1)[:, :categories_wanted]
    for number, (start, size) in enumerate(categories):
        wanted = (order == number).any(axis=1).astype(float)
        np.put_along_axis(table, start + rng.integers(0, size, (len(table), 1)), wanted[:, None], axis=1)
    if deciding:
        table[:, deciding[int(rng.integers(len(deciding)))]] = sign / 2 if rng.random() < 0.8 else 0.0
    return table


def _at_most(rng: np.random.Generator, table: np.ndarray) -> np.ndarray:
    """Return the table, or a random sample of `MAX_LINEAR` of its rows."""
    if len(table) <= MAX_LINEAR:
        return table
    return table[np.sort(rng.permutation(len(table))[:MAX_LINEAR])]
