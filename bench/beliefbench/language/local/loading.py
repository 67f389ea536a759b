"""Loading a located model: its tokenizer, its weights, its adapter, and its placement on devices."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

from beliefbench.errors import BeliefBenchError, first_line
from beliefbench.language.local.architectures import Scorer, scorer_of
from beliefbench.language.local.chat_format import ChatFormat, chat_format_of
from beliefbench.language.local.checkpoints import Weights
from beliefbench.language.local.quantisation import quantisation, stored_format
from beliefbench.language.local.size import require_like_size
from beliefbench.language.local.soundness import (
    require_known_format,
    require_numbers,
    require_same_template,
    require_vocabulary,
    require_whole_adapter,
)


def load(weights: Weights, dtype: str, budget: int | None) -> Scorer:
    """Return a model ready to be asked.

    Parameters
    ----------
    weights
        The files of the model.
    dtype
        The number type of the computation.
    budget
        Memory for answers besides the weights, in bytes; None: a default.

    Raises
    ------
    BeliefBenchError
        If it cannot be loaded, or cannot be asked.
    """
    if not weights.gguf:
        require_known_format(quantisation(weights), weights.folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    placed = {"device_map": "auto"} if torch.cuda.device_count() > 1 else {}
    if not placed and stored_format(weights) and not weights.gguf:
        placed = {"device_map": device}  # quantised weights are placed while they are loaded
    with alone(weights.folder, weights.gguf) as folder, gguf_parsed_once() if weights.gguf else ExitStack():
        tokenizer = read_tokenizer(folder, weights.gguf, weights.own_code)
        model = read_model(folder, weights.gguf, dtype, weights.own_code, **placed)
    if weights.adapter:
        with quietly():
            model = _adapted(model, weights.adapter)
        require_numbers(model, weights.adapter)
    if not placed:
        model = model.to(device)
    model.eval()
    speech = speech_of(model, tokenizer)
    if weights.adapter:
        require_same_template(tokenizer, weights.adapter)
    return scorer_of(model, speech, budget)


def speech_of(model: Any, tokenizer: Any) -> ChatFormat:
    """Return the chat format of a model; raise `BeliefBenchError` if its tokenizer or its chat template is not fit."""
    speech = chat_format_of(tokenizer, ends_of(model, tokenizer))
    require_vocabulary(model, speech)
    return speech


def read_tokenizer(folder: Path, gguf: str | None = None, own_code: bool = False) -> Any:
    """Return a model's tokenizer; raise `BeliefBenchError` if it cannot be loaded."""
    with _loading(folder, gguf) as (place, of_gguf):
        return AutoTokenizer.from_pretrained(place, trust_remote_code=own_code, **of_gguf)  # a folder  # nosec B615


def read_model(folder: Path, gguf: str | None, dtype: str, own_code: bool = False, **more: Any) -> Any:
    """Return a causal language model's weights in a type.

    Raises
    ------
    BeliefBenchError
        If they cannot be loaded, or do not fit the model's configuration.
    """
    # Unpacked to dense weights, a GGUF model computes as any other does, several times faster.
    unpacked = {"quantization_config": GgufConfig(dequantize=True)} if gguf else {}
    read: Any = AutoModelForCausalLM.from_pretrained  # its type does not say that it returns more
    with _loading(folder, gguf) as (place, of_gguf):
        config = AutoConfig.from_pretrained(place, trust_remote_code=own_code, **of_gguf)  # a folder  # nosec B615
        require_like_size(place, gguf, config, own_code)
        model, loaded = read(
            place,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=own_code,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are named, below
            **of_gguf,
            **unpacked,
            **more,
        )
    wrong = {
        "missing": loaded["missing_keys"],
        "unknown to it": loaded["unexpected_keys"],
        "of another shape": [key for key, *_ in loaded["mismatched_keys"]],
    }
    if any(wrong.values()):
        raise BeliefBenchError(
            f"the weights in '{_shown(folder, gguf)}' do not fit the model that is described there, a "
            f"{type(model).__name__}: {_listed(wrong)}; save or download the model again."
        )
    require_numbers(model, _shown(folder, gguf))
    return model


def _listed(wrong: Mapping[str, Iterable[str]]) -> str:
    """Return names of weights by what is wrong with them, three of each kind."""
    parts = []
    for what, found in wrong.items():
        names = sorted(found)
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        if names:
            parts.append(f"{len(names):,} {'are' if len(names) > 1 else 'is'} {what} ({', '.join(names[:3])}{more})")
    return ", ".join(parts)


@contextmanager
def _loading(folder: Path, gguf: str | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Load quietly, with errors of one sentence; yield the folder to load from, and the arguments of transformers for a
    GGUF file.
    """
    with quietly(), alone(folder, gguf) as place, gguf_parsed_once() if gguf else ExitStack():
        try:
            yield place, {"gguf_file": gguf} if gguf else {}
        except BeliefBenchError:
            raise
        except Exception as error:  # a model's files may be broken in any way
            wants_code = "trust_remote_code" in str(error)
            mend = "if its files are not complete, download or copy it again, otherwise use another model"
            if wants_code:
                mend = "it brings code of its own: add trust_remote_code=yes if you trust it"
            elif "pip install" in str(error):
                mend = "install what it names"
            raise BeliefBenchError(
                f"the model in '{_shown(folder, gguf)}' cannot be loaded ({first_line(error)}); {mend}."
            ) from error


@contextmanager
def alone(folder: Path, gguf: str | None) -> Iterator[Path]:
    """Yield a folder with nothing but the GGUF file: transformers reads a tokenizer beside it in place of its own."""
    if gguf is None or [file.name for file in folder.iterdir()] == [gguf]:
        yield folder
        return
    with TemporaryDirectory() as place:
        (Path(place) / gguf).symlink_to((folder / gguf).absolute())
        yield Path(place)


def _shown(folder: Path, gguf: str | None) -> Path:
    """Return the path that a person knows a model by."""
    if gguf is None:
        return folder
    return (folder / gguf).readlink() if (folder / gguf).is_symlink() else folder / gguf


def _adapted(model: Any, adapter: Path) -> Any:
    """Return the model with the adapter's layers. They are not merged, because this would round them to the weights'
    type."""
    from peft import PeftConfig, PeftModelForCausalLM

    try:
        config = PeftConfig.from_pretrained(str(adapter), local_files_only=True)
        require_whole_adapter(config)
        adapted = PeftModelForCausalLM(model, config)
        loaded = adapted.load_adapter(str(adapter), "default", use_safetensors=True)
    except Exception as error:
        told = " ".join(str(error).split()) if "size mismatch" in str(error) else first_line(error)
        raise BeliefBenchError(
            f"adapter '{adapter}' does not fit the model ({told}); name a LoRA adapter of this model."
        ) from error
    wrong = {"missing": loaded.missing_keys, "unknown to the model": loaded.unexpected_keys}
    if any(wrong.values()):
        raise BeliefBenchError(
            f"adapter '{adapter}' does not fit the model ({_listed(wrong)}); name a LoRA adapter of this model."
        )
    return adapted.get_base_model()


def ends_of(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end what a model writes."""
    told = model.generation_config.eos_token_id if model.generation_config else None
    ends = {tokenizer.eos_token_id, *(told if isinstance(told, list) else [told])}
    return frozenset(token for token in ends if token is not None)


@contextmanager
def gguf_parsed_once() -> Iterator[None]:
    """Let transformers parse a GGUF file once instead of three times (tokenizer, configuration, weights).

    transformers looks up both names in `gguf` each time. If this changes, loading becomes slower and stays correct.
    """
    import gguf

    with (
        patch.object(gguf, "GGUFReader", cache(gguf.GGUFReader)),
        patch.object(gguf, "get_tensor_name_map", cache(gguf.get_tensor_name_map)),
    ):
        yield


@contextmanager
def quietly() -> Iterator[None]:
    """Hide transformers' own progress bars and warnings."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        transformers.logging.set_verbosity(level)
