"""The interactions that a reader is taught, each on a synthetic domain of its own, short conversations first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from beliefbench.students.reader.conversations import AnnotatedConversation, Annotator, chat_of
from beliefbench.students.reader.heads import Lesson, lesson_of
from beliefbench.students.reader.tokenizer import tokenizer_of
from beliefbench.students.synthetic.domains import SyntheticDomain
from beliefbench.students.synthetic.interactions import Interaction
from beliefbench.teaching.interactions import Teacher

PURPOSES = {"words": 1, "teaching": 2, "examination": 3, "numbering": 4}
"""Each purpose has its own random numbers, so that no interaction of one is drawn for another."""
PHASES = ((0.0, 1, 2), (0.06, 2, 3), (0.12, 3, 4), (0.2, 5, 5), (0.35, 5, 6), (0.5, 5, 8))
"""The share of the groups after which a phase begins; its most rounds; its most lines of an option."""
MIN_LINES = 2
GROUP = 16
"""The interactions of a group, which have the same number of rounds and about the same number of lines."""


@dataclass(frozen=True)
class Curriculum:
    """Interactions by number of the group.

    Parameters
    ----------
    teacher
        The teacher of all interactions.
    groups
        The groups of the training, each of `GROUP` interactions.
    seed
        The seed of all draws, at least 0.
    """

    teacher: Teacher
    groups: int
    seed: int = 0

    def group(self, number: int) -> list[Interaction]:
        """Return the interactions of a group, each on a domain of its own.

        >>> drawn = Curriculum("posterior", groups=100).group(0)
        >>> len(drawn), len({one.options.shape[0] for one in drawn})
        (16, 1)
        """
        rng = self.rng("teaching", number)
        rounds, lines = self._size(number, rng)
        return [self._draw(rng, rounds, max(MIN_LINES, lines - 1), lines) for _ in range(GROUP)]

    def examination(self, number: int, rounds: int, lines: int) -> Interaction:
        """Return an interaction that is never taught, on a domain that is never taught."""
        return self._draw(self.rng("examination", number), rounds, lines, lines)

    def tokenizer(self, domains: int, pieces: int) -> Any:
        """Return a tokenizer whose words and word pieces come from conversations on random domains.

        Parameters
        ----------
        domains
            The number of domains, one conversation each.
        pieces
            The most words and word pieces.
        """

        def texts() -> Iterator[str]:
            for number in range(domains):
                rng = self.rng("words", number)
                interaction = Interaction.draw(SyntheticDomain.draw(rng), rng, 1)
                yield "\n".join(message["content"] for message in chat_of(interaction))

        return tokenizer_of(texts(), pieces)

    def rng(self, purpose: str, number: int) -> np.random.Generator:
        """Return the random numbers of a purpose (`PURPOSES`) with a number."""
        return np.random.default_rng([self.seed, PURPOSES[purpose], number])

    def _size(self, group: int, rng: np.random.Generator) -> tuple[int, int]:
        """Return the rounds, and the most lines of an option, of a group's interactions."""
        done = group / max(1, self.groups)
        most_rounds, most_lines = next((rounds, lines) for start, rounds, lines in reversed(PHASES) if done >= start)
        return int(rng.integers(1, most_rounds + 1)), int(rng.integers(MIN_LINES, most_lines + 1))

    def _draw(self, rng: np.random.Generator, rounds: int, min_lines: int, max_lines: int) -> Interaction:
        return Interaction.draw(SyntheticDomain.draw(rng, min_lines, max_lines), rng, rounds, self.teacher)


class Groups(Dataset):
    """The annotated conversations of a training by number of the group. Each group is drawn when it is needed."""

    def __init__(self, curriculum: Curriculum, tokenizer: Any) -> None:
        self.curriculum, self.annotator = curriculum, Annotator(tokenizer)

    def __len__(self) -> int:
        return self.curriculum.groups

    def __getitem__(self, number: int) -> list[AnnotatedConversation]:
        rng = self.curriculum.rng("numbering", number)
        return [self.annotator.annotate(interaction, rng) for interaction in self.curriculum.group(number)]


def lessons_of(conversations: Sequence[AnnotatedConversation], pad: int, together: int) -> list[Lesson]:
    """Return conversations as tensors, ``together`` of similar length together, so that little is padding.

    ``pad`` is the padding token.
    """
    by_length = sorted(conversations, key=lambda one: len(one.ids))
    return [lesson_of(by_length[at : at + together], pad) for at in range(0, len(by_length), together)]
