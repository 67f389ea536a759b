"""The files of a language model: finding them, their digest, and whether all are there.

Nothing here loads weights. Weights are read from safetensors or GGUF only. How they are stored is told by
`beliefbench.language.local.quantisation`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from beliefbench.errors import BeliefBenchError, UsageError, first_line
from beliefbench.folders import regular
from beliefbench.language.local.size import require_few_layers

HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
NAMED_TEMPLATES = "additional_chat_templates/*.jinja"
CODE_FILES = ["*.py", "**/*.py", "*.tiktoken"]
CONFIG, INDEX, WHOLE = "config.json", "model.safetensors.index.json", "model.safetensors"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
SPLIT_GGUF = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")

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
            patterns = [*HUB_FILES, NAMED_TEMPLATES, *(CODE_FILES if self.own_code else [])]
            files = sorted({file for pattern in patterns for file in self.folder.glob(pattern)} | self._named_parts())
        return [*files, *([self.adapter / ADAPTER_CONFIG, self.adapter / ADAPTER_WEIGHTS] if self.adapter else [])]

    def _named_parts(self) -> set[Path]:
        """Return the files that the index of the weights names; they may be in folders of their own."""
        return {self.folder / name for name in _parts_of(self.folder)}

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
    path = _path(model)
    if path.is_file() and path.suffix == ".gguf":
        _refuse_part(path)
        require_few_layers(path.parent, path.name)
        return Weights(path.parent, path.name, on_it, own_code)
    if path.is_dir():
        _refuse_own_adapter(path)
        if not (path / CONFIG).exists() or not list(path.glob("*.safetensors")):
            raise UsageError(f"model folder '{model}' needs a config.json and weights in safetensors.")
        weights = Weights(path, None, on_it, own_code)
        _refuse_pipes(weights)
        _refuse_missing_parts(path)
        require_few_layers(path, None)
        return _with_code_here(weights)
    if path.is_file():
        raise UsageError(f"'{model}' is a file but not a GGUF file; name a GGUF file or a model folder.")
    if is_local(model):
        raise UsageError(
            f"there is no model folder or GGUF file '{model}'; name one that exists, or a Hugging Face name."
        )
    require("huggingface_hub")
    from huggingface_hub import snapshot_download

    patterns = [*HUB_FILES, *(CODE_FILES if own_code else [])]
    try:
        folder = snapshot_download(model, allow_patterns=patterns)  # the identity has the files' digest  # nosec B615
    except Exception as error:
        raise BeliefBenchError(
            f"model '{model}' cannot be loaded from Hugging Face ({first_line(error)}); "
            "check the name and the network, or name a local folder."
        ) from error
    _refuse_own_adapter(Path(folder))
    _refuse_missing_parts(Path(folder))
    require_few_layers(Path(folder), None)
    return _with_code_here(Weights(Path(folder), None, on_it, own_code))


def _with_code_here(weights: Weights) -> Weights:
    """Return a model; raise `UsageError` if code may run that is in another repository, outside the identity."""
    for file in (weights.folder / CONFIG, weights.folder / "tokenizer_config.json") if weights.own_code else ():
        if file.is_file() and "--" in (named := json.dumps(read_json(file).get("auto_map"))):
            raise UsageError(
                f"'{file}' names code in another repository (auto_map: {named}); copy it into the model's "
                "folder, and name it there."
            )
    return weights


def _refuse_pipes(weights: Weights) -> None:
    """Raise `UsageError` if a file of a model is a pipe or a device: transformers would wait for ever."""
    try:
        for file in weights.files():
            regular(file)
    except OSError as error:
        raise UsageError(f"'{error.filename}' is {error.strerror}; download or copy the model again.") from error


def _path(given: str) -> Path:
    """Return a path, with the home folder for ``~``; raise `UsageError` if no file can have it."""
    try:
        path = Path(given).expanduser()
        path.is_file()
    except (OSError, RuntimeError) as error:  # too long; the home folder of a user who does not exist
        shown = given if len(given) <= 60 else f"{given[:57]}..."
        raise UsageError(
            f"'{shown}' is not a path on this machine ({first_line(error)}); name a model folder or a GGUF file."
        ) from error
    return path


def _refuse_own_adapter(folder: Path) -> None:
    """Raise `UsageError` if a model folder is an adapter, or has one in it: transformers puts it on the model without a
    check of its weights.
    """
    if (folder / ADAPTER_CONFIG).is_file():
        raise UsageError(
            f"'{folder}' has an adapter in it ({ADAPTER_CONFIG}); name the folder of its base model, and the adapter's "
            "own folder with adapter=FOLDER; or remove the adapter's files if it is merged into the weights."
        )


def _adapter(adapter: str) -> Path:
    folder = _path(adapter)
    if not folder.is_dir():
        raise UsageError(f"there is no adapter folder '{adapter}'; name one that exists.")
    if not (folder / ADAPTER_CONFIG).is_file() or not (folder / ADAPTER_WEIGHTS).is_file():
        raise UsageError(
            f"'{adapter}' is not an adapter: it needs {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}, as peft saves them."
        )
    return folder


def _refuse_missing_parts(folder: Path) -> None:
    """Raise `UsageError` if the index of a model in several files names files that are not there."""
    named = _parts_of(folder)
    missing = [name for name in named if not (folder / name).is_file()]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise UsageError(
            f"model folder '{folder}' lacks {len(missing)} of the {len(named)} files of weights that {INDEX} names "
            f"({', '.join(missing[:3])}{more}); download or copy the model again."
        )


def _parts_of(folder: Path) -> list[str]:
    """Return the files that the index of a model in several files names; none if the model is in one file."""
    if not (folder / INDEX).is_file() or (folder / WHOLE).is_file():
        return []
    named = read_json(folder / INDEX).get("weight_map")
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise UsageError(
            f"'{folder / INDEX}' does not say which file has which weights; download or copy the model again."
        )
    return sorted(set(named.values()))


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


def is_local(model: str) -> bool:
    """Return True for a path, False for a Hugging Face name, which is NAME or OWNER/NAME."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or "\\" in model or model.endswith((".gguf", "/"))


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file; raise `UsageError` if there is none."""
    try:
        found = json.loads(regular(file).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"'{file}' cannot be read ({first_line(error)}); download or copy the model again.") from error
    if not isinstance(found, dict):
        raise UsageError(f"'{file}' has no JSON object; download or copy the model again.")
    return found


def require(*packages: str) -> None:
    """Raise `BeliefBenchError` if packages that a language model needs are not installed."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise BeliefBenchError(
            f"language models need packages that are not installed here: pip install {' '.join(missing)}"
        )
