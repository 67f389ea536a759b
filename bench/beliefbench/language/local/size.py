"""Whether a model's configuration describes a model of about the size of its weights, before anything of that size is
made: a billion layers, or a vocabulary of a trillion tokens, would take all time and memory."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from beliefbench.errors import BeliefBenchError

LAYERS = re.compile("layer|block|depth")
"""What the keys of numbers of layers have in their names."""
MOST_LAYERS = 1024
"""Layers that any model may have; more only if its files have as many tensors."""
PARTS = 64
"""Modules for each stored tensor; real models have three or fewer."""
PACKED = 32
"""Weights in one stored number: of one bit each, in 32 bits."""

Shapes = list[tuple[int, ...]]


def require_few_layers(folder: Path, gguf: str | None) -> None:
    """Raise `BeliefBenchError` if a configuration has many more layers than its files have tensors; needs no PyTorch.

    Files that cannot be read are left to who loads them.
    """
    try:
        shapes = stored_shapes(folder, gguf)
        told = max(_layers(folder, gguf), default=0)
    except Exception:  # damaged in any way
        return
    if told > MOST_LAYERS + len(shapes):
        raise _too_large(folder / (gguf or "config.json"), f"{told:,} layers", f"{len(shapes):,} tensors")


def require_like_size(folder: Path, gguf: str | None, config: Any, own_code: bool) -> None:
    """Raise `BeliefBenchError` if a configuration describes many more weights than the files have."""
    import torch
    from torch.nn.modules.module import register_module_module_registration_hook
    from transformers import AutoModelForCausalLM

    shapes, place = stored_shapes(folder, gguf), folder / (gguf or "config.json")
    left = PARTS * (MOST_LAYERS + len(shapes))

    def count(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _too_large(place, "a model without end", f"{len(shapes):,} tensors")

    counted = register_module_module_registration_hook(count)
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=own_code)
    finally:
        counted.remove()
    described, stored = sum(one.numel() for one in model.parameters()), sum(map(math.prod, shapes))
    if described > PACKED * stored:
        raise _too_large(place, f"{described:,} weights", f"{stored:,} numbers")


def stored_shapes(folder: Path, gguf: str | None) -> Shapes:
    """Return the shapes of all stored tensors; raise as the library that reads them if there is a damaged file."""
    if gguf:
        import gguf as files

        return [tuple(map(int, one.shape)) for one in files.GGUFReader(folder / gguf).tensors]
    from safetensors import safe_open

    shapes: Shapes = []
    for file in sorted(folder.rglob("*.safetensors")):
        with safe_open(file, "np") as tensors:
            shapes += [tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()]  # noqa: SIM118
    return shapes


def _layers(folder: Path, gguf: str | None) -> Iterator[int]:
    """Yield all numbers of layers in a configuration."""
    if gguf:
        import gguf as files

        for key, field in files.GGUFReader(folder / gguf).fields.items():
            if key.endswith(".block_count"):
                yield int(field.contents())
        return
    open_ = [json.loads((folder / "config.json").read_text())]
    while open_:
        found = open_.pop()
        for key, value in found.items():
            if isinstance(value, dict):
                open_.append(value)
            elif isinstance(value, int) and LAYERS.search(key):
                yield value


def _too_large(place: Path, described: str, stored: str) -> BeliefBenchError:
    return BeliefBenchError(
        f"'{place}' describes {described}, and the weights beside it have {stored}; download or copy the model again."
    )
