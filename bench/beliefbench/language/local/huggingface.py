"""Language models from Hugging Face folders, names and GGUF files, through transformers.

Finding and identifying a model (`beliefbench.language.local.checkpoints`) is cheap and loads no weights. The weights
are loaded with the first question (`beliefbench.language.local.loading`). Code that comes with a model runs only on
request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.language.local.checkpoints import Stamp, Weights, require
from beliefbench.language.local.quantisation import require_format, stored_format
from beliefbench.language.questions.dialogue import Dialogue

if TYPE_CHECKING:
    from beliefbench.language.local.architectures import Scorer
    from beliefbench.language.local.scoring import Replies, Scores

DTYPES = ("bfloat16", "float32")


class HuggingFaceModel:
    """A causal language model that scores and writes answers; loads its weights when first asked."""

    def __init__(self, weights: Weights, dtype: str | None = None, budget: int | None = None) -> None:
        """Take a located model.

        Parameters
        ----------
        dtype
            ``"bfloat16"`` or ``"float32"``. None: bfloat16 if the processor supports it, otherwise float32.
        budget
            Memory for answers besides the weights, in bytes. None: 2 GiB; on a GPU half of what the weights leave, at
            most 8 GiB. It changes answers in their last bits only, so it is not part of the identity.
        """
        if dtype not in (*DTYPES, None):
            raise UsageError(f"dtype '{dtype}' is not known; use {' or '.join(DTYPES)}.")
        packages = {"gguf": weights.gguf, "peft": weights.adapter}
        require("torch", "transformers", "accelerate", *(name for name, needed in packages.items() if needed))
        require_format(weights)
        self.weights, self.budget = weights, budget
        self._stamp: Stamp | None = None
        self._reading = ""
        self.dtype = dtype or ("bfloat16" if computes_in_bfloat16() else "float32")

    def identity(self) -> Mapping[str, Any]:
        """Return everything that scores depend on: the digest of the files, and the number type."""
        self._stamp = self.weights.stamp()
        return {"weights": self.weights.digest(), "dtype": self.dtype}

    @property
    def note(self) -> str:
        """How the weights are stored, the number type, and once loaded, how conversations are read and written."""
        return ", ".join(filter(None, [stored_format(self.weights), self.dtype, self._reading]))

    def score(self, dialogues: Sequence[Dialogue], answers: Sequence[str]) -> Scores:
        """Return the log-probability of each answer to each question (`beliefbench.language.local.scoring`)."""
        return self._scorer.score(dialogues, answers)

    def write(self, dialogues: Sequence[Dialogue], longest: int) -> Replies:
        """Return the model's answer to each question, at most ``longest`` tokens."""
        return self._scorer.write(dialogues, longest)

    @property
    def _scorer(self) -> Scorer:
        self._stamp = self._stamp or self.weights.stamp()
        scorer = _loaded(self.weights, self._stamp, self.dtype, self.budget)
        self._reading = ", ".join(filter(None, [scorer.note, scorer.speech.note]))
        return scorer


@lru_cache(maxsize=1)  # agents that ask one model in several ways share it, and two models need not fit the memory
def _loaded(weights: Weights, stamp: Stamp, dtype: str, budget: int | None) -> Scorer:
    """Return a model ready to be asked, of the files that ``stamp`` tells of."""
    from beliefbench.language.local.loading import load

    if weights.stamp() == stamp:
        scorer = load(weights, dtype, budget)
        if weights.stamp() == stamp:
            return scorer
    raise BeliefBenchError(
        f"the files of the model in '{weights.folder}' were replaced while it was in use; start the run again."
    )


def computes_in_bfloat16() -> bool:
    """Return True if this machine computes in bfloat16, and does not only store it."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
