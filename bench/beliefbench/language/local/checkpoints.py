"""The files of a language model: finding them, their digest, whether all are there, and how the weights are stored.

Nothing here loads weights. Weights are read from safetensors or GGUF only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from beliefbench.errors import BeliefBenchError, UsageError, first_line

HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
CODE_FILES = ["*.py"]
CONFIG, INDEX, WHOLE = "config.json", "model.safetensors.index.json", "model.safetensors"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
SPLIT_GGUF = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
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

Stamp = tuple[tuple[str, int, int, int, int], ...]
"""Name, size, inode and times of each file: another stamp means other contents."""


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

    def stamp(self) -> Stamp:
        """Return what changes if any file is replaced, without reading the files."""
        found = ((file, file.stat()) for file in self.files())
        return tuple((str(file), at.st_size, at.st_ino, at.st_mtime_ns, at.st_ctime_ns) for file, at in found)

    def digest(self) -> str:
        """Return the SHA-256 over the names and contents of all files."""
        return _digest(tuple(self.files()), self.stamp())


@lru_cache(maxsize=16)
def _digest(files: tuple[Path, ...], stamp: Stamp) -> str:
    digest = hashlib.sha256()
    for file in files:
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
        _refuse_part(path)
        return Weights(path.parent, path.name, on_it, own_code)
    if path.is_dir():
        if not (path / CONFIG).exists() or not list(path.glob("*.safetensors")):
            raise UsageError(f"model folder '{model}' needs a config.json and weights in safetensors.")
        _refuse_missing_parts(path)
        return Weights(path, None, on_it, own_code)
    if path.is_file():
        raise UsageError(f"'{model}' is a file but not a GGUF file; name a GGUF file or a model folder.")
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
    _refuse_missing_parts(Path(folder))
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


def _refuse_missing_parts(folder: Path) -> None:
    """Raise `UsageError` if the index of a model in several files names files that are not there."""
    if not (folder / INDEX).is_file() or (folder / WHOLE).is_file():
        return
    named = sorted(set(read_json(folder / INDEX).get("weight_map", {}).values()))
    missing = [name for name in named if not (folder / name).is_file()]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise UsageError(
            f"model folder '{folder}' lacks {len(missing)} of the {len(named)} files of weights that {INDEX} names "
            f"({', '.join(missing[:3])}{more}); download or copy the model again."
        )


def _refuse_part(file: Path) -> None:
    """Raise `UsageError` if a GGUF file is one of several parts: transformers reads one file."""
    if (part := SPLIT_GGUF.fullmatch(file.name)) and int(part[3]) > 1:
        names = [f"{part[1]}-{number:05d}-of-{part[3]}.gguf" for number in range(1, int(part[3]) + 1)]
        missing = [name for name in names if not (file.parent / name).is_file()]
        lacking = f" ({', '.join(missing[:3])} missing here)" if missing else ""
        raise UsageError(
            f"'{file}' is one of {int(part[3])} parts of a model{lacking}; merge all parts into one file with "
            "llama.cpp's `llama-gguf-split --merge`, and name that file."
        )


def _is_local(model: str) -> bool:
    """Return True for a path, False for a Hugging Face name, which is NAME or OWNER/NAME."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or "\\" in model or model.endswith((".gguf", "/"))


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file; raise `UsageError` if there is none."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"'{file}' cannot be read ({first_line(error)}); download or copy the model again.") from error
    if not isinstance(found, dict):
        raise UsageError(f"'{file}' has no JSON object; download or copy the model again.")
    return found


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
    groups = (told.get("config_groups") or {}).values()
    bits = bits or next((one["weights"]["num_bits"] for one in groups if (one.get("weights") or {}).get("num_bits")), 0)
    return f"{bits}-bit {name}" if bits else name


def quantisation(weights: Weights) -> dict[str, Any]:
    """Return what a model's configuration says of quantised weights; empty if they are not quantised."""
    config = read_json(weights.folder / CONFIG)
    told = config.get("quantization_config") or (config.get("text_config") or {}).get("quantization_config")
    return dict(told or config.get("compression_config") or {})


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


def require(*packages: str) -> None:
    """Raise `BeliefBenchError` if packages that a language model needs are not installed."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise BeliefBenchError(
            f"language models need packages that are not installed here: pip install {' '.join(missing)}"
        )
