"""What RSP and SAMRS share, without torch: settings, cards and published keys."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skybench.core import ModelCard

from .resnet import ResNetArch, resnet_card, resnet_keys
from .rvsa import RVSAArch, rvsa_card, rvsa_keys
from .swin import SwinArch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ViTAEv2Arch:
    """Settings of a ViTAEv2, by stage; the defaults are those of ViTAEv2-S."""

    embed_dims: tuple[int, ...] = (64, 64, 128, 256)
    token_dims: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = (2, 2, 8, 2)  # normal cells after the reduction cell
    rc_heads: tuple[int, ...] = (1, 1, 2, 4)
    nc_heads: tuple[int, ...] = (1, 2, 4, 8)
    rc_groups: tuple[int, ...] = (1, 16, 32, 64)
    nc_groups: tuple[int, ...] = (1, 32, 64, 128)
    window: int = 7  # of the first two stages

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """(channels, stride) of the stages."""
        return tuple((width, 4 << i) for i, width in enumerate(self.token_dims))


TINY_VITAE = ViTAEv2Arch(
    embed_dims=(8, 8, 16, 16), token_dims=(16, 32, 64, 128), depths=(1, 1, 1, 1),
    rc_groups=(1, 4, 8, 16), nc_groups=(1, 8, 16, 32), window=4,
)  # fmt: skip


Network = ViTAEv2Arch | SwinArch | ResNetArch | RVSAArch


def network_card(cards: Mapping[type, ModelCard], arch: Network) -> ModelCard:
    """Return the card of these settings' class with the sizes that they give.

    Images for ViTAEv2 and Swin have at least 224 pixels, the size of pre-training, for which every
    map is made of whole windows of 7: smaller images would be mostly padding.
    """
    card = cards[type(arch)]
    if isinstance(arch, RVSAArch):
        return rvsa_card(card, arch)
    if isinstance(arch, ResNetArch):
        return resnet_card(card, arch)
    dim, stride = arch.levels[-1]
    return dataclasses.replace(card, dim=dim, levels=arch.levels, min_pixels=arch.window * stride)


REBUILT = ("relative_position_index", "relative_coords_table", "attn_mask")
# Network -> its last weight and that weight's shape, which identify a state dict.
MARKS = {
    "vitaev2_s": ("layers.3.NC.1.mlp.fc2.weight", (512, 2048)),
    "swin_t": ("layers.3.blocks.1.mlp.fc2.weight", (768, 3072)),
    "resnet50": ("layer4.2.conv3.weight", (2048, 512, 1, 1)),
    "vit_b_rvsa": ("blocks.11.mlp.fc2.weight", (768, 3072)),
}


# In the files of ViTAEv2, whose code never applies them.
UNAPPLIED = ("*.RC.*.relative_position_bias_table", "*.NC.*.relative_position_bias_table")


def bare_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Strip the prefixes of parallel training and of a surrounding model from the keys."""
    mapped = {re.sub(r"^(module\.)?(encoder\.)?(module\.)?", "", k): t for k, t in state.items()}
    return {k: t for k, t in mapped.items() if not k.endswith(REBUILT)}


def identify_network(state: Mapping[str, Tensor], among: Container[str]) -> str:
    """Name the network of a published state dict, a key of MARKS; "" if none fits."""
    keys = bare_keys(state)
    marks = ((name, *mark) for name, mark in MARKS.items() if name in among)
    return next((n for n, key, shape in marks if key in keys and keys[key].shape == shape), "")


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of any of these networks to ours; heads, decoders and unused keys are dropped.

    ViTAEv2 stores relative position tables and norms that its code never applies.
    """
    keys = bare_keys(state)
    if any(key.startswith("blocks.") for key in keys):
        return rvsa_keys(keys)
    parts: tuple[str, ...] = ()
    if any(".RC." in key for key in keys):
        keys = {k: t for k, t in keys.items() if not k.endswith("relative_position_bias_table")}
        parts = ("layers.",)
    elif any(key.startswith("layers.") for key in keys):
        # Swin has one norm, of the last stage, or one per stage.
        keys = {re.sub(r"^norm(\d?)\.", _norm, key): tensor for key, tensor in keys.items()}
        parts = ("patch_embed.", "layers.", "norms.")
    mapped = {f"net.{k}": t for k, t in keys.items() if k.startswith(parts)}
    return mapped or resnet_keys(keys)


def _norm(match: re.Match[str]) -> str:
    return f"norms.{match[1] or 3}."
