"""Shifted-window attention, shared by both Swin Transformers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

APART = -100.0  # score between regions that only the roll brought together


@functools.lru_cache(maxsize=64)
def shift_mask(height: int, width: int, window: int, device: torch.device) -> Tensor:
    """Attention mask of a rolled map, 0 or -100, [windows, window², window²].

    height, width: of the padded map. Padding itself is not masked, as in all official code.
    """
    # Built outside inference mode: the cached tensor is used in training as well.
    with torch.inference_mode(False):

        def region(size: int) -> Tensor:
            at = torch.arange(size, device=device)
            return (at >= size - window).long() + (at >= size - window // 2)

        regions = 3 * region(height)[:, None] + region(width)
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
    x: Tensor, window: int, shifted: bool, attend: Callable[[Tensor, Tensor | None], Tensor]
) -> Tensor:
    """Apply attention in (shifted) windows, [B, H, W, C] -> [B, H, W, C]; pads right and bottom.

    attend: takes windows [B, windows, window², C] and, if shifted, the mask of `shift_mask`.
    """
    height, width = x.shape[1:3]
    shift = window // 2 if shifted else 0
    x = F.pad(x, (0, 0, 0, -width % window, 0, -height % window))
    down, across = x.shape[1:3]
    x = x.roll((-shift, -shift), (1, 2)) if shift else x
    mask = shift_mask(down, across, window, x.device) if shift else None
    x = window_reverse(attend(window_partition(x, window), mask), down, across, window)
    x = x.roll((shift, shift), (1, 2)) if shift else x
    return x[:, :height, :width]


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
