"""RVSA without torch: its settings, the sizes on its cards, and the keys of published files."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from skybench.core import ModelCard

if TYPE_CHECKING:
    from torch import Tensor

PREFIXES = ("module.", "encoder.", "backbone.")  # as the authors' loaders strip them, in turn
PARTS = ("cls_token", "pos_embed", "patch_embed.", "blocks.", "norm.", "fpn1.", "fpn2.")


Bias = Literal["none", "all", "query and value"]


@dataclass(frozen=True)
class RVSAArch:
    """Settings of an RVSA network; the defaults are ViT-B + RVSA as fine-tuned for dense tasks.

    Its relatives: SAMRS is `positions=False, relative=False`; MTP is this one; ViTAE-B is
    `bias="query and value", parallel=True`; the MAE networks, without windows, are
    `interval=1, relative=False, class_token=True, taken=()`.
    """

    dim: int = 768
    depth: int = 12
    heads: int = 12
    grid: int = 14  # tokens per side of the stored positional embedding
    interval: int = 3  # 1: all blocks attend from each token to all
    bias: Bias = "all"  # of queries, keys and values
    positions: bool = True  # an absolute positional embedding is added to the tokens
    relative: bool = True  # relative positions in the blocks that attend to all tokens
    separate: bool = False  # keys and values have windows of their own (RVSA with the diamond)
    parallel: bool = False  # the convolutions of ViTAE
    class_token: bool = False
    taken: tuple[int, ...] = (3, 5, 7, 11)  # blocks whose maps become the levels; (): one level


def rvsa_card(card: ModelCard, settings: RVSAArch) -> ModelCard:
    """Return the card with the feature sizes of these settings and at most its `min_pixels`."""
    dim = settings.dim
    levels = ((dim, 4), (dim, 8), (dim, 16), (dim, 32)) if settings.taken else ((dim, 16),)
    smallest = min(card.min_pixels, 16 * settings.grid)
    step = levels[-1][1]
    return dataclasses.replace(card, dim=dim, levels=levels, min_pixels=smallest, multiple=step)


def rvsa_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Map a published network's keys to ours; decoders and heads are dropped.

    ViTAE's 1 x 1 convolutions of pre-training, parallel to the attention, become 3 x 3.
    Source: github:ViTAE-Transformer/Remote-Sensing-RVSA@ef153d7 MAEPretrain_SceneClassification/
    main_finetune.py and convertK1toK3.py.
    """
    bare = dict(state)
    for prefix in PREFIXES:
        if any(key.startswith(prefix) for key in bare):
            bare = {k.removeprefix(prefix): t for k, t in bare.items() if k.startswith(prefix)}
    mapped = {}
    for key, tensor in bare.items():
        if not key.startswith(PARTS) or key.endswith("relative_position_index"):
            continue
        key = key.replace(".full_attn_rel_pos_", ".rel_pos_")  # so in MTP
        for part in ("q_bias", "v_bias"):
            key = key.replace(f".attn.{part}", f".attn.qkv.{part}")
        if ".PCM." in key and tensor.ndim == 4 and tensor.shape[-1] == 1:
            wide = tensor.new_zeros(*tensor.shape[:2], 3, 3)
            wide[:, :, 1:2, 1:2] = tensor
            tensor = wide
        mapped[f"net.{key}"] = tensor
    return mapped


def grid_of(own: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the setting `grid` of a state dict with windows; {} for MAE files (grid 14)."""
    table = own.get("net.pos_embed")
    if table is None or not any(".sampling_" in key for key in own):
        return {}
    return {"grid": math.isqrt(table.shape[1])}  # isqrt ignores the class token's row
