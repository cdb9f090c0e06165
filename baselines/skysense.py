"""SkySense: high-resolution images, Sentinel-2 and Sentinel-1 series, and their fusion.

Three branches (a Swin Transformer V2 of 655 million parameters, two ViT-L of 303 million each) and
a transformer over all their tokens of a place; together 1,659,013,072 parameters. What the authors
publish no code for, and what follows from that:

- No whole model: the forward pass is that of SkySense++ (github:kang-wu/SkySensePlusPlus@cb0c6b7
  lib/models/segmentors/skysense_pp_pipeline.py, steps 1 to 3) without its annotations and VAE. As
  there, only Sentinel-2's tokens get the calendar embedding.
- No geo-context prototypes, neither code nor tensors: absent unless `prototypes` says how many a
  region has; then they are untrained, after the paper's description (`_networks.prototypes`).
  The paper counts 2.06 billion parameters with them and with parts for training only.
- No classification head: `pooled` is the spatial mean of the last map, which is the choice of this
  adapter. It has 2816 channels for images of high resolution alone, else 1024.

Weights come as one joint file or as up to six files. What a file does not hold is not built, and
a sensor or fusion that needs it cannot run.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import DB, REFLECTANCE, UINT8, ModelCard, Sensor, UsageError, WeightsSource
from skybench.core.sensors import S2_FINE

from ._families.settings import choose

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model


CARD = ModelCard(
    name="skysense",
    title="SkySense",
    row="paper",
    inputs=(
        Sensor("hr", ("red", "green", "blue"), 0.3, UINT8),  # pre-training: WorldView 0.3 m
        Sensor("s2", S2_FINE, 10.0, REFLECTANCE),
        Sensor("s1", ("vv", "vh"), 10.0, DB),
    ),
    dim=2816,
    levels=((352, 4), (704, 8), (1408, 16), (2816, 32)),
    paper="Guo et al., SkySense, CVPR 2024, arXiv:2312.10115",
    code=(
        "github:Bili-Sakura/SkySense@107d4e0 models/ (the official upload, 5ec7e33), composed as "
        "in github:kang-wu/SkySensePlusPlus@cb0c6b7 lib/models/segmentors/skysense_pp_pipeline.py"
    ),
    licence="no licence file in the official repository; this adapter is skybench's own code",
    weights=WeightsSource(
        filename="skysense_model_backbone_hr.pth",
        obtain=(
            "Open https://www.notion.so/SkySense-Checkpoints-a7fcff6ce29a4647a08c7fe416910509 in a "
            "browser and download skysense_model_backbone_hr.pth; for Sentinel data also "
            "skysense_model_backbone_s2.pth and _s1.pth, for several sensors or dates also "
            "skysense_model_head_s2.pth, _head_s1.pth and skysense_model_fusion.pth, all into one "
            "folder; or the joint checkpoint, renamed to skysense_model_backbone_hr.pth."
        ),
        licence="non-commercial research only (the authors' README)",
        container="model",
        prefix="backbone_gep. | backbone_s2. | backbone_s1. | head_s2. | head_s1. | fusion.",
        noncommercial=True,
        # The published files hold norm3 only; the authors' downstream configurations start the
        # norms of the other stages at weight 1, bias 0 as well.
        missing=("net.norms.[012].*", "prototypes.*"),
    ),
    pretraining=(
        "Contrastive learning over 21.5 million series of high-resolution images, Sentinel-2 and "
        "Sentinel-1 (the authors' own set; WorldView-3 and -4 for the first)."
    ),
    normalisation=(
        "hr: ImageNet's mean and deviation of x / 255 (the official configurations); s2, s1: "
        "SkySense++'s modal_norm_dict (lib/datasets/utils/dataset_colors.py), raw values"
    ),
    pooling="spatial mean of the last map: ours, no official classification head is public",
    params=1_659_013_072,
    temporal=True,
    min_pixels=256,  # the official code refuses maps smaller than the window
    multiple=32,
    sides={"s2": (16, 4), "s1": (16, 4)},  # 16 is SkySense++'s size beside 512 pixels of "hr"
)

# Part -> the prefix of its keys in the joint file, in our network, and a key that tells it is
# there. Source: github:Bili-Sakura/SkySense@107d4e0 tools/ckpt_convert.py; it only says "head" for
# the heads, whose names are SkySense++'s.
PARTS = {
    "hr": ("backbone_gep.", "net.", "patch_embed.projection.weight"),
    "s2": ("backbone_s2.", "s2.", "patch_embed.projection.weight"),
    "s1": ("backbone_s1.", "s1.", "patch_embed.projection.weight"),
    "head_s2": ("head_s2.", "head_s2.", "decoder.0.weight"),
    "head_s1": ("head_s1.", "head_s1.", "decoder.0.weight"),
    "fusion": ("fusion.", "fusion.", "project.weight"),
    "ctpe": ("ctpe", "ctpe", ""),
}
FILES = {
    "skysense_model_backbone_hr.pth": "backbone_gep.",
    "skysense_model_backbone_s2.pth": "backbone_s2.",
    "skysense_model_backbone_s1.pth": "backbone_s1.",
    "skysense_model_head_s2.pth": "head_s2.",
    "skysense_model_head_s1.pth": "head_s1.",
    "skysense_model_fusion.pth": "fusion.",
}


@dataclass(frozen=True)
class Arch:
    """Settings of the networks; see `_networks.swin_v2`, `.vit_mm` and `.fusion`."""

    embed_dims: int = 352  # of the high-resolution branch, as the four below
    depths: tuple[int, ...] = (2, 2, 18, 2)
    num_heads: tuple[int, ...] = (8, 16, 32, 64)
    in_channels: int = 3  # 4: red, green, blue, near infrared
    pad_small_map: bool = False
    vit_dims: int = 1024
    vit_layers: int = 24
    vit_heads: int = 16
    vit_grid: int = 16
    # Of the layer norms of both ViTs. The official models/ have 1e-5, the configurations of
    # SkySense++ (configs/pretrain_skysensepp.yml) 1e-6 for the same weights.
    eps: float = 1e-5
    fusion_dims: int = 1024
    fusion_layers: int = 24
    fusion_heads: int = 16
    parts: tuple[str, ...] = tuple(PARTS)  # that are built
    prototypes: int = 0  # of the geo-context of each region; 0: none, as in the published files
    regions: tuple[int, int] = (64, 64)  # rows and columns of the globe; the division is ours

    @property
    def token_dims(self) -> int:
        """Channels of the last high-resolution stage, and of every token before the fusion."""
        return self.embed_dims << (len(self.depths) - 1)  # it doubles from stage to stage


VARIANTS = {
    "full": Arch(),
    "tiny": Arch(
        embed_dims=32, depths=(2, 2, 6, 2), num_heads=(2, 4, 8, 16),
        vit_dims=64, vit_layers=4, vit_heads=4, fusion_dims=64, fusion_layers=3, fusion_heads=4,
    ),
}  # fmt: skip


def card(variant: str, **arch: Any) -> ModelCard:
    """The card of a variant; `arch` overrides fields of `Arch`."""
    return _card(choose(VARIANTS, variant, arch))


def _card(arch: Arch) -> ModelCard:
    bands = ("red", "green", "blue", "nir")[: arch.in_channels]
    high = dataclasses.replace(CARD.inputs[0], bands=bands)
    widths = [arch.embed_dims * 2**i for i in range(len(arch.depths))]
    levels = tuple((width, 4 * 2**i) for i, width in enumerate(widths))
    levels = levels if "hr" in arch.parts else ((arch.vit_dims, 4),)
    return dataclasses.replace(
        CARD,
        inputs=tuple(s for s in (high, *CARD.inputs[1:]) if s.name in arch.parts),
        dim=levels[-1][0],
        levels=levels,
        min_pixels=32 if arch.pad_small_map else CARD.min_pixels,
    )


def build(variant: str, **arch: Any) -> Model:
    """The networks with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.skysense import SkySense

    chosen = choose(VARIANTS, variant, arch)
    unknown = sorted(set(chosen.parts) - set(PARTS))
    if unknown or not chosen.parts:
        raise UsageError(f"Expected parts among {', '.join(PARTS)}, but got {chosen.parts!r}.")
    return SkySense(_card(chosen), chosen)


RENAMED = (
    (r"\.attn\.(w_msa|attn)\.", ".attn."),
    (r"\.in_proj_", ".in_proj."),
    (r"\.ffn\.layers\.0\.0\.", ".ffn.0."),
    (r"\.ffn\.layers\.1\.", ".ffn.2."),
    (r"^norm(\d)\.", r"norms.\1."),
    (r"^porj_linear\.", "project."),  # so spelt in the files
)
REBUILT = ("relative_coords_table", "relative_position_index")


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """From the joint file, or one part's file with keys that begin with 'backbone.' or are bare.

    Keys of parts that are not there as a whole are left out, as are those of other heads.
    """
    own = _renamed(state)
    there = held(own)
    lacking = [ours for part, (_, ours, _) in PARTS.items() if part not in there and part != "hr"]
    if not there & {"s2", "s1"}:
        lacking.append("ctpe")  # it lies in both Sentinel files
    return {k: v for k, v in own.items() if not k.startswith(tuple(lacking))}


def settings(state: dict[str, Tensor]) -> dict[str, Any]:
    """The settings that a published file decides: only the parts that it holds are built."""
    there = held(_renamed(state))
    if not there >= {"s2", "fusion"}:
        there -= {"ctpe"}
    return {"parts": tuple(p for p in PARTS if p in there) or ("hr",)}


def held(own: dict[str, Tensor]) -> set[str]:
    """The parts that a state dict under our keys holds."""
    return {part for part, (_, ours, mark) in PARTS.items() if ours + mark in own}


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every key that is not another head's or rebuilt, under our name."""
    bare = _only_part(state)
    found = {}
    for key, tensor in state.items():
        part = next((p for p, (theirs, _, _) in PARTS.items() if key.startswith(theirs)), "")
        if key.endswith(REBUILT) or (not part and key.startswith("head")):
            continue
        if key.endswith("ctpe"):
            found["ctpe"] = tensor
            continue
        theirs, ours, _ = PARTS[part or bare]
        own = key.removeprefix(theirs).removeprefix("backbone.")
        for published, renamed in RENAMED:
            own = re.sub(published, renamed, own)
        found[ours + own] = tensor
    return found


def _only_part(state: dict[str, Tensor]) -> str:
    """The part that keys without a part's prefix belong to."""
    bare = {key.removeprefix("backbone."): tensor for key, tensor in state.items()}
    if "porj_linear.weight" in bare:
        return "fusion"
    kernel = bare.get("patch_embed.projection.weight")
    if kernel is None or "pos_embed" not in bare:
        return "hr"
    bands = {len(sensor.bands): sensor.name for sensor in CARD.inputs[1:]}
    return bands.get(kernel.shape[1], "hr")
