"""Plain Vision Transformers without torch: their settings, cards and published keys."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skybench.core import ModelCard

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ViTArch:
    """Settings of a Vision Transformer; the defaults are those of ViT-B/16."""

    image: int = 224  # side in pixels of the stored positional embedding
    patch: int = 16
    dim: int = 768
    depth: int = 12
    heads: int = 12
    channels: int = 3  # of the input
    class_token: bool = True
    qkv_bias: bool = True
    eps: float = 1e-6  # of the layer norms
    last: int = 1  # number of last blocks that `pooled` reads, see `_adapters.vit.ViT`


@dataclass(frozen=True)
class SensorArch:
    """Settings of a Vision Transformer that is used for one sensor at a time."""

    sensor: str = "s2"  # a key of the plugin's INPUTS
    image: int = 224  # side in pixels of the stored positional embedding
    patch: int = 16
    dim: int = 768
    depth: int = 12
    heads: int = 12

    def vit(self) -> ViTArch:
        """The settings of the transformer itself."""
        return ViTArch(self.image, self.patch, self.dim, self.depth, self.heads)


VIT_S = ViTArch(dim=384, heads=6)
VIT_B = ViTArch()
VIT_L = ViTArch(dim=1024, depth=24, heads=16)
VIT_H = ViTArch(patch=14, dim=1280, depth=32, heads=16)
TINY_VIT = ViTArch(image=64, dim=32, depth=2, heads=2)


def vit_card(card: ModelCard, arch: ViTArch) -> ModelCard:
    """Return the card with the feature sizes of these settings, pooled by class tokens."""
    return dataclasses.replace(
        card,
        dim=arch.dim * min(arch.last, arch.depth),
        levels=((arch.dim, arch.patch),),
        min_pixels=arch.image,
        multiple=arch.patch,
    )


PARTS = ("cls_token", "pos_embed", "patch_embed", "blocks", "norm")


def vit_keys(state: Mapping[str, Tensor], *prefixes: str) -> dict[str, Tensor]:
    """Map a published ViT's keys to ours: timm's names below "net.".

    prefixes: possible prefixes of the network's keys, with or without "module."; the first that
    occurs is stripped. Keys outside the network are dropped: heads, decoders, momentum encoders.
    """
    known = [module + p for p in (*prefixes, "") for module in ("module.", "")]
    prefix = next((p for p in known if any(k.startswith(p) for k in state)), "")
    bare = {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}
    return {f"net.{k}": t for k, t in bare.items() if k.partition(".")[0] in PARTS}


def image_setting(own: Mapping[str, Tensor], patch: int = 0) -> dict[str, int]:
    """Return the setting `image` that a stored positional embedding decides; {} if it is unclear.

    own: a state dict with our keys. patch: side of a patch; 0: that of the convolution in the file.
    """
    table, kernel = own.get("net.pos_embed"), own.get("net.patch_embed.proj.weight")
    if kernel is None:
        kernel = own.get("net.patch_embed.0.proj.weight")
    side_of_patch = patch or (kernel.shape[-1] if kernel is not None and kernel.ndim == 4 else 0)
    if table is None or table.ndim != 3 or not side_of_patch:
        return {}
    count = table.shape[1] - ("net.cls_token" in own)
    side = math.isqrt(count)
    return {"image": side * side_of_patch} if side * side == count else {}
