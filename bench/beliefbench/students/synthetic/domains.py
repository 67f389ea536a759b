"""Synthetic domains, in the contract of every domain: drawn from a seed, with users whose exact answer is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from beliefbench.domain import OPTIONS, Domain, Feature
from beliefbench.students.synthetic import lexicon, lines, users
from beliefbench.students.synthetic.lexicon import invented
from beliefbench.students.synthetic.lines import Line

MAX_LINES = 8
SEPARATORS = (", ", ", ", "; ", "\n", "\n", "\n- ", " | ")


@dataclass(frozen=True, eq=False)
class SyntheticDomain:
    """What options say, how their text is laid out, and who chooses among them.

    Parameters
    ----------
    item, purpose
        The word for an option, and what it is wanted for.
    lines
        The lines of an option's text, in order.
    separator, colon
        What stands between two lines, and between a label and its value.
    weights
        float64[hypotheses, columns]: a row a candidate user, each equally likely.
    """

    item: str
    purpose: str
    lines: tuple[Line, ...]
    separator: str
    colon: str
    weights: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, min_lines: int = 2, max_lines: int = MAX_LINES) -> SyntheticDomain:
        """Return a domain with a number of lines that a user may care about."""
        strange = float(rng.choice([0.0, 0.0, 0.3, 0.7]))
        count = int(rng.integers(min_lines, max_lines + 1))
        table = rng.random()
        make: Callable[[np.random.Generator, tuple[Line, ...]], np.ndarray]
        if table < 0.55:  # a table of ordered features
            drawn = [(lines.yes_no if rng.random() < 0.1 else lines.ordered)(rng, strange) for _ in range(count)]
            make = users.linear if rng.random() < 0.8 else users.lexicographic
        elif table < 0.7 or count < 3:  # ordered features and categories
            kinds = [lines.ordered, lines.ordered, lines.category, lines.yes_no]
            drawn = [kinds[int(rng.integers(len(kinds)))](rng, strange) for _ in range(count)]
            make = users.linear if rng.random() < 0.8 else users.lexicographic
        else:  # a catalogue
            drawn = [lines.attributes(rng, strange)]
            drawn += [lines.category(rng, strange) for _ in range(min(count - 1, int(rng.integers(1, 4))))]
            drawn += [lines.ordered(rng, strange)] * (rng.random() < 0.7)
            make = users.matching
        order = rng.permutation(len(drawn))
        shuffled = _relabelled([drawn[at] for at in order])
        if rng.random() < (0.6 if make is users.matching else 0.1):
            shuffled.insert(0, lines.title(rng, strange))
        if rng.random() < 0.3:
            shuffled = [Line(one.kind, one.label.capitalize(), one.values, one.share) for one in shuffled]
        word = str(rng.choice(lexicon.ITEMS)) if rng.random() >= strange else invented(rng, 1).capitalize()
        return cls(
            word,
            str(rng.choice(lexicon.PURPOSES)),
            tuple(shuffled),
            str(rng.choice(SEPARATORS)),
            str(rng.choice([": ", ": ", ": ", " = ", " "])),
            make(rng, tuple(shuffled)),
        )

    @cached_property
    def features(self) -> tuple[slice, ...]:
        """The features of an option that each line shows."""
        return _slices([line.features for line in self.lines])

    @cached_property
    def columns(self) -> tuple[slice, ...]:
        """The columns of `weights` that each line holds."""
        return _slices([line.columns for line in self.lines])

    @cached_property
    def mean(self) -> np.ndarray:
        """The mean of each column over drawn options, float[columns]."""
        means = {"ordered": lambda line: np.array([0.5]), "attributes": lambda line: np.full(line.columns, line.share)}
        return np.concatenate(
            [
                means.get(line.kind, lambda line: np.full(line.columns, 1 / max(1, line.columns)))(line)
                for line in self.lines
            ]
        )

    @cached_property
    def spread(self) -> float:
        """The root mean square, over users and drawn options, of a reward's distance from its mean."""
        options = self.draw_options(np.random.default_rng(0), 32, 1)[:, 0]
        rewards = self.expand(options) @ self.weights[:: max(1, len(self.weights) // 200)].T
        return float(np.sqrt(np.square(rewards - rewards.mean(axis=0)).mean())) or 1.0

    def draw_options(self, rng: np.random.Generator, sets: int, options: int = OPTIONS) -> np.ndarray:
        """Return option sets, float64[sets, options, features]; every feature uniform and independent."""
        columns = [
            (rng.random((sets, options, line.features)) < line.share).astype(float)
            if line.kind == "attributes"
            else np.array(line.grid)[rng.integers(0, len(line.grid), (sets, options, 1))]
            for line in self.lines
        ]
        return np.concatenate(columns, axis=-1)

    def expand(self, options: np.ndarray) -> np.ndarray:
        """Return what users weigh: float[..., features] -> float[..., columns]."""
        return np.concatenate(
            [line.expand(options[..., part]) for line, part in zip(self.lines, self.features, strict=True)], axis=-1
        )

    def describe(self, option: np.ndarray) -> str:
        """Return the text of one option, float[features]."""
        texts = []
        for line, part in zip(self.lines, self.features, strict=True):
            value = ", ".join(text for text, _ in line.parts(option[part])) or "none"
            texts.append(value if line.kind == "title" else f"{line.label}{self.colon}{value}")
        return self.separator.join(texts)

    def domain(self, name: str) -> Domain:
        """Return the domain as anything in the suite takes it, with a NumPyro model."""
        return _as_domain(self, name)


def _relabelled(drawn: list[Line]) -> list[Line]:
    """Return the lines with a number after each label that was there before."""
    seen: dict[str, int] = {}
    found = []
    for line in drawn:
        seen[line.label] = seen.get(line.label, 0) + 1
        label = line.label if seen[line.label] == 1 else f"{line.label} {seen[line.label]}"
        found.append(Line(line.kind, label, line.values, line.share))
    return found


def _slices(sizes: list[int]) -> tuple[slice, ...]:
    ends = np.cumsum([0, *sizes])
    return tuple(slice(int(start), int(stop)) for start, stop in zip(ends[:-1], ends[1:], strict=True))


def _as_domain(made: SyntheticDomain, name: str) -> Domain:
    import jax
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    from beliefbench.choice_models.rules import ChoiceRule

    table, rule = made.weights, ChoiceRule()
    parts = list(zip(made.lines, made.features, strict=True))

    def expand(options: Any) -> Any:
        found = []
        for line, part in parts:
            features = options[..., part]
            if line.kind == "category":
                level = jnp.rint(features[..., 0] * (len(line.values) - 1)).astype(int)
                features = jax.nn.one_hot(level, len(line.values), dtype=options.dtype)
            found.append(features[..., :0] if line.kind == "title" else features)
        return jnp.concatenate(found, axis=-1)

    def model(options: Any, choices: Any = None) -> None:
        person = numpyro.sample("person", dist.DiscreteUniform(0, len(table) - 1))
        reward = numpyro.deterministic("reward", expand(jnp.asarray(options)) @ jnp.asarray(table)[person])
        numpyro.sample("choice", dist.Categorical(probs=rule.probs(reward)), obs=choices)

    def draw(key: Any, sets: int) -> Any:
        columns = []
        with jax.enable_x64(True):
            for (line, _), at in zip(parts, jax.random.split(key, len(parts)), strict=True):
                shape = (sets, OPTIONS, line.features)
                if line.kind == "attributes":
                    columns.append((jax.random.uniform(at, shape) < line.share).astype(float))
                else:
                    columns.append(jnp.asarray(line.grid)[jax.random.randint(at, shape, 0, len(line.grid))])
            return jnp.concatenate(columns, axis=-1)

    features = tuple(
        Feature(f"line_{at}_{one}", line.label or "title", line.grid, str)
        for at, (line, _) in enumerate(parts)
        for one in range(line.features)
    )
    return Domain(
        name,
        "1",
        made.item,
        features,
        model,
        draw,
        lambda option: made.describe(np.asarray(option, dtype=float)),
        purpose=made.purpose,
        parameters={"weights": table.tolist(), "lines": [[line.kind, line.label, *line.values] for line in made.lines]},
    )
