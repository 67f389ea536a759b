"""Loading a located model: its tokenizer, its weights, its adapter, and its placement on devices."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from beliefbench.errors import BeliefBenchError, first_line
from beliefbench.language.chat_format import chat_format_of
from beliefbench.language.full_pass import WholeTextScorer
from beliefbench.language.scoring import SharedPrefixScorer
from beliefbench.language.shared_attention import can_share_prefix


def load(
    folder: Path, gguf: str | None, adapter: Path | None, dtype: str, own_code: bool, budget: int | None
) -> SharedPrefixScorer | WholeTextScorer:
    """Return a model ready to be asked.

    Parameters
    ----------
    folder, gguf
        The model's folder, and its GGUF file if it has one.
    adapter
        The folder of a LoRA adapter.
    dtype
        The number type of the computation.
    own_code
        Whether code that comes with the model may run.
    budget
        Memory for answers besides the weights, in bytes; None: a default.

    Raises
    ------
    BeliefBenchError
        If it cannot be loaded.
    """
    spread = {"device_map": "auto"} if torch.cuda.device_count() > 1 else {}
    with gguf_parsed_once() if gguf else ExitStack():
        tokenizer = read_tokenizer(folder, gguf, own_code)
        model = read_model(folder, gguf, dtype, own_code, **spread)
    if adapter:
        with quietly():
            model = _adapted(model, adapter)
    if not spread:
        model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    model.eval()
    scorer = SharedPrefixScorer if can_share_prefix(model) else WholeTextScorer
    return scorer(model, chat_format_of(tokenizer, ends_of(model, tokenizer)), budget)


def read_tokenizer(folder: Path, gguf: str | None = None, own_code: bool = False) -> Any:
    """Return a model's tokenizer; raise `BeliefBenchError` if it cannot be loaded."""
    with _loading(folder, gguf) as of_gguf:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=own_code, **of_gguf)


def read_model(folder: Path, gguf: str | None, dtype: str, own_code: bool = False, **more: Any) -> Any:
    """Return a causal language model's weights in a type; raise `BeliefBenchError` if they cannot be loaded."""
    # Unpacked to dense weights, a GGUF model computes as any other does, several times faster.
    unpacked = {"quantization_config": GgufConfig(dequantize=True)} if gguf else {}
    with _loading(folder, gguf) as of_gguf:
        return AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=own_code,
            **of_gguf,
            **unpacked,
            **more,
        )


@contextmanager
def _loading(folder: Path, gguf: str | None) -> Iterator[dict[str, Any]]:
    """Load quietly, with errors of one sentence; yield the arguments of transformers for a GGUF file."""
    with quietly(), gguf_parsed_once() if gguf else ExitStack():
        try:
            yield {"gguf_file": gguf} if gguf else {}
        except Exception as error:  # a model's files may be broken in any way
            wants_code = "trust_remote_code" in str(error)
            mend = "; it brings code of its own: add trust_remote_code=yes if you trust it" if wants_code else ""
            raise BeliefBenchError(f"the model in '{folder}' cannot be loaded ({first_line(error)}){mend}.") from error


def _adapted(model: Any, adapter: Path) -> Any:
    """Return the model with the adapter's layers. They are not merged, because this would round them to the weights'
    type."""
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, adapter, use_safetensors=True).get_base_model()
    except Exception as error:
        raise BeliefBenchError(f"adapter '{adapter}' does not fit the model ({first_line(error)}).") from error


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
