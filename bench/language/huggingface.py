"""Language models from Hugging Face folders, names and GGUF files, through transformers.

Finding a model and telling what it is (`locate`) is cheap and needs no weights in memory; they are loaded when the
first question is asked. Weights are read from safetensors or GGUF only, and no code comes with them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BeliefBenchError, UsageError
from bench.language.words import Turn

if TYPE_CHECKING:
    from bench.language.scoring import Scores, SharedPrefixScorer

DTYPES = ("bfloat16", "float32")
HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


@dataclass(frozen=True)
class Weights:
    """Where a model's files lie: a folder, and the GGUF file in it where its weights are in one."""

    folder: Path
    gguf: str | None = None

    def files(self) -> list[Path]:
        """Return the files that answers depend on: weights, configuration, tokenizer and chat template."""
        if self.gguf:
            return [self.folder / self.gguf]
        return sorted(file for pattern in HUB_FILES for file in self.folder.glob(pattern))

    @cache  # noqa: B019  -- a handful of models a process, each read whole
    def digest(self) -> str:
        """Return the SHA-256 over the names and contents of all files."""
        digest = hashlib.sha256()
        for file in self.files():
            digest.update(file.name.encode() + b"\0")
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()


def locate(model: str) -> Weights:
    """Return where a model lies, given a folder, a GGUF file, or a Hugging Face name (downloaded where it is not here).

    Raises
    ------
    UsageError
        Where a local path does not exist, or holds no weights that can be used.
    BeliefBenchError
        Where a Hugging Face name cannot be had.
    """
    path = Path(model).expanduser()
    if path.is_file() and path.suffix == ".gguf":
        return Weights(path.parent, path.name)
    if path.is_dir():
        if not (path / "config.json").exists() or not list(path.glob("*.safetensors")):
            raise UsageError(f"model folder '{model}' needs a config.json and weights in safetensors.")
        return Weights(path)
    if path.is_file():
        raise UsageError(f"'{model}' is a file but no GGUF file; name one, or a model folder.")
    if _is_local(model):
        raise UsageError(
            f"there is no model folder or GGUF file '{model}'; name one that exists, or a Hugging Face name."
        )
    _require("huggingface_hub")
    from huggingface_hub import snapshot_download

    try:
        return Weights(Path(snapshot_download(model, allow_patterns=HUB_FILES)))
    except Exception as error:
        raise BeliefBenchError(
            f"model '{model}' cannot be had from Hugging Face ({_first_line(error)}); "
            "check the name and the network, or name a local folder."
        ) from error


class HuggingFaceModel:
    """A causal language model that scores answers; loads its weights when first asked."""

    def __init__(self, weights: Weights, dtype: str | None = None) -> None:
        """Take a located model.

        Parameters
        ----------
        dtype
            ``"bfloat16"`` or ``"float32"``; where None, bfloat16 where the processor computes in it, else float32.
        """
        if dtype not in (*DTYPES, None):
            raise UsageError(f"dtype '{dtype}' is not known; use {' or '.join(DTYPES)}.")
        _require("torch", "transformers", "accelerate", *(["gguf"] if weights.gguf else []))
        self.weights = weights
        self.dtype = dtype or ("bfloat16" if _computes_in_bfloat16() else "float32")

    def identity(self) -> Mapping[str, Any]:
        """Return what scores depend on: the files' digest and the type that is computed in."""
        return {"weights": self.weights.digest(), "dtype": self.dtype}

    def score(self, turns: Sequence[Turn], opening: str, questions: Sequence[str], answers: Sequence[str]) -> Scores:
        """Return the log-probability of each answer to each question (`bench.language.scoring`)."""
        return self._scorer.score(turns, opening, questions, answers)

    @cached_property
    def _scorer(self) -> SharedPrefixScorer:
        import torch
        import transformers
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        from bench.language.scoring import SharedPrefixScorer

        of_gguf: dict[str, Any] = {"gguf_file": self.weights.gguf} if self.weights.gguf else {}
        # Unpacked to dense weights, a GGUF model computes as any other does, several times faster.
        unpack: dict[str, Any] = {"quantization_config": GgufConfig(dequantize=True)} if self.weights.gguf else {}
        with _quiet(transformers):
            try:
                tokenizer = AutoTokenizer.from_pretrained(self.weights.folder, **of_gguf)
                model = AutoModelForCausalLM.from_pretrained(
                    self.weights.folder, dtype=getattr(torch, self.dtype), use_safetensors=True, **of_gguf, **unpack
                )
            except Exception as error:
                raise BeliefBenchError(
                    f"the model in '{self.weights.folder}' cannot be loaded ({_first_line(error)})."
                ) from error
        if tokenizer.chat_template is None:
            raise BeliefBenchError(f"the model in '{self.weights.folder}' has no chat template; use an instruct model.")
        placed: Any = model
        model = placed.to("cuda" if torch.cuda.is_available() else "cpu").eval()

        def encode(text: str) -> list[int]:
            return tokenizer(text, add_special_tokens=False).input_ids

        def render(turns: Sequence[Turn], opening: str, question: str) -> str:
            messages = []
            for turn in turns:
                messages.append({"role": "user", "content": turn.opening + turn.question})
                messages.append({"role": "assistant", "content": turn.answer})
            messages.append({"role": "user", "content": opening + question})
            return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

        return SharedPrefixScorer(model, encode, render)


def _is_local(model: str) -> bool:
    """Tell a path from a Hugging Face name, which is NAME or OWNER/NAME."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or model.endswith((".gguf", "/"))


def _computes_in_bfloat16() -> bool:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _require(*packages: str) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise BeliefBenchError(
            f"language models need {', '.join(missing)}, not installed here: pip install 'beliefbench[transformers]'."
        )


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Keep transformers' own progress bars and advice off the screen while ours is on it."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        transformers.logging.set_verbosity(level)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
