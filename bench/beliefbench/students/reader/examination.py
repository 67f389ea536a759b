"""How a reader is measured as it is taught: on synthetic domains that it never meets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from beliefbench.scoring import metrics
from beliefbench.students.reader.conversations import places_of
from beliefbench.students.reader.curriculum import Curriculum
from beliefbench.students.reader.heads import Lesson, Reader, lesson_of

ROUNDS, LINES, EACH, AT_ONCE = 5, (2, 3, 4, 6, 8), 8, 8


@dataclass(frozen=True)
class Examination:
    """Conversations that are never taught, by lines of an option, and the exact answers, float64[conversations, sets, 3]."""

    lessons: tuple[Lesson, ...]
    exact: np.ndarray

    @classmethod
    def of(cls, curriculum: Curriculum, tokenizer: Any, each: int = EACH) -> Examination:
        """Return that of a curriculum, whoever its teacher is."""
        taken = [curriculum.examination(lines * 100_000 + one, ROUNDS, lines) for lines in LINES for one in range(each)]
        places = [places_of(one, tokenizer) for one in taken]
        pad = tokenizer.pad_token_id
        lessons = tuple(lesson_of(places[at : at + AT_ONCE], pad) for at in range(0, len(places), AT_ONCE))
        return cls(lessons, np.array([one.exact for one in taken]))

    def measure(self, reader: Reader) -> dict[str, float]:
        """Return agreement (a share) and kl_exact (nats an answer) after the last round, and their means over all sets;
        and how much of the distance from chance to the exact answer is closed, in probability of the user's choice; and each loss."""
        device = next(reader.parameters()).device
        with torch.inference_mode():
            lessons = [{name: part.to(device) for name, part in one.items()} for one in self.lessons]
            found = [reader.predict(one).cpu() for one in lessons]
            losses = [{name: float(part) for name, part in reader.losses(one).items()} for one in lessons]
        probs = torch.cat(found).double().numpy().reshape(self.exact.shape)
        choice = probs.argmax(axis=-1)
        one = probs[..., None, :], choice[..., None], choice[..., None], self.exact[..., None, :]  # a set a measure
        agreement, kl = (getattr(metrics, name)(*one) for name in ("agreement", "kl_exact"))
        right = np.take_along_axis(self.exact, choice[..., None], axis=-1)[..., 0][:, -1].mean()
        best = self.exact.max(axis=-1)[:, -1].mean()
        return {
            "agreement": float(np.mean(agreement)),
            "kl_exact": float(np.mean(kl)),
            "last_agreement": float(np.mean(agreement[:, -1])),
            "last_kl_exact": float(np.mean(kl[:, -1])),
            "closed": float((right - 1 / 3) / (best - 1 / 3)),
            **{f"loss_{name}": float(np.mean([one[name] for one in losses])) for name in losses[0]},
        }
