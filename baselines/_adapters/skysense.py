"""The adapter of SkySense."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import Batch, CannotRun, Features, ModelCard
from skybench.core.model import Model

from .._families.constants import per_channel
from .._families.skysense import Arch, Positions
from .._networks.fusion import Fusion, UPHead
from .._networks.precision import date_mean, wide
from .._networks.prototypes import Prototypes
from .._networks.swin_v2 import SwinV2
from .._networks.vit_mm import PATCH, ViT
from .dates import year_and_ordinal

# Mean and standard deviation in each input's unit. "hr": ImageNet's on 0..255, as in the official
# configurations; for the near infrared none are published, and as its input plane starts as a copy
# of red's, it is normalised as red. "s2" and "s1": `modal_norm_dict` of
# github:kang-wu/SkySensePlusPlus@cb0c6b7 lib/datasets/utils/dataset_colors.py.
STATISTICS = {
    "hr": ((123.675, 116.28, 103.53, 123.675), (58.395, 57.12, 57.375, 58.395)),
    "s2": (
        (
            884.29673756, 1144.16202635, 1297.47289228, 1624.90992062, 2194.6423161,
            2422.21248945, 2517.76053101, 2581.64687018, 2368.51236873, 1805.06846033,
        ),
        (
            1155.15170768, 1183.6292542, 1368.11351514, 1370.265037, 1355.55390699,
            1416.51487101, 1474.78900051, 1439.3086061, 1455.52084939, 1343.48379601,
        ),
    ),
    "s1": ((-12.54847273, -20.19237134), (5.25697717, 5.91150917)),
}  # fmt: skip
SENTINEL = ("s2", "s1")  # in the order of their tokens
DAYS = 365  # of the calendar embedding
FIRST = "net.patch_embed.projection.weight"


def normalise(name: str, x: Tensor) -> Tensor:
    """[B, T, C, H, W] in the input's unit -> (x - mean) / std of the pre-training data."""
    mean, std = (per_channel(s[: x.shape[2]], x) for s in STATISTICS[name])
    return (x - mean) / std


def day_of_year(days: Tensor) -> Tensor:
    """Days since 1970-01-01 -> day of the year, 0..364; -1 (unknown) stays -1.

    The last day of a leap year counts as day 364: there are 365 embeddings.
    """
    passed = year_and_ordinal(days)[1]
    return torch.where(days < 0, -1, passed.clamp(max=DAYS - 1))


def fuses(dates: Mapping[str, int]) -> bool:
    """True if inputs (name -> number of dates) are fused: several sensors or Sentinel dates."""
    return len(dates) > 1 or any(dates[name] > 1 for name in SENTINEL if name in dates)


def averaged(maps: tuple[Tensor, ...]) -> Features:
    """Features of maps [B, C_i, h_i, w_i]; `pooled` is the spatial mean of the last."""
    return Features(wide(maps[-1]).mean((2, 3)), maps)


class SkySense(Model):
    """High-resolution images, Sentinel-2 and Sentinel-1 series, or any subset of these.

    - "hr" alone: the four stages, and the mean of the last. Dates are averaged stage by stage.
    - One date of a Sentinel sensor alone: its ViT's last map, stride 4, and its mean.
    - Several sensors, or several dates: the tokens of each location (one for "hr", one per date
      for the others) are fused. Locations are the cells of stride 32 of "hr", to which Sentinel
      maps are resized if necessary (SkySense++ pairs images so that a Sentinel pixel is such a
      cell); without "hr", the pixels of Sentinel-2, or else of Sentinel-1. `pooled` is the mean of
      the fused map, which is the last level of the pyramid, after the stages of "hr"; without "hr"
      it is averaged to stride 4, since 1024 channels per pixel are too much for dense heads.

    Unseen dates are left out. The case depends on the number of dates in the batch, so a sample
    with a single date beside longer series is fused.
    """

    def __init__(self, card: ModelCard, arch: Arch) -> None:
        super().__init__(card)
        self.arch, width = arch, arch.token_dims
        self.net: SwinV2 | None = None
        self.fusion: Fusion | None = None
        self.ctpe: nn.Parameter | None = None
        self.prototypes: Prototypes | None = None
        if "hr" in arch.parts:
            self.net = SwinV2(
                arch.embed_dims, arch.depths, arch.num_heads, arch.in_channels,
                arch.pad_small_map,
            )  # fmt: skip
        for name in SENTINEL:
            if name in arch.parts:
                stored = Positions(arch.vit_grid, arch.vit_class_token)
                sizes = (arch.vit_dims, arch.vit_layers, arch.vit_heads, stored)
                self.add_module(name, ViT(len(STATISTICS[name][0]), *sizes, arch.eps))
            if f"head_{name}" in arch.parts:
                self.add_module(f"head_{name}", UPHead(arch.vit_dims, width))
        if "fusion" in arch.parts:
            self.fusion = Fusion(width, arch.fusion_dims, arch.fusion_layers, arch.fusion_heads)
            if arch.prototypes:
                self.prototypes = Prototypes(*arch.regions, arch.prototypes, arch.fusion_dims)
        if "ctpe" in arch.parts:
            self.ctpe = nn.Parameter(0.02 * torch.randn(1, DAYS, width))

    def forward(self, batch: Batch) -> Features:
        images = {name: normalise(name, x) for name, x in batch.images.items()}
        return self.features(dataclasses.replace(batch, images=images))

    def extract(self, images: Tensor) -> Features:
        """Features of normalised high-resolution images, [B, C, H, W]."""
        assert self.net is not None
        return averaged(self.net(images))

    def features(self, batch: Batch) -> Features:
        """Features of normalised images. Raises CannotRun if a needed part is missing."""
        dates = {name: x.shape[1] for name, x in batch.images.items()}
        self._require(dates)
        stages = self.stages(batch) if "hr" in dates else ()
        if not fuses(dates):
            single = [self.get_submodule(n)(batch.images[n][:, 0]) for n in dates if n != "hr"]
            return averaged((*stages, *single))
        fused = self.fuse(batch, stages[-1] if stages else None)
        return averaged((*stages, fused if stages else F.avg_pool2d(fused, PATCH)))

    def levels_of(self, inputs: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
        self._require(inputs)
        high = self.card.levels if "hr" in inputs else ()
        if not fuses(inputs):
            return high or ((self.arch.vit_dims, PATCH),)
        width = self.arch.fusion_dims * (2 if self.arch.prototypes else 1)
        return (*high, (width, high[-1][1] if high else PATCH))

    def _require(self, dates: Mapping[str, int]) -> None:
        """Raise CannotRun unless every part that these inputs need is built."""
        heads = [f"head_{name}" for name in SENTINEL if name in dates]
        needed = [*dates, *([*heads, "fusion"] if fuses(dates) else [])]
        lacking = [part for part in needed if part not in self.arch.parts]
        if lacking:
            raise CannotRun(
                f"skysense reads {' and '.join(dates)} ({max(dates.values())} date(s)) only with "
                f"its parts {', '.join(lacking)}, but these weights hold only "
                f"{', '.join(self.arch.parts)}. Give the joint checkpoint or a folder with all "
                "files by --weights PATH, or choose sensors that need less by --sensors"
            )

    def stages(self, batch: Batch) -> tuple[Tensor, ...]:
        """Stages of "hr", [B, C_i, H / stride_i, W / stride_i], averaged over the seen dates."""
        assert self.net is not None
        images = batch.images["hr"]
        each: list[tuple[Tensor, ...]] = [
            self.net(images[:, date]) for date in range(images.shape[1])
        ]
        if len(each) == 1:
            return each[0]
        seen = batch.seen["hr"].float()
        share = (seen / seen.sum(1, keepdim=True).clamp(min=1)).T  # [T, B]
        stacked = (torch.stack(stage) for stage in zip(*each, strict=True))
        return tuple(date_mean(stage, share) for stage in stacked)

    def tokens(self, name: str, images: Tensor, days: Tensor) -> Tensor:
        """Embed one date of a Sentinel sensor, [B, C, H, W] and [B] -> [B, token_dims, H, W]."""
        x: Tensor = self.get_submodule(f"head_{name}")(self.get_submodule(name)(images))
        if name != "s2" or self.ctpe is None:
            return x
        day = day_of_year(days)
        codes = self.ctpe[0, day] * (day >= 0)[:, None]
        return x + codes[:, :, None, None]

    def fuse(self, batch: Batch, high: Tensor | None) -> Tensor:
        """Fuse normalised Sentinel series and a map of "hr" to one map, [B, fusion_dims, h, w].

        With prototypes it has twice the channels: the attended prototypes follow the tokens.
        high: the last stage, [B, token_dims, h, w]; None without "hr".
        """
        assert self.fusion is not None
        grid = None if high is None else high.shape[-2:]
        maps = [] if high is None else [self.fusion.project(high.movedim(1, -1))]
        seen = [] if high is None else [batch.seen["hr"].any(1)]
        for name in (n for n in SENTINEL if n in batch.images):
            for date in range(batch.images[name].shape[1]):
                x = self.tokens(name, batch.images[name][:, date], batch.days[name][:, date])
                grid = grid or x.shape[-2:]
                if x.shape[-2:] != grid:
                    # Antialiasing exists in float32 alone on CPUs.
                    x = F.interpolate(wide(x), grid, mode="bilinear", antialias=True)
                maps.append(self.fusion.project(x.movedim(1, -1)))  # [B, h, w, fusion_dims]
                seen.append(batch.seen[name][:, date])
        places = torch.stack(maps, 3)  # [B, h, w, tokens, fusion_dims]
        present = torch.stack(seen, 1)  # [B, tokens]
        shape, count = places.shape[:3], places.shape[1] * places.shape[2]
        mask = None if present.all() else present.repeat_interleave(count, 0)
        fused: Tensor = self.fusion(places.flatten(0, 2), mask)
        fused_map = fused.view(*shape, -1).movedim(-1, 1)
        return fused_map if self.prototypes is None else self.prototypes(fused_map, batch.lonlat)

    def adapt(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Drop parts that are not built, and widen a first layer for three bands to four.

        The fourth input channel is a copy of red's. Source: github:Bili-Sakura/SkySense@107d4e0
        tools/ckpt_convert.py.
        """
        parts = {key.split(".")[0] for key in self.state_dict()} | {"ctpe"}
        state = {key: x for key, x in state.items() if key.split(".")[0] in parts}
        kernel = state.get(FIRST)
        if kernel is None or self.arch.in_channels != 4 or kernel.shape[1:2] != (3,):
            return state
        return {**state, FIRST: torch.cat((kernel, kernel[:, :1]), 1)}

    def layers(self) -> Sequence[nn.Module]:
        """Layers of all branches and of the fusion side by side, aligned at their last layers.

        Layer-wise learning-rate decay thus runs through each branch separately, as in
        github:kang-wu/SkySensePlusPlus@cb0c6b7 `get_optimizer_parameters`, where the heads and the
        calendar embedding belong to no layer and have the full learning rate.
        """
        columns = [m.layer_groups() for m in self.children() if isinstance(m, ViT | Fusion)]
        columns += [self.net.layer_groups()] if self.net is not None else []
        longest = max(map(len, columns))
        return [
            nn.ModuleList(c[len(c) - back] for c in columns if back <= len(c))
            for back in range(longest, 0, -1)
        ]
