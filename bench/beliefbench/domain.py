"""The domain contract: what options look like, how people choose among them, and how both are drawn.

A domain is a frozen value. Its NumPyro ``model`` is the source of truth: the simulated users
(``beliefbench.protocol.episodes``), the exact posterior and predictive (``beliefbench.exact.inference``) and the checks
(``beliefbench.checking.cross_check``) all derive from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from beliefbench.errors import BeliefBenchError
from beliefbench.folders import well_formed

OPTIONS = 3  # options a set, throughout the benchmark
DEEPEST = 50
"""Lists and objects in each other; a reader of JSON ends at some depth."""
LONGEST_NUMBER = 2**1024
JSON = "expected JSON: text, True, False, None, a finite number, a list, or a dict whose keys are text"


@dataclass(frozen=True)
class Feature:
    """One thing that options differ in.

    Parameters
    ----------
    name
        Identifier, as in the released files: ``"departure_time"``.
    label
        What a person reads before the value: ``"departure time"``.
    grid
        The values it takes, each in [0, 1], ascending.
    show
        ``show(value) -> str``: a value of the grid as a person reads it.
    lower, higher
        What a person prefers who likes low or high values, for the `Questionnaire`: ``"cheaper flights"``.

    >>> stops = Feature("number_of_stops", "number of stops", (0.0, 0.5, 1.0), lambda value: f"{2 * value:.0f}")
    >>> stops.show(0.5)
    '1'
    """

    name: str
    label: str
    grid: tuple[float, ...]
    show: Callable[[float], str]
    lower: str = ""
    higher: str = ""


@dataclass(frozen=True)
class Scale:
    """One question about what a person wants: how much they prefer ``higher`` (the last level) to ``lower`` (level 1).

    >>> Scale("price", "cheaper flights", "more expensive flights").label
    'price'
    """

    label: str
    lower: str
    higher: str


@dataclass(frozen=True)
class Questionnaire:
    """Questions whose answers say what a person wants (paper, section 3).

    Parameters
    ----------
    scales
        The questions.
    levels
        How many answers each has: 5, of which 1 is "I strongly prefer (lower)" and 3 "I have no strong preference".
    answers
        ``answers(latents) -> int[hypotheses, scales]``: what each hypothesis answers, from 0; latents as in
        `beliefbench.exact.latents.LatentSpace.values`.
    """

    scales: tuple[Scale, ...]
    levels: int
    answers: Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True, eq=False)
class Recorded:
    """Recorded users, in place of simulated ones: the options that they saw, and their choices.

    Parameters
    ----------
    options, chosen
        float[users, rounds, 3, features] and int[users, rounds].
    heldout, truth
        float[heldout, 3, features], or float[users, heldout, 3, features] where each user has their own; and int[users,
        heldout], their choices in these sets.
    latents
        {latent site: value[users]}: their true latents; None if they are unknown.
    """

    options: np.ndarray
    chosen: np.ndarray
    heldout: np.ndarray
    truth: np.ndarray
    latents: Mapping[str, np.ndarray] | None = None


@dataclass(frozen=True, eq=False)
class Domain:
    """A domain: options, features, and a model of how users choose. Domains are compared and hashed by identity.

    Parameters
    ----------
    name, version
        ``"flights"``, ``"1"``. Increase the version when numbers are no longer comparable: it is part of every run's
        identity.
    item
        The word for one option: ``"Flight"``.
    features
        The columns of an option.
    model
        NumPyro model ``model(options, choices=None)`` with options float[rounds, 3, features] and choices int[rounds]
        (or None). Its latent sites are discrete and finite; its observed site ``"choice"`` has batch shape [rounds];
        rounds are independent given the latents. It may record ``"reward"``, float[rounds, 3], as a deterministic site;
        some agents need it.
    draw
        ``draw(key, sets) -> float[sets, 3, features]``, traceable by JAX. It may keep an identity (a product's
        number) in a feature that the model does not use, so that ``describe`` can name it.
    describe
        ``describe(option)`` -> the text of one option, float[features], without the leading ``"Flight 1: "``.
    purpose
        The purpose of the options, as a person says it: ``"for my trips"``.
    information
        Target for the information gain of each round, in nats (`beliefbench.informative`); None: sets as ``draw`` gives
        them.
    heldout
        ``"shared"``: all users have the same held-out sets; ``"own"``: every user has sets of their own.
    recorded
        The recorded users, if there are any. Then ``user_model`` and ``draw`` are not used.
    user_model
        The model that users are simulated from, with the same latent sites. Default: ``model``.
    pymc_model
        ``pymc_model(options, choices) -> pymc.Model``: the same model written independently, with the same names of
        latent sites. ``beliefbench check`` compares the two.
    questionnaire
        Questions about a person's preferences; None if answers would not depend on the latents.
    vary
        ``vary(key="value", ...) -> Domain``: the domain with other settings, as the SPEC ``flights,user_lapse=0.2``
        asks for. Raises ``ValueError`` for an unknown setting.
    parameters
        Everything else that the numbers depend on, as JSON values; part of every run's identity.
    """

    name: str
    version: str
    item: str
    features: tuple[Feature, ...]
    model: Callable[..., Any]
    draw: Callable[[Any, int], Any]
    describe: Callable[[np.ndarray], str]
    purpose: str = ""
    information: float | None = None
    heldout: Literal["shared", "own"] = "shared"
    recorded: Recorded | None = None
    user_model: Callable[..., Any] = None  # type: ignore[assignment]  # set to `model` below
    pymc_model: Callable[..., Any] | None = None
    questionnaire: Questionnaire | None = None
    vary: Callable[..., Domain] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.user_model is None:
            object.__setattr__(self, "user_model", self.model)

    def identity(self) -> dict[str, Any]:
        """Return what identifies this domain's numbers, as JSON values; raise `BeliefBenchError` if its parameters are
        none."""
        return {"name": self.name, "version": self.version, "parameters": json_value(self.parameters, "parameters")}


def describe_features(features: tuple[Feature, ...]) -> Callable[[np.ndarray], str]:
    """Return the usual ``describe``: ``label: value`` for each feature, separated by commas (paper, section 1).

    >>> stops = Feature("number_of_stops", "number of stops", (0.0, 0.5, 1.0), lambda value: f"{2 * value:.0f}")
    >>> describe_features((stops,))(np.array([1.0]))
    'number of stops: 2'
    """

    def describe(option: np.ndarray) -> str:
        values = np.asarray(option, dtype=float)
        if values.shape != (len(features),):
            raise ValueError(f"an option has {len(features)} features; got an array of shape {values.shape}")
        return ", ".join(f"{f.label}: {f.show(float(v))}" for f, v in zip(features, values, strict=True))

    return describe


def json_value(value: Any, what: str, depth: int = DEEPEST) -> Any:
    """Return a value as it comes back from JSON: a tuple as a list, and text as UTF-8 can hold it.

    Raises
    ------
    BeliefBenchError
        If it is no JSON value; ``what`` names it in the message. NumPy's values are none: call ``.item()`` or
        ``.tolist()``.

    >>> json_value({"widths": (1, 2)}, "identity()")
    {'widths': [1, 2]}
    >>> json_value({"seen": {1, 2}}, "identity()")
    Traceback (most recent call last):
    beliefbench.errors.BeliefBenchError: identity()['seen'] is a set; expected JSON: text, True, False, None, a finite \
number, a list, or a dict whose keys are text.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return well_formed(str.__str__(value))
    if isinstance(value, int) and abs(value) < LONGEST_NUMBER:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, (list, tuple)) and depth:
        return [json_value(one, f"{what}[{at}]", depth - 1) for at, one in enumerate(value)]
    if isinstance(value, Mapping) and depth:
        for key in value:
            if not isinstance(key, str):
                raise BeliefBenchError(f"{what} has a key of type {type(key).__name__}; {JSON}.")
        return {well_formed(key): json_value(one, f"{what}[{key[:40]!r}]", depth - 1) for key, one in value.items()}
    raise BeliefBenchError(f"{what} is {_described(value)}; {JSON}.")


def _described(value: Any) -> str:
    if isinstance(value, (list, tuple, Mapping)):
        return f"more than {DEEPEST} deep"
    if isinstance(value, float):
        return str(float(value))
    if isinstance(value, int):
        return "a number of hundreds of digits"
    return f"a {type(value).__name__}"
