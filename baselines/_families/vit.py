"""Plain Vision Transformers without torch: their settings, cards and published keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skybench.core import ModelCard

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Arch:
    """Settings of a Vision Transformer; those of ViT-B/16 if none is given."""

    image: int = 224  # side in pixels that the stored positions are for
    patch: int = 16
    dim: int = 768
    depth: int = 12
    heads: int = 12
    channels: int = 3  # of the input
    class_token: bool = True
    qkv_bias: bool = True
    eps: float = 1e-6  # of the layer norms
    last: int = 1  # how many last blocks `pooled` reads, see `_vit.ViT`


VIT_S = Arch(dim=384, heads=6)
VIT_B = Arch()
VIT_L = Arch(dim=1024, depth=24, heads=16)
VIT_H = Arch(patch=14, dim=1280, depth=32, heads=16)
TINY = Arch(image=64, dim=32, depth=2, heads=2)


def fitted(card: ModelCard, arch: Arch) -> ModelCard:
    """The card with the sizes that these settings give; `pooled` as `_vit.class_tokens` does."""
    return dataclasses.replace(
        card,
        dim=arch.dim * min(arch.last, arch.depth),
        levels=((arch.dim, arch.patch),),
        min_pixels=arch.image,
        multiple=arch.patch,
    )


PARTS = ("cls_token", "pos_embed", "patch_embed", "blocks", "norm")


def own_keys(state: Mapping[str, Tensor], *prefixes: str) -> dict[str, Tensor]:
    """A published ViT under the names of ours: timm's, below "net.".

    prefixes: of the network's keys in published files, with or without "module."; the first that
    occurs counts, else there is none. What is no part of the network is left out: heads,
    decoders, momentum encoders.
    """
    known = [module + p for p in (*prefixes, "") for module in ("module.", "")]
    prefix = next((p for p in known if any(k.startswith(p) for k in state)), "")
    bare = {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}
    return {f"net.{k}": t for k, t in bare.items() if k.partition(".")[0] in PARTS}
