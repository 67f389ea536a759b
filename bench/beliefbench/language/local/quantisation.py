"""How the weights of a model are stored: the format of quantised weights, and the library that it needs.

Nothing here loads weights.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from beliefbench.errors import BeliefBenchError, UsageError, first_line
from beliefbench.language.local.checkpoints import CONFIG, Stamp, Weights, read_json

LIBRARIES = {
    "aqlm": ("aqlm",),
    "awq": ("gptqmodel",),
    "bitsandbytes": ("bitsandbytes",),
    "compressed-tensors": ("compressed_tensors",),
    "gptq": ("optimum", "gptqmodel"),
    "hqq": ("hqq",),
    "torchao": ("torchao",),
}
"""What each format of quantised weights needs; transformers reads FP8 and MXFP4 by itself."""
FORMAT_NAMES = {"awq": "AWQ", "fp8": "FP8", "gptq": "GPTQ", "hqq": "HQQ", "mxfp4": "MXFP4"}


def stored_format(weights: Weights) -> str:
    """Return how quantised weights are stored, such as "4-bit GPTQ" or "4-bit Q4_1"; "" if they are not quantised."""
    if weights.gguf:
        return _gguf_format(weights.folder / weights.gguf, weights.stamp())
    told = quantisation(weights)
    if not told:
        return ""
    method = _method(told)
    name = FORMAT_NAMES.get(method, method)
    bits = told.get("bits") or (4 if told.get("load_in_4bit") else 8 if told.get("load_in_8bit") else None)
    groups = _object(told, "config_groups").values()
    weights_of = [_object(one, "weights") for one in groups if isinstance(one, dict)]
    bits = bits or next((one["num_bits"] for one in weights_of if one.get("num_bits")), 0)
    return f"{bits}-bit {name}" if bits else name


def quantisation(weights: Weights) -> dict[str, Any]:
    """Return what a model's configuration says of quantised weights; empty if they are not quantised."""
    config = read_json(weights.folder / CONFIG)
    try:
        inner = _object(config, "text_config")
        found = [_object(one, "quantization_config") for one in (config, inner)]
        told = next(filter(None, [*found, _object(config, "compression_config")]), {})
        _object(told, "config_groups")
    except UsageError as error:
        raise UsageError(f"'{weights.folder / CONFIG}' is broken: {error}") from error
    return told


def _object(values: dict[str, Any], key: str) -> dict[str, Any]:
    """Return an object in a JSON object, empty if there is none; raise `UsageError` if it is anything else."""
    found = values.get(key) or {}
    if not isinstance(found, dict):
        raise UsageError(f"{key} has no JSON object; download or copy the model again.")
    return found


def require_format(weights: Weights) -> None:
    """Raise `BeliefBenchError` if the library for a model's quantised weights is not installed."""
    told = {} if weights.gguf else quantisation(weights)
    missing = [package for package in LIBRARIES.get(_method(told), ()) if find_spec(package) is None]
    if missing:
        raise BeliefBenchError(
            f"the weights in '{weights.folder}' are {stored_format(weights)}, and the library for it is not installed "
            f"here: pip install {' '.join(missing)}"
        )


def _method(told: dict[str, Any]) -> str:
    method = str(told.get("quant_method") or "")
    return "bitsandbytes" if method.startswith("bitsandbytes") or told.get("load_in_4bit") else method


@lru_cache(maxsize=4)
def _gguf_format(file: Path, stamp: Stamp) -> str:
    """Return the number type of most quantised weights in a GGUF file."""
    from gguf import GGMLQuantizationType
    from transformers.integrations.gguf.reader import GgufHeader  # a hundred times faster than gguf.GGUFReader

    sizes: Counter[str] = Counter()
    try:
        for tensor in GgufHeader.from_file(str(file)).tensors:
            sizes[GGMLQuantizationType(tensor.ggml_type).name] += tensor.nbytes
    except Exception as error:  # a file may be broken in any way
        raise BeliefBenchError(
            f"'{file}' cannot be read as GGUF ({first_line(error)}); download or copy the model again."
        ) from error
    quantised = [name for name, _ in sizes.most_common() if "Q" in name or "FP4" in name]
    bits = re.search(r"\d", quantised[0]) if quantised else None
    return f"{bits[0]}-bit {quantised[0]}" if bits else ""
