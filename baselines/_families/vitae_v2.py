"""What RSP and SAMRS share, without torch: settings of their networks and published keys."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skybench.core import ModelCard

from .resnet import own_keys as resnet_keys
from .rvsa import own_keys as rvsa_keys
from .swin import Arch as SwinArch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ViTAEv2Arch:
    """Settings of a ViTAEv2, by stage; those of ViTAEv2-S if none is given."""

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


def fitted(card: ModelCard, arch: ViTAEv2Arch | SwinArch) -> ModelCard:
    """The card with the sizes that these settings give.

    Images have 224 pixels at least, with which the networks were trained and all maps are whole
    windows of 7: those of much smaller images would be mostly padding.
    """
    dim, stride = arch.levels[-1]
    return dataclasses.replace(card, dim=dim, levels=arch.levels, min_pixels=arch.window * stride)


REBUILT = ("relative_position_index", "relative_coords_table", "attn_mask")
# The network's last weight and its shape: they tell which one a state dict is of.
MARKS = {
    "vitaev2_s": ("layers.3.NC.1.mlp.fc2.weight", (512, 2048)),
    "swin_t": ("layers.3.blocks.1.mlp.fc2.weight", (768, 3072)),
    "resnet50": ("layer4.2.conv3.weight", (2048, 512, 1, 1)),
    "vit_b_rvsa": ("blocks.11.mlp.fc2.weight", (768, 3072)),
}


def bare(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what parallel training and a surrounding model put before the keys."""
    found = {re.sub(r"^(module\.)?(encoder\.)?(module\.)?", "", k): t for k, t in state.items()}
    return {k: t for k, t in found.items() if not k.endswith(REBUILT)}


def network_of(state: Mapping[str, Tensor], among: Container[str]) -> str:
    """The key of MARKS that fits a published state dict; "" if none of these does."""
    keys = bare(state)
    marks = ((name, *mark) for name, mark in MARKS.items() if name in among)
    return next((n for n, key, shape in marks if key in keys and keys[key].shape == shape), "")


def own_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Any of these networks under our names; heads, decoders and what is not used are left out.

    ViTAEv2's code does not apply the tables of relative positions and the norms that it has.
    """
    keys = bare(state)
    if any(key.startswith("blocks.") for key in keys):
        return rvsa_keys(keys)
    parts: tuple[str, ...] = ()
    if any(".RC." in key for key in keys):
        keys = {k: t for k, t in keys.items() if not k.endswith("relative_position_bias_table")}
        parts = ("layers.",)
    elif any(key.startswith("layers.") for key in keys):
        # Swin's norm is that of the last stage, or there is one of each.
        keys = {re.sub(r"^norm(\d?)\.", _norm, key): tensor for key, tensor in keys.items()}
        parts = ("patch_embed.", "layers.", "norms.")
    found = {f"net.{k}": t for k, t in keys.items() if k.startswith(parts)}
    return found or resnet_keys(keys)


def _norm(match: re.Match[str]) -> str:
    return f"norms.{match[1] or 3}."
