"""Lessons: simulated interactions, and a teacher's answers in them (paper, section 5).

Teachers are agents of the suite, asked as in the harness. The oracle answers with the user's choice, which is always
right. Lessons have their own name in the random keys, so that no seed of a run ever gives the same rounds or sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import jax
import numpy as np

from beliefbench.domain import OPTIONS, Domain
from beliefbench.draws import key
from beliefbench.errors import UsageError
from beliefbench.plugins.names import load_agent
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol, population
from beliefbench.running.answering import Job, ask, shards_of

Teacher = Literal["bayesian", "oracle", "posterior"]
Recommender = Literal["bayesian", "oracle"]

MAX_INTERACTIONS = MAX_SEED = 2**16
FIXED_USERS_UP_TO = 5_000
MAX_VALIDATED = 5_000


def default_recommender(teacher: Teacher) -> Recommender:
    """Return the default recommender in a teacher's conversations: the teacher itself, or the exact assistant for
    "posterior".

    >>> default_recommender("posterior")
    'bayesian'
    """
    return "oracle" if teacher == "oracle" else "bayesian"


@dataclass(frozen=True)
class TeachingTask:
    """The task of a teaching.

    Parameters
    ----------
    domain
        The domain of the users.
    teacher
        ``"bayesian"``: the guesses of the exact assistant, wrong ones included; ``"oracle"``: the user's choices;
        ``"posterior"``: the whole exact predictive, with the guesses.
    history
        The agent that makes the recommendations in the conversation; None: the teacher (the exact assistant for
        ``"posterior"``).
    users
        The number of different users; None: all. In a domain with up to 5,000 users they are the same in every
        interaction, and the others are never taught. In a larger domain every interaction has its own users.
    interactions, rounds, quiz, seed
        Interactions per user, rounds per interaction, held-out questions at each stage, and the seed of all draws.
    """

    domain: Domain
    teacher: Teacher = "bayesian"
    history: Recommender | None = None
    users: int | None = None
    interactions: int = 10
    rounds: int = 5
    quiz: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        most = population(self.domain)
        if self.users is None and most > FIXED_USERS_UP_TO:
            raise UsageError(f"{self.domain.name} has {most:,} users; say how many are to be taught: --users N.")
        for name, value, least, limit in (
            ("users", self.users if self.users is not None else 1, 1, most),
            ("interactions", self.interactions, 1, MAX_INTERACTIONS),
            ("rounds", self.rounds, 1, 1_000),
            ("quiz", self.quiz, 0, 10_000),
            ("seed", self.seed, 0, MAX_SEED - 1),
        ):
            if not least <= value <= limit:
                raise UsageError(f"{name} = {value}; expected {least} to {limit:,}.")
        if self.domain.recorded is not None:
            raise UsageError(f"the users of {self.domain.name} were recorded; teach with simulated ones.")

    @property
    def recommends(self) -> Recommender:
        """The agent that makes the recommendations in the conversation."""
        return self.history or default_recommender(self.teacher)

    def taught(self) -> np.ndarray | None:
        """Return the numbers of the taught users, int[users], in order; None if each interaction has its own users.

        >>> import beliefbench as bb
        >>> len(TeachingTask(bb.load_domain("flights"), users=500).taught())
        500
        """
        size = population(self.domain)
        if size > FIXED_USERS_UP_TO:
            return None
        order = np.asarray(jax.random.permutation(key(self.seed, self.domain.name, "taught users"), size))
        return np.sort(order[: self.users])


@dataclass(frozen=True)
class Lesson:
    """One interaction of each user.

    users int[users]; options float[users, rounds, 3, features]; chosen int[users, rounds]; recommended int[users,
    rounds], the recommendations in the conversation; sets float[users, quiz, 3, features]. The teacher's answers at
    each stage, first to the quiz and then to the next round's own set: answers int[users, rounds + 1, quiz + 1] (-1 at
    the last stage, which has no own set), and probs float[users, rounds + 1, quiz + 1, 3], None if it teaches no
    probabilities.
    """

    users: np.ndarray
    options: np.ndarray
    chosen: np.ndarray
    recommended: np.ndarray
    sets: np.ndarray
    answers: np.ndarray
    probs: np.ndarray | None


def lessons(course: TeachingTask) -> Iterator[Lesson]:
    """Yield the lessons of a task, one per interaction."""
    domain = set_apart(course.domain, "teaching")
    taught = course.taught()
    users = population(domain) if taught is not None else course.users or 0
    for number in range(course.interactions):
        protocol = Protocol(users, course.rounds, max(1, course.quiz), course.seed * MAX_INTERACTIONS + number)
        yield _lesson(course, Episodes(domain, protocol), taught)


def validation_batch(course: TeachingTask, users: int) -> tuple[Lesson, bool]:
    """Return another lesson for testing a student, and True if its users are never taught.

    ``users`` is the maximum number. If the task teaches all users, they occur again with other rounds and sets.
    """
    if not 1 <= users <= MAX_VALIDATED:
        raise UsageError(f"validate = {users}; expected 1 to {MAX_VALIDATED:,} users, or 0 for no validation.")
    domain = set_apart(course.domain, "examination")
    taught = course.taught()
    size = population(domain)
    others = None if taught is None else np.setdiff1d(np.arange(size), taught)
    held_out = others is None or len(others) > 0
    protocol = Protocol(users if others is None else size, course.rounds, max(1, course.quiz), course.seed)
    episodes = Episodes(domain, protocol)
    if others is None:
        return _lesson(course, episodes, None), True
    known = others if held_out else np.arange(size)
    met = episodes.users[np.isin(episodes.users, known)][:users]  # in the episodes' own order, which is random
    return _lesson(course, episodes, np.sort(met)), held_out


@lru_cache(maxsize=8)
def set_apart(domain: Domain, purpose: str) -> Domain:
    """Return a domain with its own draws. It is the same object each time, so that compiled code is used again."""
    return replace(domain, name=f"{domain.name} ({purpose})")


def _lesson(course: TeachingTask, episodes: Episodes, taught: np.ndarray | None) -> Lesson:
    order = np.argsort(episodes.users)
    places = order if taught is None else order[np.isin(episodes.users[order], taught)]
    right = np.full((len(places), course.rounds + 1, episodes.protocol.heldout + 1), -1)
    right[:, :, :-1] = episodes.truth[places, None]
    right[:, :-1, -1] = episodes.chosen[places]
    guesses, probs = right, None
    if (course.teacher, course.recommends) != ("oracle", "oracle"):
        guesses, probs = _exact_answers(episodes, places)
    answers = right if course.teacher == "oracle" else guesses
    recommended = (right if course.recommends == "oracle" else guesses)[:, :-1, -1]
    asked = slice(episodes.protocol.heldout - course.quiz, None)
    sets = episodes.heldout[places] if episodes.heldout.ndim == 4 else episodes.heldout
    return Lesson(
        users=episodes.users[places],
        options=episodes.options[places],
        chosen=episodes.chosen[places],
        recommended=recommended,
        sets=np.broadcast_to(sets, (len(places), *sets.shape[-3:]))[:, : course.quiz],
        answers=answers[:, :, asked],
        probs=probs[:, :, asked] if probs is not None and course.teacher == "posterior" else None,
    )


def _exact_answers(episodes: Episodes, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact assistant's guesses and probabilities at every stage."""
    protocol, domain = episodes.protocol, episodes.domain
    shape = (protocol.users, protocol.rounds + 1, protocol.heldout + 1)
    guesses, probs = np.full(shape, -1), np.full((*shape, OPTIONS), np.nan)
    answered = np.ones(shape[:2], dtype=bool)
    answered[places] = False
    job = Job(domain, load_agent("bayesian", domain), protocol)
    for shard in shards_of(job, episodes, answered, np.full(shape[:2], -1), slots=1):
        for found in ask(job, shard):
            columns = found.columns
            size = columns.num_rows // len(shard.places)
            each = np.stack([columns[f"prob_{option}"].to_numpy() for option in range(OPTIONS)], axis=-1)
            guesses[shard.places, found.stage, :size] = found.choice(len(shard.places))
            probs[shard.places, found.stage, :size] = each.reshape(len(shard.places), size, OPTIONS)
    return guesses[places], probs[places]
