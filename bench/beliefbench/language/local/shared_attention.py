"""Attention of many rows that share a prefix, for any model that uses transformers' attention interface.

Between the rows' queries and the prefix nothing is masked, so all rows' queries form one long row. Its attention to the
prefix is computed once, without a copy of the prefix for each row. It is merged with each row's attention to itself by
their log-sum-exps. This needs an attention that returns its log-sum-exp, such as PyTorch's for the CPU. On other
devices, and if an attention does more (a window that has begun to slide, capped scores), the prefix is repeated for
each row, one layer at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from inspect import signature
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

Layers = Sequence[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of each layer, [1, heads, tokens, size]."""

OURS = "beliefbench_"
EXTRAS = ("softcap", "s_aux", "position_bias")  # what an attention may do beside a masked softmax


class SharedPrefix:
    """The attention of the rows in one pass: to a shared prefix, and to themselves.

    positions int[rows, queries]; own_positions int[rows, own] and sees bool[rows, queries, own]: the row's tokens up to
    here, and which of them each query attends to.
    """

    def __init__(
        self, layers: Layers, positions: torch.Tensor, own_positions: torch.Tensor, sees: torch.Tensor
    ) -> None:
        self.layers, self.positions, self.own_positions, self.sees = layers, positions, own_positions, sees
        self.past = layers[0][0].shape[2] if layers else 0
        self._longest = int(positions.max())
        self._masks: dict[Any, torch.Tensor] = {}

    def slides(self, window: int | None) -> bool:
        """Return True if a window hides any token from any other."""
        return window is not None and self._longest >= window

    def mask(self, past: int, window: int | None, like: torch.Tensor, groups: int = 1) -> torch.Tensor:
        """Return the additive mask over ``past`` tokens and the row's own, [rows, 1, groups * queries, keys]."""
        key = (past, window, groups, like.device, like.dtype)
        if key not in self._masks:
            sees = torch.cat([self.sees.new_ones(*self.sees.shape[:2], past), self.sees], dim=-1)
            if window is not None and self.slides(window):
                before = torch.arange(past, device=sees.device).expand(len(sees), -1)
                at = torch.cat([before, self.own_positions], dim=-1)
                sees &= at[:, None, :] > self.positions[:, :, None] - window
            mask = torch.zeros(sees.shape, dtype=like.dtype, device=sees.device)
            mask.masked_fill_(~sees, torch.finfo(like.dtype).min)
            self._masks[key] = mask.repeat(1, groups, 1)[:, None].to(like.device)
        return self._masks[key]


_SHARED: ContextVar[SharedPrefix | None] = ContextVar("shared", default=None)


@contextmanager
def reading_shared(shared: SharedPrefix) -> Iterator[None]:
    """Make the model's attention read ``shared``, within."""
    token = _SHARED.set(shared)
    try:
        yield
    finally:
        _SHARED.reset(token)


def can_share_prefix(model: Any) -> bool:
    """Return False if some layers of a model are known not to read a shared prefix. A probe decides about the others
    (`beliefbench.language.local.architectures`)."""
    config, forward = model.config.get_text_config(), signature(model.forward).parameters
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return bool(
        model._supports_attention_backend
        and kinds <= {"full_attention", "sliding_attention"}
        and not getattr(config, "num_kv_shared_layers", 0)
        and {"position_ids", "attention_mask", "logits_to_keep"} <= set(forward)
        and model.config._attn_implementation.removeprefix(OURS) in INNER
    )


def share(model: Any) -> None:
    """Make a model's attention read the shared prefix. Without a shared prefix it computes as before."""
    own = model.config._attn_implementation.removeprefix(OURS)
    AttentionInterface.register(OURS + own, partial(_attend, INNER[own]))
    AttentionMaskInterface.register(OURS + own, ALL_MASK_ATTENTION_FUNCTIONS[own])
    model.set_attn_implementation(OURS + own)


def unshare(model: Any) -> None:
    """Give a model the attention back that it had before `share`."""
    own = model.config._attn_implementation
    if own.startswith(OURS):
        model.set_attn_implementation(own.removeprefix(OURS))


def _sdpa(module: torch.nn.Module, *given: Any, **settings: Any) -> Any:
    return ALL_ATTENTION_FUNCTIONS["sdpa"](module, *given, **settings)


def _eager(module: torch.nn.Module, *given: Any, **settings: Any) -> Any:
    return sys.modules[type(module).__module__].eager_attention_forward(module, *given, **settings)


INNER: dict[str, Callable[..., Any]] = {"sdpa": _sdpa, "eager": _eager}


def _attend(
    inner: Callable[..., Any],
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **settings: Any,
) -> tuple[torch.Tensor, Any]:
    """Attend like ``inner``, and to the shared prefix too."""
    shared = _SHARED.get()
    if shared is None:
        return inner(module, query, key, value, attention_mask, **settings)
    window = settings.get("sliding_window")
    keys, values = shared.layers[module.layer_idx] if shared.layers else (key[:1, :, :0], value[:1, :, :0])
    joins = inner is _sdpa and query.device.type == "cpu" and key.shape[-1] == value.shape[-1]
    if joins and shared.past and not shared.slides(window) and all(settings.get(one) is None for one in EXTRAS):
        return _joined(query, key, value, keys, values, shared, settings.get("scaling")), None
    rows = len(query)
    key = torch.cat([keys.expand(rows, -1, -1, -1), key], dim=2)
    value = torch.cat([values.expand(rows, -1, -1, -1), value], dim=2)
    return inner(module, query, key, value, shared.mask(shared.past, window, query), **settings)


def _joined(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    shared: SharedPrefix,
    scaling: float | None,
) -> torch.Tensor:
    """Attend to the prefix with all rows' queries as one row, to each row with its own, and merge the two."""
    rows, heads, length, size = query.shape
    over = key.shape[1]
    groups = heads // over  # query heads that read the same keys: more queries for those
    attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    by_key = query.reshape(rows, over, groups * length, size)
    own, own_weight = attend(by_key, key, value, attn_mask=shared.mask(0, None, query, groups), scale=scaling)
    together = by_key.transpose(0, 1).reshape(1, over, rows * groups * length, size)
    past, past_weight = attend(together, keys, values, scale=scaling)
    past = past.view(over, rows, groups * length, size).transpose(0, 1)
    past_weight = past_weight.view(over, rows, groups * length).transpose(0, 1)
    share = torch.sigmoid(past_weight - own_weight)[..., None]
    merged = torch.lerp(own.float(), past.float(), share).to(query.dtype)
    return merged.view(rows, heads, length, size).transpose(1, 2).contiguous()
