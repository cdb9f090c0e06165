"""Networks of dense heads on feature pyramids: maps of a value per class and pixel."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.training.fit import resize_maps

Levels = Sequence[tuple[int, int]]  # (channels, stride), finest first
POOLS = (1, 2, 3, 6)  # UPerNet, Xiao et al. 2018
STRIDES = (4, 8, 16, 32)  # of the four levels that UPerNet expects


class SafeBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that uses running statistics for a single value per channel.

    One sample pooled to one pixel, as in the last batch of an epoch, has no variance.
    """

    shareable = True  # `training.shared_norms` does the same for several processes

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() > x.shape[1]:
            return super().forward(x)
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


def conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Return convolution, batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        SafeBatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def upsample(x: Tensor, like: Tensor) -> Tensor:
    """Upsample bilinearly to the size of another map."""
    return resize_maps(x, like.shape[-2:])


class Linear(nn.Module):
    """A 1x1 convolution on the feature pyramid.

    Computed on each level and summed at the finest: the same function as a 1x1 convolution on all
    levels upsampled and concatenated, at a fraction of the cost.
    """

    def __init__(self, levels: Levels, classes: int, width: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(nn.Conv2d(c, classes, 1) for c, _ in levels)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        logits = [layer(x) for layer, x in zip(self.each, levels, strict=True)]
        return [functools.reduce(torch.add, (upsample(x, logits[0]) for x in logits))]


class Neck(nn.Module):
    """A neck that makes levels of stride 4, 8, 16 and 32 from a single one, as of a plain ViT.

    As mmsegmentation's MultiLevelNeck: 1x1 convolution, resizing (by 4, 2, 1, 1/2 for a ViT of
    stride 16), 3x3 convolution.
    """

    def __init__(self, channels: int, stride: int, width: int) -> None:
        super().__init__()
        self.scales = tuple(stride / wanted for wanted in STRIDES)
        self.lateral = conv(channels, width, 1)
        self.out = nn.ModuleList(conv(width, width, 3) for _ in self.scales)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        x = self.lateral(levels[0])
        sizes = [[max(1, round(n * s)) for n in x.shape[-2:]] for s in self.scales]
        resized = [resize_maps(x, size) for size in sizes]
        return [layer(y) for layer, y in zip(self.out, resized, strict=True)]


def _levelled(levels: Levels, width: int) -> tuple[Neck | None, list[int]]:
    """A neck for a single level, None for several; and the channels of the levels after it."""
    if len(levels) > 1:
        return None, [c for c, _ in levels]
    return Neck(*levels[0], width), [width] * len(STRIDES)


class UPerNet(nn.Module):
    """UPerNet with an FCN auxiliary head on the second coarsest level.

    Pyramid pooling (1, 2, 3, 6) on the coarsest level, lateral 1x1 and 3x3 convolutions, fusion
    at the finest level, dropout 0.1. Returns [logits, auxiliary logits] in training, else
    [logits], at the finest level's size.
    Source: Xiao et al. 2018 (arXiv 1807.10221); the widths of the iSAID configuration in
    Bili-Sakura/SkySense@107d4e0 segmentation/configs/swin_transformer_v2 (512 channels, FCN
    on stage 3 with weight 0.4).
    """

    def __init__(self, levels: Levels, classes: int, width: int) -> None:
        super().__init__()
        self.neck, channels = _levelled(levels, width)
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(p), conv(channels[-1], width, 1)) for p in POOLS
        )
        self.bottleneck = conv(channels[-1] + len(POOLS) * width, width, 3)
        self.lateral = nn.ModuleList(conv(c, width, 1) for c in channels[:-1])
        self.smooth = nn.ModuleList(conv(width, width, 3) for _ in channels[:-1])
        self.fuse = conv(len(channels) * width, width, 3)
        self.classify = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1))
        half = max(1, width // 2)
        self.auxiliary = nn.Sequential(
            conv(channels[-2], half, 3), nn.Dropout2d(0.1), nn.Conv2d(half, classes, 1)
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        if self.neck is not None:
            levels = self.neck(levels)
        top = levels[-1]
        pooled = [upsample(pool(top), top) for pool in self.pools]
        maps = [layer(x) for layer, x in zip(self.lateral, levels[:-1], strict=True)]
        maps.append(self.bottleneck(torch.cat([top, *pooled], 1)))
        for i in range(len(maps) - 2, -1, -1):
            maps[i] = maps[i] + upsample(maps[i + 1], maps[i])
        smooth = [layer(x) for layer, x in zip(self.smooth, maps[:-1], strict=True)]
        fused = torch.cat([upsample(x, maps[0]) for x in (*smooth, maps[-1])], 1)
        logits = [self.classify(self.fuse(fused))]
        return [*logits, self.auxiliary(levels[-2])] if self.training else logits


class UNet(nn.Module):
    """A U-Net decoder: from the coarsest level up, each concatenated with the next finer one.

    Two 3x3 convolutions per level. Source: Ronneberger et al. 2015 (arXiv 1505.04597), on a
    backbone's pyramid as in the change-detection heads of ViTAE-Transformer/MTP.
    """

    def __init__(self, levels: Levels, classes: int, width: int) -> None:
        super().__init__()
        self.neck, channels = _levelled(levels, width)
        self.top = conv(channels[-1], width, 3)
        self.up = nn.ModuleList(
            nn.Sequential(conv(width + c, width, 3), conv(width, width, 3)) for c in channels[:-1]
        )
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        if self.neck is not None:
            levels = self.neck(levels)
        x = self.top(levels[-1])
        for level, layer in zip(reversed(levels[:-1]), reversed(self.up), strict=True):
            x = layer(torch.cat([upsample(x, level), level], 1))
        return [self.classify(x)]


class MTPUNet(nn.Module):
    """MTP's U-Net decoder: each level has half the width of the coarser one before it.

    Upsampled by 2 (nearest), concatenated with the finer level, two 3x3 convolutions; once more
    without a level, at twice the finest level's size; bilinearly by 2, dropout 0.1, 1x1
    convolution: at the image's size for a finest stride of 4.
    Source: ViTAE-Transformer/MTP@d5e84ff RS_Tasks_Finetune/Change_Detection: UNetHead in
    opencd/models/decode_heads/unet_head.py:152-228, widths 512, 256, 128, 64 and dropout in
    configs/mtp/levir/rvsa-l-unet-256-mae-mtp_levir.py:180-193 (`width` is the first of them).
    """

    def __init__(self, levels: Levels, classes: int, width: int) -> None:
        super().__init__()
        self.neck, channels = _levelled(levels, width)
        widths = [max(1, width >> i) for i in range(len(channels))]
        before, beside = [channels[-1], *widths[:-1]], [*channels[-2::-1], 0]
        self.up = nn.ModuleList(
            nn.Sequential(conv(a + b, w, 3), conv(w, w, 3))
            for a, b, w in zip(before, beside, widths, strict=True)
        )
        self.classify = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(widths[-1], classes, 1))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        if self.neck is not None:
            levels = self.neck(levels)
        x = levels[-1]
        for level, layer in zip(reversed(levels[:-1]), self.up[:-1], strict=True):
            x = layer(torch.cat([F.interpolate(x, level.shape[-2:]), level], 1))
        x = self.up[-1](F.interpolate(x, scale_factor=2.0))
        return [self.classify(F.interpolate(x, scale_factor=2.0, mode="bilinear"))]


class FPN(nn.Module):
    """A feature pyramid network: levels summed from coarse to fine, then classified together.

    1x1 convolution of each level, summed top-down; 3x3 convolution with normalisation; all levels
    at the finest one's size, concatenated, 1x1 convolution.
    Source: torchgeo/torchgeo-bench@241b178 src/torchgeo_bench/models/segmentation_heads.py:
    FPNHead (width 256), but for the normalisation of its inputs; those of dense heads are
    standardised here. From a single level, a neck makes four; it hooks several layers instead.
    """

    def __init__(self, levels: Levels, classes: int, width: int) -> None:
        super().__init__()
        self.neck, channels = _levelled(levels, width)
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1, bias=False) for c in channels)
        self.smooth = nn.ModuleList(conv(width, width, 3) for _ in channels)
        self.classify = nn.Conv2d(len(channels) * width, classes, 1)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        if self.neck is not None:
            levels = self.neck(levels)
        maps = [layer(x) for layer, x in zip(self.lateral, levels, strict=True)]
        for i in range(len(maps) - 2, -1, -1):
            maps[i] = maps[i] + upsample(maps[i + 1], maps[i])
        smooth = [layer(x) for layer, x in zip(self.smooth, maps, strict=True)]
        return [self.classify(torch.cat([upsample(x, smooth[0]) for x in smooth], 1))]


class DateDifference(nn.Module):
    """A head on the feature difference of two dates: levels [B, 2, C, h, w] -> |second - first|."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, levels: Sequence[Tensor]) -> Any:
        return self.head([(x[:, 1] - x[:, 0]).abs() for x in levels])


class EachDate(nn.Module):
    """A head applied to each date: levels [B, T, C, h, w] -> logits [B * T, K, h, w]."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, levels: Sequence[Tensor]) -> Any:
        return self.head([x.flatten(0, 1) for x in levels])


# By the names that recipes use (`Recipe.head`).
DECODERS: Mapping[str, Callable[[Levels, int, int], nn.Module]] = {
    "linear": Linear,
    "upernet": UPerNet,
    "fpn": FPN,
    "unet": UNet,
    "unet-mtp": MTPUNet,
}
