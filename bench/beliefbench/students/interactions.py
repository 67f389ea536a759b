"""New interactions for each training step, with the teacher's answers and beliefs.

The users, their choices and the exact answer come from the domain's own NumPyro model. One compiled call draws all
interactions of a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from beliefbench.domain import Domain, describe_features
from beliefbench.draws import key
from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.exact.hypothesis import joint_terms, query_values
from beliefbench.exact.latents import latent_space
from beliefbench.exact.questionnaire import questionnaire_of
from beliefbench.protocol.episodes import check_draw, check_on_grid
from beliefbench.teaching.interactions import Recommender, Teacher

MAX_HYPOTHESES = 20_000
TRIED = 8
"""Option sets that are drawn to see how a domain describes them."""


@dataclass(frozen=True)
class Interactions:
    """Interactions, one per user. The last set of each is a question only; its choice is not shown.

    Parameters
    ----------
    options
        float64[users, sets, 3, features].
    levels
        int[users, sets, 3, features]: the options as positions in the grids of their features.
    chosen, recommended
        int[users, sets]: the user's choice, and the recommendation in the conversation.
    answers
        float32[users, sets, 3]: the teacher's answers; a hard answer is 1 for one option.
    beliefs
        float32[users, sets, features, levels]: the teacher's beliefs about the user before each set, as answers to the
        domain's questionnaire; a hard belief is 1 for one level.
    told
        float32[users, sets, features, levels]: the beliefs given this set's choice alone.
    """

    options: np.ndarray
    levels: np.ndarray
    chosen: np.ndarray
    recommended: np.ndarray
    answers: np.ndarray
    beliefs: np.ndarray
    told: np.ndarray


@dataclass(frozen=True)
class Source:
    """A source of interactions.

    Parameters
    ----------
    domain
        A domain with a question about each feature, such as those from `beliefbench.choice_models.linear`.
    teacher
        As in `beliefbench.teaching.interactions.TeachingTask`. Teachers answer the questionnaire in the same way as
        option sets: ``"posterior"`` with its distribution, ``"bayesian"`` with the likeliest level of each scale,
        ``"oracle"`` with the true level.
    history
        The agent that makes the recommendations in the conversation.
    rounds, seed
        Rounds with a visible choice (one more set is asked), and the seed of all draws.
    """

    domain: Domain
    teacher: Teacher
    history: Recommender
    rounds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        domain = self.domain
        scales = domain.questionnaire.scales if domain.questionnaire else ()
        if len(scales) != len(domain.features) or domain.user_model is not domain.model or domain.recorded:
            raise UsageError(
                f"no student can be taught on {domain.name}: it needs a domain of simulated users who follow its "
                "model, with a question about each feature."
            )
        if (size := latent_space(domain).size) > MAX_HYPOTHESES:
            raise UsageError(
                f"{domain.name} has {size:,} hypotheses; a student can be taught on {MAX_HYPOTHESES:,} at most."
            )
        _check_read_as_shown(domain)

    def draw(self, purpose: str, number: int, users: int) -> Interactions:
        """Return the interactions of a step. The draws differ from those of any run, and of any other purpose or
        number.

        >>> import beliefbench as bb
        >>> source = Source(bb.load_domain("flights-2"), "posterior", "bayesian")
        >>> drawn = source.draw("teaching", 0, users=4)
        >>> drawn.options.shape, drawn.answers.shape, drawn.beliefs.shape
        ((4, 6, 3, 2), (4, 6, 3), (4, 6, 2, 5))
        """
        domain = self.domain
        at = key(self.seed, f"{domain.name} (students)", purpose, number)
        with jax.enable_x64(True):
            drawn = {name: np.asarray(part) for name, part in _draw(domain, at, users, self.rounds + 1).items()}
        right, guessed = np.eye(3)[drawn["chosen"]], np.eye(3)[drawn["guess"]]
        for name in ("probs", "beliefs", "told"):
            # So written, NaN is refused too.
            if not ((drawn[name] >= 0).all() and (abs(drawn[name].sum(axis=-1) - 1) <= 1e-6).all()):
                raise BeliefBenchError(
                    f"{domain.name}: some exact probabilities are below 0, no numbers, or do not sum to 1, so nobody "
                    "can be taught them; fix its model."
                )
        answers = {"oracle": right, "bayesian": guessed, "posterior": drawn["probs"]}[self.teacher]
        form = questionnaire_of(domain)
        truth = np.broadcast_to(np.eye(form.levels)[drawn["truth"]][:, None], drawn["beliefs"].shape)
        beliefs, told = (self._believed(truth, drawn, part) for part in ("beliefs", "told"))
        grids = [np.asarray(feature.grid) for feature in domain.features]
        levels = [abs(drawn["options"][..., at, None] - grid).argmin(axis=-1) for at, grid in enumerate(grids)]
        return Interactions(
            drawn["options"],
            np.stack(levels, axis=-1),
            drawn["chosen"],
            drawn["chosen"] if self.history == "oracle" else drawn["guess"],
            answers.astype(np.float32),
            beliefs,
            told,
        )

    def _believed(self, truth: np.ndarray, drawn: dict[str, np.ndarray], part: str) -> np.ndarray:
        if self.teacher == "oracle":
            return truth.astype(np.float32)
        if self.teacher == "posterior":
            return drawn[part].astype(np.float32)
        return np.eye(truth.shape[-1], dtype=np.float32)[drawn[f"likeliest {part}"]]


def _check_read_as_shown(domain: Domain) -> None:
    """Raise an error if a student of a domain would read other text, or other options, than a run shows. A few option
    sets are tried."""
    check_draw(domain)
    with jax.enable_x64(True):
        options = np.asarray(domain.draw(key(0, f"{domain.name} (students)", "described", 0), TRIED))
    check_on_grid(domain, options)
    usual = describe_features(domain.features)
    if any(domain.describe(option) != usual(option) for option in options.reshape(-1, len(domain.features))):
        raise UsageError(
            f"no student can be taught on {domain.name}: its options are not described as 'label: value, label: "
            "value', and a student reads no other text."
        )


@partial(jax.jit, static_argnames=("domain", "users", "sets"))
def _draw(domain: Domain, at: Any, users: int, sets: int) -> dict[str, Any]:
    space, form = latent_space(domain), questionnaire_of(domain)
    latents = space.values(jnp.arange(space.size))
    of_user, of_options, of_choice, of_guess, of_beliefs, of_told = jax.random.split(at, 6)
    options = domain.draw(of_options, users * sets)
    nothing = jnp.zeros(1, jnp.int64)
    log_prior = jax.vmap(lambda values: joint_terms(domain.model, values, options[:1], nothing)[0])(latents)
    truth = jax.random.categorical(of_user, log_prior, shape=(users,))
    probs = jax.vmap(lambda values: query_values(domain.model, values, options))(latents)
    probs = jnp.moveaxis(probs.reshape(space.size, users, sets, 3), 0, -1)  # [users, sets, 3, hypotheses]
    own = jnp.take_along_axis(probs, truth[:, None, None, None], axis=-1)[..., 0]
    chosen = jax.random.categorical(of_choice, jnp.log(own))
    likelihood = jnp.take_along_axis(probs, chosen[..., None, None], axis=2)[:, :, 0]
    prior = jnp.broadcast_to(jax.nn.softmax(log_prior), (users, 1, space.size))
    before = _normalised(prior * jnp.concatenate([jnp.ones_like(prior), likelihood[:, :-1].cumprod(axis=1)], axis=1))
    predicted = jnp.einsum("ush,usoh->uso", before, probs)
    levels = form.answers(latents)
    answered = jax.nn.one_hot(levels, form.levels, dtype=predicted.dtype)
    beliefs, told = (jnp.einsum("ush,hfl->usfl", one, answered) for one in (before, _normalised(prior * likelihood)))
    return {
        "options": options.reshape(users, sets, 3, -1),
        "chosen": chosen,
        "guess": _likeliest(of_guess, predicted),
        "probs": predicted,
        "truth": levels[truth],
        "beliefs": beliefs,
        "told": told,
        "likeliest beliefs": _likeliest(of_beliefs, beliefs),
        "likeliest told": _likeliest(of_told, told),
    }


def _normalised(weights: Any) -> Any:
    return weights / weights.sum(axis=-1, keepdims=True)


def _likeliest(at: Any, probs: Any) -> Any:
    """Return the likeliest entry along the last axis, with ties broken at random."""
    best = probs >= probs.max(axis=-1, keepdims=True) - 1e-9
    return jnp.where(best, jax.random.uniform(at, probs.shape), -1.0).argmax(axis=-1)
