"""Shifted-window attention, shared by both Swin Transformers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import wide

APART = -100.0  # score between regions that only the roll brought together


Axes = tuple[bool, bool]  # down and across


@functools.lru_cache(maxsize=64)
def shift_mask(
    height: int, width: int, window: int, device: torch.device, rolled: Axes = (True, True)
) -> Tensor:
    """Attention mask of a map that was rolled along some axes, 0 or -100.

    [windows, window², window²]. height, width: of the padded map. Padding itself is not masked, as
    in all official code.
    """
    # Built outside inference mode: the cached tensor is used in training as well.
    with torch.inference_mode(False):

        def region(size: int, rolls: bool) -> Tensor:
            at = torch.arange(size, device=device)
            return rolls * ((at >= size - window).long() + (at >= size - window // 2))

        regions = 3 * region(height, rolled[0])[:, None] + region(width, rolled[1])
        ids = window_partition(regions[None, ..., None], window)[0, ..., 0]
        return APART * (ids[:, :, None] != ids[:, None]).float()


def window_partition(x: Tensor, window: int) -> Tensor:
    """Split a map into windows, [B, H, W, C] -> [B, windows, window², C]; sides are multiples."""
    batch, height, width, channels = x.shape
    x = x.view(batch, height // window, window, width // window, window, channels)
    return x.transpose(2, 3).reshape(batch, -1, window * window, channels)


def window_reverse(x: Tensor, height: int, width: int, window: int) -> Tensor:
    """Join windows to a map, the inverse of `window_partition`."""
    batch, _, _, channels = x.shape
    x = x.view(batch, height // window, width // window, window, window, channels)
    return x.transpose(2, 3).reshape(batch, height, width, channels)


def shifted_windows(
    x: Tensor, window: int, shifted: bool | Axes, attend: Callable[[Tensor, Tensor | None], Tensor]
) -> Tensor:
    """Apply attention in (shifted) windows, [B, H, W, C] -> [B, H, W, C]; pads right and bottom.

    shifted: along both axes, or for each. attend: takes windows [B, windows, window², C] and, if
    shifted, the mask of `shift_mask`.
    """
    height, width = x.shape[1:3]
    axes = (shifted, shifted) if isinstance(shifted, bool) else shifted
    shifts = [window // 2 * axis for axis in axes]
    x = F.pad(x, (0, 0, 0, -width % window, 0, -height % window))
    down, across = x.shape[1:3]
    x = x.roll([-n for n in shifts], (1, 2)) if any(shifts) else x
    mask = shift_mask(down, across, window, x.device, axes) if any(shifts) else None
    x = window_reverse(attend(window_partition(x, window), mask), down, across, window)
    x = x.roll(shifts, (1, 2)) if any(shifts) else x
    return x[:, :height, :width]


def cosine_attention(
    qkv: Sequence[Tensor], log_scale: Tensor, bias: Tensor, mask: Tensor | None
) -> Tensor:
    """Attend by the cosine of queries and keys, as Swin V2 does; see `attention`.

    log_scale: logarithm of what the cosine is multiplied by, at most 100, [heads, 1, 1].
    """
    q, k, v = qkv
    # In float32 under autocast too: the scale multiplies the error, and in float16 the norm of a
    # padded key, which is 0, has no smallest value that keeps 0 / 0 away.
    q, k = (F.normalize(wide(x), dim=-1) for x in (q, k))
    scale = log_scale.clamp(max=math.log(100.0)).exp()
    return attention((q * scale, k, v), bias, mask, scale=1.0)


def attention(
    qkv: Sequence[Tensor], bias: Tensor, mask: Tensor | None, scale: float | None = None
) -> Tensor:
    """Attend within windows, [B, windows, heads, window², D] -> [B, windows, window², heads * D].

    qkv: queries, keys and values. bias: added to the scores, [heads, window², window²]. mask: as
    of `shift_mask`. scale: of the scores; None: 1 / sqrt(D).
    """
    scores = bias if mask is None else (bias + mask[:, None]).flatten(0, 1)
    # Fused attention takes four axes: windows join the batch, or the heads if scores differ.
    # The scores need four as well, or a slow path is taken.
    joined = 0 if mask is None else 1
    q, k, v = (t.flatten(joined, joined + 1) for t in qkv)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=scores[None].to(v.dtype), scale=scale)
    return out.reshape(qkv[2].shape).transpose(2, 3).flatten(3)
