"""The adapter of SatLas."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.swin_transformer import (
    PatchMergingV2,
    ShiftedWindowAttentionV2,
    SwinTransformer,
    SwinTransformerBlockV2,
)
from torchvision.ops import FeaturePyramidNetwork

from skybench.core import Batch, Features, ModelCard, WeightsError

from .._families.constants import per_channel
from .._families.resnet import ResNetArch
from .._families.satlas import AMPLITUDE, FPN_DIMS, TCI, Arch
from .._networks.precision import wide
from .._networks.windows import cosine_attention, shifted_windows
from . import resnet

# What brings each band to 0..1 before clipping: (x + offset) / range. Source:
# github:allenai/satlas@c8b9aa5 Normalization.md; for assumptions of ours see the cards' `caveats`.
RANGES = {
    "aerial": (0.0, (255.0,)),
    "sentinel2_rgb": (0.0, (TCI,)),
    "sentinel2_ms": (0.0, (TCI,) * 3 + (8160.0,) * 6),  # values of level 1C / 8160
    # (N - 4000) / 16320 of level 1's digital numbers N = 5 x + 5000, x = reflectance x 1e4.
    "landsat": (200.0, (3264.0,)),
    "sentinel1": (0.0, (255.0,)),  # digital numbers of GRD / 255
}


def normalise(sensor: str, x: Tensor) -> Tensor:
    """[..., C, H, W] in the input's unit -> 0..1."""
    offset, ranges = RANGES[sensor]
    if sensor == "sentinel1":
        x = AMPLITUDE * 10 ** (x / 20)
    return ((x + offset) / per_channel(ranges, x)).clamp(0, 1)


class Attention(ShiftedWindowAttentionV2):  # type: ignore[misc]
    """torchvision's window attention, fused, and right under autocast as well."""

    def get_relative_position_bias(self) -> Tensor:
        if self.cpb_mlp[0].weight.dtype != torch.float32:  # loaded in half precision
            half: Tensor = super().get_relative_position_bias()
            return half
        with torch.autocast(self.relative_coords_table.device.type, enabled=False):
            bias: Tensor = super().get_relative_position_bias()
        return bias

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> [B, H, W, C]."""
        window = self.window_size[0]
        down, across = (
            shift > 0 and n > window for shift, n in zip(self.shift_size, x.shape[1:3], strict=True)
        )
        return shifted_windows(x, window, (down, across), self._attend)

    def _attend(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x: [B, windows, window², C]; mask: of `shift_mask`; returns x's shape."""
        first, second, third = self.qkv.bias.chunk(3)
        bias = torch.cat((first, torch.zeros_like(second), third))  # keys have none
        qkv = F.linear(x, self.qkv.weight, bias).view(*x.shape[:3], 3, self.num_heads, -1)
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5)  # 3 x [B, windows, heads, window², C / heads]
        places = self.get_relative_position_bias()[0]
        projected: Tensor = self.proj(cosine_attention((q, k, v), self.logit_scale, places, mask))
        return projected


def build_backbone(arch: Arch) -> Any:
    """Build the backbone with fresh weights: a ResNet, or Swin V2 without norm and classifier."""
    if not arch.heads:
        return resnet.build_resnet(
            ResNetArch(arch.depths, width=arch.width, channels=arch.channels)
        )
    net = SwinTransformer(
        patch_size=[4, 4],
        embed_dim=arch.width,
        depths=list(arch.depths),
        num_heads=list(arch.heads),
        window_size=[8, 8],
        stochastic_depth_prob=0.0,  # a matter of the recipe
        block=functools.partial(SwinTransformerBlockV2, attn_layer=Attention),
        downsample_layer=PatchMergingV2,
    )
    net.features[0][0] = nn.Conv2d(arch.channels, arch.width, 4, 4)
    net.norm, net.head = nn.Identity(), nn.Identity()
    for module in net.modules():
        for name in ("relative_coords_table", "relative_position_index"):
            if hasattr(module, name):  # computed, so no matter of weights
                module.register_buffer(name, getattr(module, name), persistent=False)
    return net


class SatLas(resnet.FrozenNorms):
    """[B, T, C, H, W] -> four maps, each the maximum over dates, and the mean of the last.

    Networks for single images get T = 1.
    """

    net: Any  # torchvision and timm have no types

    def __init__(self, card: ModelCard, arch: Arch) -> None:
        super().__init__(card)
        self.arch, self.net = arch, build_backbone(arch)
        widths = [channels for channels, _ in arch.stages]
        self.fpn = FeaturePyramidNetwork(widths, FPN_DIMS) if arch.fpn else None

    def forward(self, batch: Batch) -> Features:
        (sensor,) = self.card.inputs
        images = normalise(self.arch.sensor, batch.images[sensor.name])
        return self.extract(images, batch.seen[sensor.name])

    def extract(self, images: Tensor, seen: Tensor) -> Features:
        """Features of normalised images, [B, T, C, H, W]; seen: bool [B, T]."""
        apart = self.stages(images.flatten(0, 1))
        unseen = ~seen[:, :, None, None, None]
        each = (x.view(*seen.shape, *x.shape[1:]) for x in apart)
        maps = tuple(x.masked_fill(unseen, -torch.inf).amax(1) for x in each)
        pooled = wide(maps[-1]).mean((2, 3))
        if self.fpn is None:
            return Features(pooled, maps)
        return Features(pooled, tuple(self.fpn(dict(zip("0123", maps, strict=True))).values()))

    def stages(self, x: Tensor) -> list[Tensor]:
        """[B, C, H, W] -> the four stages, [B, C_i, H / stride_i, W / stride_i]."""
        maps = []
        if not self.arch.heads:
            x = resnet.stem(self.net, x)
            for stage in resnet.stages(self.net):
                x = stage(x)
                maps.append(x)
            return maps
        for index, part in enumerate(self.net.features):  # stem, stage, merging, stage, …
            x = part(x)
            if index % 2:
                maps.append(x.permute(0, 3, 1, 2))
        return maps

    def adapt(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Drop the FPN's parameters if this model has no FPN.

        Raises WeightsError if it has one and the file does not: the FPN is too small a part of the
        network for coverage to tell.
        """
        if self.fpn is None:
            return {key: tensor for key, tensor in state.items() if not key.startswith("fpn.")}
        if state and not any(key.startswith("fpn.") for key in state):
            raise WeightsError(
                "These weights of satlas hold no FPN; give the authors' file by --weights PATH, or "
                "leave fpn out"
            )
        return state

    def layers(self) -> Sequence[nn.Module]:
        """Stem, then block by block; patch merging belongs to the block after it."""
        if not self.arch.heads:
            blocks = (block for stage in resnet.stages(self.net) for block in stage)
            return (nn.ModuleList((self.net.conv1, self.net.bn1)), *blocks)
        stem, *rest = self.net.features
        parts: list[nn.Module] = [stem]
        for merging, stage in zip([nn.Identity(), *rest[1::2]], rest[::2], strict=True):
            first, *others = stage
            parts += [nn.ModuleList((merging, first)), *others]
        return parts
