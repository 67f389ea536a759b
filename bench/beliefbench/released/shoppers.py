"""The paper's web-shopping users: texts and goals without a catalogue, as domains with recorded users.

Attributes and option values are read from the text of an offer (`beliefbench.released.offers`). The authors' scores use
more than the texts say, so stored choices can contradict every goal. The exact answer then uses a choice rule with a
lapse rate, fitted on the other users, whose goals are known. The domain's parameters record this.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from beliefbench.choice_models.rules import ChoiceRule
from beliefbench.choice_models.shopping import slugs, yes_or_no
from beliefbench.domain import OPTIONS, Domain, Feature, Recorded
from beliefbench.errors import UsageError
from beliefbench.protocol.episodes import choice_probs
from beliefbench.released.files import Interaction, ShopperHeldout, Texts, split_option
from beliefbench.released.offers import Offer, Wanted, file_of, paired, read_offer, score_agreement, stripped, wanted_by
from beliefbench.released.people import LAPSES, leave_one_out, with_lapse

MAX_GOALS = 1_000_000
NOT_STATED = "(not stated)"


def shopper_domain(name: str, users: Sequence[Interaction], heldout: Sequence[ShopperHeldout]) -> Domain:
    """Return the domain of the shoppers in an interaction file of one category and in its held-out file.

    The features of an offer are: 0 or 1 for each attribute that some user in the file wants; for each option type that
    some user wants, the position of the value among the values seen, with "(not stated)" first; the number of the text,
    which only ``describe`` uses, to return the text unchanged; and the user's lapse rate, which only the model reads.

    The hypotheses are all combinations of wanted attributes and option values that have as many of each as some user's
    goal (two and two in the paper). Reward = the matched share of the goal. The user takes the best option unless they
    lapse. If users have different numbers of held-out sets, the smallest number is used for all.

    Parameters
    ----------
    users, heldout
        One entry per user in both: in any order if all have an ``idx``, otherwise in the same order.

    Raises
    ------
    UsageError
        If the two files do not belong together, a user has no goal, or there are too few users, texts or goals, or too
        many goals.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from beliefbench.released.files import read_interactions, read_shopper_heldout
    >>> file, lines = Path(tempfile.mkdtemp()) / "beds.jsonl", []
    >>> texts = ["Product 1: Bed\\nColor: Red", "Product 2: Bed\\nColor: Blue", "Product 3: Cot"]
    >>> for color, chosen in (("red", 0), ("blue", 1)):
    ...     asked = {"options": texts, "user_idx": chosen, "score": [0, 0, 0]}
    ...     goal = {"goal_attrs": [], "goal_options": {"color": color}}
    ...     lines.append(json.dumps({**goal, "rounds": [asked], "all_options": [asked]}))
    >>> _ = file.write_text("\\n".join(lines))  # both files in one: fields that are not needed are passed over
    >>> domain = shopper_domain("released/webshop-beds", read_interactions(file), read_shopper_heldout(file))
    >>> domain.describe(domain.recorded.options[0, 0, 1])
    'Bed\\nColor: Blue'
    """
    if len(users) < 2:
        raise UsageError(f"{file_of(users)}: a lapse is fitted on other users; expected 2 users or more.")
    answered, wanted = paired(users, heldout), [wanted_by(user) for user in users]
    held = min(len(own.options) for own in answered)
    rounds = [[stripped(texts) for texts in user.options] for user in users]
    sets = [[stripped(texts) for texts in own.options[:held]] for own in answered]
    columns = _Columns(users[0], wanted, [text for own in (*rounds, *sets) for texts in own for text in texts])
    options, asked = columns.values(rounds), columns.values(sets)
    chosen = np.array([user.chosen for user in users])
    truth = np.array([own.chosen[:held] for own in answered])
    base = Domain(
        name=name,
        version="1",
        item=split_option(users[0].options[0][0], 1)[0],
        features=columns.features,
        model=_model(columns),
        draw=columns.draw,
        describe=columns.describe,
        heldout="own",
    )
    numbers = {goal: number for number, goal in enumerate(columns.goals)}
    latents = {"goal": np.array([numbers[goal] for goal in wanted])}
    lapses = known_goal_lapses(base, latents, options, chosen)
    column = lapses[:, None, None, None]
    options, asked = (
        np.concatenate([values, np.broadcast_to(column, (*values.shape[:-1], 1))], axis=-1)
        for values in (options, asked)
    )
    everything = json.dumps([rounds, sets, chosen.tolist(), truth.tolist(), wanted, lapses.tolist()])
    return replace(
        with_lapse(base, lapses.tolist()),
        recorded=Recorded(options, chosen, asked, truth, latents),
        parameters={
            "goals": len(columns.goals),
            "exact_answer": (
                "reads what an offer has from its text, which does not tell all that the stored scores rest on, and "
                f"takes a share of choices for random, {lapses.min():.0%} to {lapses.max():.0%}, fitted for each user "
                "on all the others"
            ),
            "scores_reproduced": list(score_agreement(users, heldout)),
            "recorded": hashlib.sha256(everything.encode()).hexdigest(),
        },
    )


def known_goal_lapses(
    domain: Domain, latents: Mapping[str, np.ndarray], options: np.ndarray, chosen: np.ndarray
) -> np.ndarray:
    """Return for each user the lapse rate that maximises the likelihood of all other users' choices, float64[users], in
    steps of 0.02.

    The known goals determine the rate far better than choices alone: with thousands of possible goals, the five rounds
    of nine users can leave any rate from 20% to 98% about equally likely.

    Parameters
    ----------
    domain
        The domain, without a lapse in its model.
    latents, options, chosen
        {latent site: value[users]}, float[users, rounds, 3, features] and int[users, rounds].
    """
    probs = choice_probs(domain, dict(latents), options)
    taken = np.take_along_axis(probs, chosen[..., None], axis=-1)
    grid = np.array(LAPSES)
    return leave_one_out(np.log((1 - grid) * taken + grid / OPTIONS).sum(axis=1))


class _Columns:
    """The columns of an offer, and all possible goals."""

    def __init__(self, user: Interaction, wanted: Sequence[Wanted], texts: Iterable[str]) -> None:
        self.texts = tuple(dict.fromkeys(texts))
        if len(self.texts) < OPTIONS:
            raise UsageError(f"{user.file}: {len(self.texts)} different options; expected {OPTIONS} or more.")
        offers = [read_offer(text) for text in self.texts]
        self.attributes = tuple(sorted({name for goal in wanted for name in goal.attributes}))
        values = sorted({value for goal in wanted for value in goal.values})
        self.places: dict[str, dict[str, int]] = {}
        for kind in dict.fromkeys(kind for kind, _ in values):
            seen = {offer.values[kind] for offer in offers if kind in offer.values}
            every = (NOT_STATED, *sorted(seen | {value for of, value in values if of == kind}))
            self.places[kind] = {value: place for place, value in enumerate(every)}
        shapes = sorted({(len(goal.attributes), len(goal.values)) for goal in wanted})
        self.goals = tuple(
            islice((goal for shape in shapes for goal in _goals(self.attributes, values, *shape)), MAX_GOALS + 1)
        )
        if not 2 <= len(self.goals) <= MAX_GOALS:
            found = "1 goal" if len(self.goals) == 1 else f"more than {MAX_GOALS:,} goals"
            raise UsageError(f"{user.file}: what its users want makes {found}; expected 2 to {MAX_GOALS:,}.")
        self.table = np.array([self._row(number, offer) for number, offer in enumerate(offers)])
        self.features = (
            *(Feature(f"has_{slug}", name, (0.0, 1.0), yes_or_no) for slug, name in slugs(self.attributes)),
            *(_listed(f"option_{slug}", kind, tuple(self.places[kind])) for slug, kind in slugs(tuple(self.places))),
            _listed("text", "text", self.texts),
        )

    def _row(self, number: int, offer: Offer) -> list[float]:
        has = [float(offer.has(name)) for name in self.attributes]
        own = [places[offer.values.get(kind, NOT_STATED)] / (len(places) - 1) for kind, places in self.places.items()]
        return [*has, *own, number / (len(self.texts) - 1)]

    def values(self, sets: list[list[Texts]]) -> np.ndarray:
        """Return the features of texts, [users][sets][3] -> float64[users, sets, 3, features]."""
        numbers = {text: number for number, text in enumerate(self.texts)}
        return self.table[[[[numbers[text] for text in texts] for texts in own] for own in sets]]

    def draw(self, key: Any, sets: int) -> jax.Array:
        """Return sets of three different recorded texts, float64[sets, 3, features]."""
        with jax.enable_x64(True):
            keys = jax.random.split(key, sets)
            numbers = jax.vmap(lambda at: jax.random.permutation(at, len(self.texts))[:OPTIONS])(keys)
            return jnp.asarray(self.table)[numbers]

    def describe(self, option: np.ndarray) -> str:
        """Return the text of an offer, float[features], as it was recorded."""
        option = np.asarray(option, dtype=float)
        if option.shape != (len(self.features),):
            raise ValueError(f"an option has {len(self.features)} features; got an array of shape {option.shape}")
        return self.features[-1].show(float(option[-1]))


def _model(columns: _Columns) -> Callable[..., None]:
    goals, kinds = columns.goals, list(columns.places)
    # A slot for each thing wanted; goals that want fewer leave the last ones at a weight of 0.
    has, has_weight = _slots(goals, lambda goal: [columns.attributes.index(name) for name in goal.attributes])
    kind, kind_weight = _slots(goals, lambda goal: [kinds.index(name) for name, _ in goal.values])
    place, _ = _slots(goals, lambda goal: [columns.places[name][value] for name, value in goal.values])
    steps = np.array([len(columns.places[name]) - 1 for name in kinds])

    def model(options: Any, choices: Any = None) -> None:
        options = jnp.asarray(options)
        goal = numpyro.sample("goal", dist.DiscreteUniform(0, len(goals) - 1))
        reward = jnp.zeros(options.shape[:-1], options.dtype)
        for slot in range(has.shape[1]):
            reward += jnp.asarray(has_weight)[goal, slot] * jnp.take(options, jnp.asarray(has)[goal, slot], axis=-1)
        for slot in range(kind.shape[1]):
            at = jnp.asarray(kind)[goal, slot]
            stated = jnp.take(options, len(columns.attributes) + at, axis=-1) * jnp.asarray(steps)[at]
            matched = jnp.rint(stated) == jnp.asarray(place)[goal, slot]
            reward += jnp.asarray(kind_weight)[goal, slot] * matched
        reward = numpyro.deterministic("reward", reward)
        numpyro.sample("choice", dist.Categorical(probs=ChoiceRule().probs(reward)), obs=choices)

    return model


def _slots(goals: Sequence[Wanted], wanted: Callable[[Wanted], list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the wanted things of each goal, int[goals, slots], and the weight of each slot, float[goals, slots]: 1 /
    size, or 0."""
    rows = [wanted(goal) for goal in goals]
    most = max(map(len, rows))
    numbers = np.array([row + [0] * (most - len(row)) for row in rows], dtype=int).reshape(len(rows), most)
    used = np.arange(most) < np.array([len(row) for row in rows])[:, None]
    return numbers, used / np.array([goal.size for goal in goals])[:, None]


def _goals(names: Sequence[str], values: Sequence[tuple[str, str]], attributes: int, options: int) -> Iterable[Wanted]:
    for some in combinations(names, attributes):
        for chosen in combinations(values, options):
            if len(dict(chosen)) == options:
                yield Wanted(some, chosen)


def _listed(name: str, label: str, values: tuple[str, ...]) -> Feature:
    steps = len(values) - 1
    return Feature(
        name, label, tuple(place / steps for place in range(steps + 1)), lambda at: values[round(at * steps)]
    )
