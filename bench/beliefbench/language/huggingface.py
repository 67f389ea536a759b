"""Language models from Hugging Face folders, names and GGUF files, through transformers.

Finding and identifying a model (`locate`) is cheap and loads no weights. The weights are loaded with the first question
(`beliefbench.language.loading`). Weights are read from safetensors or GGUF only. Code that comes with a model runs only
on request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beliefbench.errors import BeliefBenchError, UsageError, first_line
from beliefbench.language.dialogue import Dialogue

if TYPE_CHECKING:
    from beliefbench.language.full_pass import WholeTextScorer
    from beliefbench.language.scoring import Replies, Scores, SharedPrefixScorer

DTYPES = ("bfloat16", "float32")
HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
CODE_FILES = ["*.py"]
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True)
class Weights:
    """The files of a model: its folder, its GGUF file if it has one, and the folder of a LoRA adapter if there is one;
    ``own_code``: whether code that comes with the model may run.
    """

    folder: Path
    gguf: str | None = None
    adapter: Path | None = None
    own_code: bool = False

    def files(self) -> list[Path]:
        """Return the files that answers depend on: weights, configuration, tokenizer, chat template, adapter, code."""
        if self.gguf:
            files = [self.folder / self.gguf]
        else:
            patterns = [*HUB_FILES, *(CODE_FILES if self.own_code else [])]
            files = sorted(file for pattern in patterns for file in self.folder.glob(pattern))
        return [*files, *([self.adapter / ADAPTER_CONFIG, self.adapter / ADAPTER_WEIGHTS] if self.adapter else [])]

    @cache  # noqa: B019  -- a handful of models a process, each read whole
    def digest(self) -> str:
        """Return the SHA-256 over the names and contents of all files."""
        digest = hashlib.sha256()
        for file in self.files():
            digest.update(file.name.encode() + b"\0")
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()


def locate(model: str, adapter: str | None = None, own_code: bool = False) -> Weights:
    """Find a model by a folder, a GGUF file, or a Hugging Face name, which is downloaded if it is not on this machine.

    Parameters
    ----------
    model
        A folder, a GGUF file, or a name.
    adapter
        The folder of a LoRA adapter on it, in safetensors.
    own_code
        Whether code that comes with the model may run.

    Raises
    ------
    UsageError
        If a local path does not exist, or holds no weights that can be used.
    BeliefBenchError
        If the model of a Hugging Face name cannot be loaded.
    """
    on_it = _adapter(adapter) if adapter is not None else None
    path = Path(model).expanduser()
    if path.is_file() and path.suffix == ".gguf":
        return Weights(path.parent, path.name, on_it, own_code)
    if path.is_dir():
        if not (path / "config.json").exists() or not list(path.glob("*.safetensors")):
            raise UsageError(f"model folder '{model}' needs a config.json and weights in safetensors.")
        return Weights(path, None, on_it, own_code)
    if path.is_file():
        raise UsageError(f"'{model}' is a file but not a GGUF file; name one, or a model folder.")
    if _is_local(model):
        raise UsageError(
            f"there is no model folder or GGUF file '{model}'; name one that exists, or a Hugging Face name."
        )
    require("huggingface_hub")
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(model, allow_patterns=[*HUB_FILES, *(CODE_FILES if own_code else [])])
    except Exception as error:
        raise BeliefBenchError(
            f"model '{model}' cannot be loaded from Hugging Face ({first_line(error)}); "
            "check the name and the network, or name a local folder."
        ) from error
    return Weights(Path(folder), None, on_it, own_code)


def _adapter(adapter: str) -> Path:
    folder = Path(adapter).expanduser()
    if not folder.is_dir():
        raise UsageError(f"there is no adapter folder '{adapter}'; name one that exists.")
    if not (folder / ADAPTER_CONFIG).is_file() or not (folder / ADAPTER_WEIGHTS).is_file():
        raise UsageError(
            f"'{adapter}' is not an adapter: it needs {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}, as peft saves them."
        )
    return folder


class HuggingFaceModel:
    """A causal language model that scores and writes answers; loads its weights when first asked."""

    def __init__(self, weights: Weights, dtype: str | None = None, budget: int | None = None) -> None:
        """Take a located model.

        Parameters
        ----------
        dtype
            ``"bfloat16"`` or ``"float32"``. None: bfloat16 if the processor supports it, otherwise float32.
        budget
            Memory for answers besides the weights, in bytes. None: 2 GiB, or half of what the weights leave on a GPU.
            It changes answers in their last bits only, so it is not part of the identity.
        """
        if dtype not in (*DTYPES, None):
            raise UsageError(f"dtype '{dtype}' is not known; use {' or '.join(DTYPES)}.")
        packages = {"gguf": weights.gguf, "peft": weights.adapter}
        require("torch", "transformers", "accelerate", *(name for name, needed in packages.items() if needed))
        self.weights, self.budget = weights, budget
        self.dtype = dtype or ("bfloat16" if computes_in_bfloat16() else "float32")

    def identity(self) -> Mapping[str, Any]:
        """Return everything that scores depend on: the digest of the files, and the number type."""
        return {"weights": self.weights.digest(), "dtype": self.dtype}

    def score(self, dialogues: Sequence[Dialogue], answers: Sequence[str]) -> Scores:
        """Return the log-probability of each answer to each question (`beliefbench.language.scoring`)."""
        return self._scorer.score(dialogues, answers)

    def write(self, dialogues: Sequence[Dialogue], longest: int) -> Replies:
        """Return the model's answer to each question, at most ``longest`` tokens."""
        return self._scorer.write(dialogues, longest)

    @property
    def _scorer(self) -> SharedPrefixScorer | WholeTextScorer:
        return _loaded(self.weights, self.dtype, self.budget)


@lru_cache(maxsize=1)  # agents that ask one model in several ways share it, and two models need not fit the memory
def _loaded(weights: Weights, dtype: str, budget: int | None) -> SharedPrefixScorer | WholeTextScorer:
    from beliefbench.language.loading import load

    return load(weights.folder, weights.gguf, weights.adapter, dtype, weights.own_code, budget)


def _is_local(model: str) -> bool:
    """Return True for a path, False for a Hugging Face name, which is NAME or OWNER/NAME."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or "\\" in model or model.endswith((".gguf", "/"))


def computes_in_bfloat16() -> bool:
    """Return True if this machine computes in bfloat16, and does not only store it."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def require(*packages: str) -> None:
    """Raise `BeliefBenchError` if packages that a language model needs are not installed."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise BeliefBenchError(
            f"language models need packages that are not installed here: pip install {' '.join(missing)}"
        )
