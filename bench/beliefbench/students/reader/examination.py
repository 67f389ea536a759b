"""The examination of a reader during its training: conversations on synthetic domains that it is never taught."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from beliefbench.domain import OPTIONS
from beliefbench.scoring import metrics
from beliefbench.students.reader.conversations import Annotator
from beliefbench.students.reader.curriculum import Curriculum
from beliefbench.students.reader.heads import Lesson, Reader, lesson_of, mean_losses

ROUNDS, LINES, DOMAINS, TOGETHER = 5, (2, 3, 4, 6, 8), 16, 8
"""Rounds of a conversation; lines of an option; domains for each number of lines; conversations in memory at once."""


@dataclass(frozen=True)
class Examination:
    """Conversations that are never taught, and their exact answers.

    Parameters
    ----------
    lessons
        The conversations as tensors, in the order of ``exact``.
    exact
        float64[conversations, sets, 3]: the exact predictive.
    """

    lessons: tuple[Lesson, ...]
    exact: np.ndarray

    @classmethod
    def of(cls, curriculum: Curriculum, tokenizer: Any) -> Examination:
        """Return the examination of a curriculum: `DOMAINS` conversations for each number of lines."""
        numbers = [(lines, lines * 100_000 + at) for lines in LINES for at in range(DOMAINS)]
        taken = [curriculum.examination(number, ROUNDS, lines) for lines, number in numbers]
        annotate = Annotator(tokenizer).annotate
        annotated = [annotate(interaction) for interaction in taken]
        starts = range(0, len(annotated), TOGETHER)
        lessons = tuple(lesson_of(annotated[at : at + TOGETHER], tokenizer.pad_token_id) for at in starts)
        return cls(lessons, np.array([interaction.exact for interaction in taken]))

    def measure(self, reader: Reader) -> dict[str, float]:
        """Return a reader's metrics.

        ``agreement`` (a share) and ``kl_exact`` (nats per answer) are means over all sets, and ``last_...`` over the
        last set of each conversation. ``closed_1`` and so on are the share of the distance from chance to the exact
        answer, in probability of the user's choice, after so many rounds. ``loss_...`` are the losses of
        `Reader.read_lesson`.
        """
        device = next(reader.parameters()).device
        with torch.inference_mode():
            lessons = [{name: tensor.to(device) for name, tensor in lesson.items()} for lesson in self.lessons]
            found = [reader.read_lesson(lesson) for lesson in lessons]
        losses = mean_losses([one for _, one in found])
        probs = torch.cat([probs.cpu() for probs, _ in found]).double().numpy().reshape(self.exact.shape)
        choice = probs.argmax(axis=-1)
        # The metrics are means over an axis of sets; here each set has an axis of its own.
        answers = probs[..., None, :], choice[..., None], choice[..., None], self.exact[..., None, :]
        agreement, kl_exact = (getattr(metrics, name)(*answers) for name in ("agreement", "kl_exact"))
        chance = 1 / OPTIONS
        reached = np.take_along_axis(self.exact, choice[..., None], axis=-1)[..., 0].mean(axis=0) - chance
        best = self.exact.max(axis=-1).mean(axis=0) - chance
        return {
            "agreement": float(np.mean(agreement)),
            "kl_exact": float(np.mean(kl_exact)),
            "last_agreement": float(np.mean(agreement[:, -1])),
            "last_kl_exact": float(np.mean(kl_exact[:, -1])),
            **{f"closed_{at}": float(reached[at] / best[at]) for at in range(1, len(best))},
            **{f"loss_{name}": float(loss) for name, loss in losses.items()},
        }
