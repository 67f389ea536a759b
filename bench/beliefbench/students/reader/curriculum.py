"""What a reader is taught, and in which order: interactions on synthetic domains, short ones first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from beliefbench.students.reader.conversations import Places, chat_of, places_of
from beliefbench.students.reader.heads import Lesson, lesson_of
from beliefbench.students.reader.tokenizer import tokenizer_of
from beliefbench.students.synthetic.domains import SyntheticDomain
from beliefbench.students.synthetic.interactions import Interaction
from beliefbench.teaching.interactions import Teacher

PURPOSES = {"words": 1, "teaching": 2, "examination": 3}
"""No purpose ever meets the draws of another."""
# Share of the teaching that is over; most rounds, and most lines of an option, from then on.
PHASES = ((0.0, 2, 3), (0.2, 2, 4), (0.35, 3, 5), (0.5, 4, 6), (0.65, 5, 7), (0.8, 5, 8))
MIN_LINES = 2
TOGETHER = 4


@dataclass(frozen=True)
class Curriculum:
    """Interactions by number.

    Parameters
    ----------
    teacher
        Who answers.
    steps, batch
        Steps of the teaching, and interactions a step; those of a step have as many rounds and about as many lines.
    seed
        The seed of all draws.
    """

    teacher: Teacher
    steps: int
    batch: int
    seed: int = 0

    def generator(self, purpose: str, number: int) -> np.random.Generator:
        """Return the random numbers of a step."""
        return np.random.default_rng([self.seed, PURPOSES[purpose], number])

    def size(self, step: int, rng: np.random.Generator) -> tuple[int, int]:
        """Return the rounds and lines of a step's interactions."""
        over = step / max(1, self.steps)
        rounds, lines = next((rounds, lines) for start, rounds, lines in reversed(PHASES) if over >= start)
        return int(rng.integers(1, rounds + 1)), int(rng.integers(MIN_LINES, lines + 1))

    def step(self, number: int) -> list[Interaction]:
        """Return the interactions of a step, each in a domain of its own.

        >>> first = Curriculum("posterior", steps=100, batch=4).step(0)
        >>> len(first), len({one.options.shape[0] for one in first})
        (4, 1)
        """
        rng = self.generator("teaching", number)
        rounds, lines = self.size(number, rng)
        return [self._draw(rng, rounds, max(MIN_LINES, lines - 1), lines) for _ in range(self.batch)]

    def examination(self, number: int, rounds: int, lines: int) -> Interaction:
        """Return an interaction that is never taught, in a domain that is never taught."""
        return self._draw(self.generator("examination", number), rounds, lines, lines)

    def _draw(self, rng: np.random.Generator, rounds: int, least: int, most: int) -> Interaction:
        return Interaction.draw(SyntheticDomain.draw(rng, least, most), rng, rounds, self.teacher)

    def tokenizer(self, domains: int = 2_000, pieces: int = 3_000) -> Any:
        """Return the tokenizer that is learnt from the texts of some domains."""

        def texts() -> Any:
            for number in range(domains):
                rng = self.generator("words", number)
                one = Interaction.draw(SyntheticDomain.draw(rng), rng, 1)
                yield "\n".join(message["content"] for message in chat_of(one))

        return tokenizer_of(texts(), pieces)


class Lessons(Dataset):
    """The lessons of a teaching by number, each drawn when it is wanted."""

    def __init__(self, curriculum: Curriculum, tokenizer: Any) -> None:
        self.curriculum, self.tokenizer = curriculum, tokenizer

    def __len__(self) -> int:
        return self.curriculum.steps

    def __getitem__(self, number: int) -> list[Lesson]:
        return lessons_of([places_of(one, self.tokenizer) for one in self.curriculum.step(number)], self.tokenizer)


def lessons_of(conversations: Sequence[Places], tokenizer: Any) -> list[Lesson]:
    """Return conversations as tensors, those of about the same length together, so that little is padding."""
    by_length = sorted(conversations, key=lambda one: len(one.ids))
    groups = (by_length[at : at + TOGETHER] for at in range(0, len(by_length), TOGETHER))
    return [lesson_of(group, tokenizer.pad_token_id) for group in groups]
