"""Choice rules: from the rewards of the options to the probability that a person chooses each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import reduce
from typing import Any, Literal

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class ChoiceRule:
    """How a person chooses, given the reward of each option.

    Parameters
    ----------
    temperature
        0: the best option, ties broken uniformly at random. Above 0: P(option) proportional to exp(reward /
        temperature).
    lapse
        The share of choices that are made at random instead, in [0, 1].
    lapse_to
        The options that a lapse picks from, uniformly: ``"any"`` option, or the ``"other"`` options, which are not the
        best (as in the paper's noise). If all options are best, there is no lapse to ``"other"``.

    >>> [round(float(share), 3) for share in ChoiceRule(lapse=0.3, lapse_to="other").probs(jnp.array([0.2, 0.7, 0.1]))]
    [0.15, 0.7, 0.15]
    """

    temperature: float = 0.0
    lapse: float = 0.0
    lapse_to: Literal["any", "other"] = "any"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"a temperature is 0 or more; got {self.temperature}")
        if not 0 <= self.lapse <= 1:
            raise ValueError(f"a lapse rate is from 0 to 1; got {self.lapse}")
        if self.lapse_to not in ("any", "other"):
            raise ValueError(f"a lapse goes to 'any' option or to the 'other' ones; got {self.lapse_to!r}")

    def probs(self, reward: jax.Array) -> jax.Array:
        """Return P(choice), float[..., 3], of rewards, float[..., 3]."""
        best = best_options(reward)
        own = (
            jax.nn.softmax((reward - _over_options(jnp.maximum, reward)) / self.temperature, axis=-1)
            if self.temperature
            else best * _one_of(_over_options(jnp.add, best.astype(reward.dtype)), best.shape[-1])
        )
        if not self.lapse:
            return own
        pool = jnp.ones_like(best) if self.lapse_to == "any" else ~best
        size = pool.sum(axis=-1, keepdims=True)
        elsewhere = pool / jnp.maximum(size, 1).astype(reward.dtype)
        return jnp.where(size > 0, (1 - self.lapse) * own + self.lapse * elsewhere, own)

    def changed(self, settings: Mapping[str, str], prefix: str = "") -> ChoiceRule:
        """Return the rule with the settings changed whose names begin with ``prefix``; the prefix is removed.

        >>> ChoiceRule().changed({"user_lapse": "0.2"}, prefix="user_").lapse
        0.2
        """
        mine = {key.removeprefix(prefix): value for key, value in settings.items() if key.startswith(prefix)}
        known = [one.name for one in fields(self)]
        for key in mine:
            if key not in known:
                raise ValueError(f"no setting '{prefix}{key}'; there are {', '.join(known)}, and user_ before each")
        numbers = {key: _number(prefix + key, value) for key, value in mine.items() if key != "lapse_to"}
        return replace(self, **{**mine, **numbers})  # type: ignore[arg-type]  # checked above and in __post_init__

    def parameters(self) -> dict[str, Any]:
        """Return the rule as JSON values."""
        return asdict(self)


def _number(setting: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise ValueError(f"{setting} is a number; got '{value}'") from error


def varied(
    rule: ChoiceRule, user_rule: ChoiceRule | None, settings: Mapping[str, str]
) -> tuple[ChoiceRule, ChoiceRule | None]:
    """Return the rule that the assistant assumes and the rule of the people, with settings changed. Settings that begin
    with ``user_`` change the people alone; the others change both. Raises ``ValueError`` for an unknown setting.

    >>> assistants, people = varied(ChoiceRule(), None, {"lapse": "0.2", "user_lapse": "0.4"})
    >>> assistants.lapse, people.lapse
    (0.2, 0.4)
    """
    shared = {key: value for key, value in settings.items() if not key.startswith("user_")}
    own = {key: value for key, value in settings.items() if key.startswith("user_")}
    changed = rule.changed(shared)
    people = None if user_rule is None and not own else (user_rule or rule).changed(shared).changed(own, prefix="user_")
    return changed, people


def pymc_probs(rule: ChoiceRule, reward: Any) -> Any:
    """Return P(choice) of rewards in PyTensor, float[..., 3]: `ChoiceRule.probs`, independently, for PyMC models."""
    import pytensor.tensor as pt

    wanted = pt.cast(pt.lt(pt.max(reward, axis=-1, keepdims=True) - reward, 1e-9), "float64")
    probs = wanted / pt.sum(wanted, axis=-1, keepdims=True)
    if rule.temperature > 0:
        odds = pt.exp((reward - pt.max(reward, axis=-1, keepdims=True)) / rule.temperature)
        probs = odds / pt.sum(odds, axis=-1, keepdims=True)
    if rule.lapse > 0:
        pool = 1 - wanted if rule.lapse_to == "other" else pt.ones_like(wanted)
        size = pt.sum(pool, axis=-1, keepdims=True)
        lapsed = (1 - rule.lapse) * probs + rule.lapse * pool / pt.maximum(size, 1)
        probs = pt.switch(pt.gt(size, 0), lapsed, probs)
    return probs


def best_options(reward: jax.Array) -> jax.Array:
    """Return which options are the best, bool[..., 3], of rewards, float[..., 3].

    Rewards within 1e-9 (1e-5 in single precision) of the largest tie with it. Rewards of the built-in domains are
    multiples of .025, so that no rounding error can make or break a tie.

    >>> best_options(jnp.array([0.2, 0.7, 0.7])).tolist()
    [False, True, True]
    """
    tolerance = 1e-9 if reward.dtype == jnp.float64 else 1e-5
    return reward >= _over_options(jnp.maximum, reward) - tolerance


def _one_of(count: jax.Array, most: int) -> jax.Array:
    """Return 1 / count, of a count from 1 to ``most``. It is looked up: a division takes a processor ten times as long.

    >>> _one_of(jnp.array([1.0, 2.0]), 3).tolist()
    [1.0, 0.5]
    """
    shares = jnp.full_like(count, 1 / most)
    for larger in range(most - 1, 0, -1):
        shares = jnp.where(count < larger + 0.5, 1 / larger, shares)
    return shares


def _over_options(combine: Callable[[Any, Any], Any], values: jax.Array) -> jax.Array:
    """Reduce the last axis, pair by pair: XLA makes faster code of it than of a reduction of three values."""
    return reduce(combine, [values[..., option] for option in range(values.shape[-1])])[..., None]
