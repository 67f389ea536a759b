"""Synthetic domains: random items, features, layouts and users, with exact answers and the contract of any domain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from beliefbench.domain import OPTIONS, Domain, Feature
from beliefbench.students.synthetic import lexicon, lines, users
from beliefbench.students.synthetic.lexicon import invented
from beliefbench.students.synthetic.lines import Line

MAX_LINES = 8
SEPARATORS = (", ", ", ", "; ", "\n", "\n", "\n- ", " | ")
COLONS = (": ", ": ", ": ", " = ")

DrawUsers = Callable[[np.random.Generator, tuple[Line, ...]], np.ndarray]


@dataclass(frozen=True, eq=False)
class SyntheticDomain:
    """The lines of an option's text, their layout, and the users.

    Parameters
    ----------
    item, purpose
        The word for an option, and the purpose that the user states, as in `beliefbench.domain.Domain`.
    lines
        The lines of an option's text, in order.
    separator, colon
        The text between two lines, and the text between a label and its value.
    weights
        float64[hypotheses, columns]: one candidate user a row, all equally likely.
    """

    item: str
    purpose: str
    lines: tuple[Line, ...]
    separator: str
    colon: str
    weights: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, min_lines: int = 2, max_lines: int = MAX_LINES) -> SyntheticDomain:
        """Return a random domain.

        Its options have ``min_lines`` to ``max_lines`` lines that users can care about, or fewer in a catalogue (from 3
        lines on), and sometimes a title.

        >>> domain = SyntheticDomain.draw(np.random.default_rng(24), 2, 2)
        >>> print(domain.describe(domain.draw_options(np.random.default_rng(0), 1)[0, 0]))
        first visit: 12:28 PM, north owl: no
        """
        p_invented = float(rng.choice([0.0, 0.0, 0.3, 0.7]))
        drawn, draw_users = _draw_lines(rng, p_invented, int(rng.integers(min_lines, max_lines + 1)))
        order = rng.permutation(len(drawn))
        shuffled = _distinctly_labelled([drawn[at] for at in order])
        if rng.random() < (0.6 if draw_users is users.matching else 0.1):
            shuffled.insert(0, lines.title(rng, p_invented))
        if rng.random() < 0.3:
            shuffled = [replace(line, label=line.label.capitalize()) for line in shuffled]
        item = str(rng.choice(lexicon.ITEMS)) if rng.random() >= p_invented else invented(rng, 2).capitalize()
        purpose, separator, colon = (str(rng.choice(texts)) for texts in (lexicon.PURPOSES, SEPARATORS, COLONS))
        return cls(item, purpose, tuple(shuffled), separator, colon, draw_users(rng, tuple(shuffled)))

    @cached_property
    def features(self) -> tuple[slice, ...]:
        """The features of an option that each line shows."""
        return _slices([line.features for line in self.lines])

    @cached_property
    def columns(self) -> tuple[slice, ...]:
        """The columns of `weights` that belong to each line."""
        return _slices([line.columns for line in self.lines])

    @cached_property
    def column_means(self) -> np.ndarray:
        """The mean of each column over drawn options, float64[columns]."""
        return np.concatenate([line.column_means for line in self.lines])

    @cached_property
    def reward_sd(self) -> float:
        """The standard deviation of a user's reward over drawn options, as the root mean square over users.

        It is estimated from 32 options and about 200 users, and 1 where no user tells these options apart.
        """
        options = self.draw_options(np.random.default_rng(0), 32, 1)[:, 0]
        rewards = self.expand(options) @ self.weights[:: max(1, len(self.weights) // 200)].T
        return float(np.sqrt(np.square(rewards - rewards.mean(axis=0)).mean())) or 1.0

    def draw_options(self, rng: np.random.Generator, sets: int, options: int = OPTIONS) -> np.ndarray:
        """Return random option sets, float64[sets, options, features]; features are independent of each other."""
        return np.concatenate([line.draw(rng, (sets, options)) for line in self.lines], axis=-1)

    def expand(self, options: np.ndarray) -> np.ndarray:
        """Return the columns to which users give weights: float[..., features] -> float[..., columns]."""
        parts = zip(self.lines, self.features, strict=True)
        return np.concatenate([line.expand(options[..., part]) for line, part in parts], axis=-1)

    def describe(self, option: np.ndarray) -> str:
        """Return the text of an option, float[features]."""
        texts = []
        for line, part in zip(self.lines, self.features, strict=True):
            value = line.text(option[part])
            texts.append(value if line.kind == "title" else f"{line.label}{self.colon}{value}")
        return self.separator.join(texts)

    def as_domain(self, name: str) -> Domain:
        """Return the domain with a NumPyro model, as the rest of the package takes it."""
        return _as_domain(self, name)


def _draw_lines(rng: np.random.Generator, p_invented: float, count: int) -> tuple[list[Line], DrawUsers]:
    """Return the lines of an option that users can care about, and what draws the users."""
    layout = rng.random()
    if layout >= 0.7 and count >= 3:  # a catalogue
        drawn = [lines.attributes(rng, p_invented)]
        drawn += [lines.category(rng, p_invented) for _ in range(min(count - 1, int(rng.integers(1, 4))))]
        last = lines.ordered(rng, p_invented)
        return ([*drawn, last] if rng.random() < 0.7 else drawn), users.matching
    if layout < 0.55:  # a table of ordered features
        drawn = [(lines.yes_no if rng.random() < 0.1 else lines.ordered)(rng, p_invented) for _ in range(count)]
    else:  # ordered features and categories
        kinds = (lines.ordered, lines.ordered, lines.category, lines.yes_no)
        drawn = [kinds[int(rng.integers(len(kinds)))](rng, p_invented) for _ in range(count)]
    return drawn, users.linear if rng.random() < 0.8 else users.lexicographic


def _distinctly_labelled(drawn: list[Line]) -> list[Line]:
    """Return the lines with a number after each label that an earlier line has."""
    seen: dict[str, int] = {}
    found = []
    for line in drawn:
        seen[line.label] = seen.get(line.label, 0) + 1
        found.append(line if seen[line.label] == 1 else replace(line, label=f"{line.label} {seen[line.label]}"))
    return found


def _slices(sizes: list[int]) -> tuple[slice, ...]:
    ends = np.cumsum([0, *sizes]).tolist()
    return tuple(slice(start, stop) for start, stop in pairwise(ends))


def _as_domain(synthetic: SyntheticDomain, name: str) -> Domain:
    # Imported here: drawing interactions for a student needs neither.
    import jax
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    from beliefbench.choice_models.rules import ChoiceRule

    table, rule = synthetic.weights, ChoiceRule()
    parts = list(zip(synthetic.lines, synthetic.features, strict=True))

    def expand(options: Any) -> Any:
        found = []
        for line, part in parts:
            features = options[..., part]
            if line.kind == "category":
                index = jnp.rint(features[..., 0] * (len(line.values) - 1)).astype(int)
                features = jax.nn.one_hot(index, len(line.values), dtype=options.dtype)
            found.append(features[..., :0] if line.kind == "title" else features)
        return jnp.concatenate(found, axis=-1)

    def model(options: Any, choices: Any = None) -> None:
        person = numpyro.sample("person", dist.DiscreteUniform(0, len(table) - 1))
        reward = numpyro.deterministic("reward", expand(jnp.asarray(options)) @ jnp.asarray(table)[person])
        numpyro.sample("choice", dist.Categorical(probs=rule.probs(reward)), obs=choices)

    def draw(key: Any, sets: int) -> Any:
        columns = []
        with jax.enable_x64(True):
            for (line, _), line_key in zip(parts, jax.random.split(key, len(parts)), strict=True):
                shape = (sets, OPTIONS, line.features)
                if line.kind == "attributes":
                    columns.append((jax.random.uniform(line_key, shape) < line.share).astype(float))
                else:
                    columns.append(jnp.asarray(line.grid)[jax.random.randint(line_key, shape, 0, len(line.grid))])
            return jnp.concatenate(columns, axis=-1)

    features = tuple(
        Feature(f"line_{number}_{at}", line.label or "title", line.grid, str)
        for number, (line, _) in enumerate(parts)
        for at in range(line.features)
    )
    return Domain(
        name,
        "1",
        synthetic.item,
        features,
        model,
        draw,
        lambda option: synthetic.describe(np.asarray(option, dtype=float)),
        purpose=synthetic.purpose,
        parameters={
            "weights": table.tolist(),
            "lines": [[line.kind, line.label, *line.values] for line in synthetic.lines],
        },
    )
