"""RVSA without torch: the sizes on its cards, and the keys of published files."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from skybench.core import ModelCard

from .rvsa_settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

PREFIXES = ("module.", "encoder.", "backbone.")  # as the authors' loaders strip them, in turn
PARTS = ("cls_token", "pos_embed", "patch_embed.", "blocks.", "norm.", "fpn1.", "fpn2.")


def fitted(card: ModelCard, settings: Settings) -> ModelCard:
    """The card with the sizes that these settings give; `min_pixels` is at most the card's."""
    dim = settings.dim
    levels = ((dim, 4), (dim, 8), (dim, 16), (dim, 32)) if settings.taken else ((dim, 16),)
    smallest = min(card.min_pixels, 16 * settings.grid)
    step = levels[-1][1]
    return dataclasses.replace(card, dim=dim, levels=levels, min_pixels=smallest, multiple=step)


def own_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published network under the names of ours; decoders and heads are left out.

    Convolutions of 1 x 1 beside the attention, as ViTAE is pre-trained, become 3 x 3.
    Source: github:ViTAE-Transformer/Remote-Sensing-RVSA@ef153d7 MAEPretrain_SceneClassification/
    main_finetune.py and convertK1toK3.py.
    """
    bare = dict(state)
    for prefix in PREFIXES:
        if any(key.startswith(prefix) for key in bare):
            bare = {k.removeprefix(prefix): t for k, t in bare.items() if k.startswith(prefix)}
    found = {}
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
        found[f"net.{key}"] = tensor
    return found


def grid_of(own: Mapping[str, Tensor]) -> dict[str, int]:
    """The setting `grid` of a network with windows under our keys; {} for the MAE files, of 14."""
    table = own.get("net.pos_embed")
    if table is None or not any(".sampling_" in key for key in own):
        return {}
    return {"grid": math.isqrt(table.shape[1])}  # there may be a row more
