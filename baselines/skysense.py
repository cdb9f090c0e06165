"""SkySense: high-resolution images, Sentinel-2 and Sentinel-1 series, and their fusion.

Three branches (a Swin Transformer V2 of 655 million parameters, two ViT-L of 303 million each) and
a transformer over all their tokens of a location; together 1,659,013,072 parameters. The authors
published no code for these parts:

- The whole model: the forward pass is that of SkySense++ (github:kang-wu/SkySensePlusPlus@cb0c6b7
  lib/models/segmentors/skysense_pp_pipeline.py, steps 1 to 3) without its annotations and VAE. As
  there, only Sentinel-2's tokens get the calendar embedding.
- Geo-context prototypes (no tensors either): absent unless `prototypes` gives their number per
  region; then they are untrained and follow the paper's description (`_networks.prototypes`).
  The paper counts 2.06 billion parameters with them and with parts for training only.
- The classification head: `pooled` is the spatial mean of the last map, which is the choice of this
  adapter. It has 2816 channels for high-resolution images alone, else 1024.

Weights come as one joint file or as up to six files. Parts missing from the files are not built,
and a sensor or fusion that needs them cannot run.
"""

from __future__ import annotations

import dataclasses
import math
import re
from typing import TYPE_CHECKING, Any

from skybench.core import DB, REFLECTANCE, UINT8, ModelCard, Sensor, UsageError, WeightsSource
from skybench.core.sensors import S2_FINE

from ._families.settings import variant_settings
from ._families.skysense import PARTS, Arch

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model


CARD = ModelCard(
    name="skysense",
    title="SkySense",
    group="paper",
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
    input_sizes={"s2": (16, 4), "s1": (16, 4)},  # 16 is SkySense++'s size beside 512 pixels of "hr"
)

FILES = {
    "skysense_model_backbone_hr.pth": "backbone_gep.",
    "skysense_model_backbone_s2.pth": "backbone_s2.",
    "skysense_model_backbone_s1.pth": "backbone_s1.",
    "skysense_model_head_s2.pth": "head_s2.",
    "skysense_model_head_s1.pth": "head_s1.",
    "skysense_model_fusion.pth": "fusion.",
}


VARIANTS = {
    "full": Arch(),
    "tiny_shallow": Arch(
        embed_dims=32, depths=(1, 1, 2, 1), num_heads=(2, 4, 8, 16),
        vit_dims=64, vit_layers=2, vit_heads=4, fusion_dims=64, fusion_layers=2, fusion_heads=4,
    ),
}  # fmt: skip
PICK = {"full": ("full",), "tiny": ("tiny_shallow",)}


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides fields of `Arch`."""
    return _card(variant_settings(VARIANTS, variant, arch))


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
    """Build the networks with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.skysense import SkySense

    chosen = variant_settings(VARIANTS, variant, arch)
    unknown = sorted(set(chosen.parts) - set(PARTS))
    if unknown or not chosen.parts:
        raise UsageError(f"Expected parts among {', '.join(PARTS)}, but got {chosen.parts!r}.")
    return SkySense(_card(chosen), chosen)


RENAMED = (
    (r"\.attn\.(w_msa|attn)\.", ".attn."),
    (r"\.(in_proj_|Wqkv\.)", ".in_proj."),
    (r"\.ffn\.layers\.0\.0\.", ".ffn.0."),
    (r"\.ffn\.layers\.1\.", ".ffn.2."),
    (r"^norm(\d)\.", r"norms.\1."),
    (r"^porj_linear\.", "project."),  # so spelt in the files
)
PLUS_PLUS = "backbone_hr."  # SkySense++'s name of the high-resolution branch
REBUILT = ("relative_coords_table", "relative_position_index")


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of the joint file, or of one part's ('backbone.' or bare), to ours.

    Incomplete parts and other heads are dropped.
    """
    mapped = _renamed(state)
    available = held(mapped)
    incomplete = [
        ours for part, (_, ours, _) in PARTS.items() if part not in available and part != "hr"
    ]
    if not available & {"s2", "s1"}:
        incomplete.append("ctpe")  # it lies in both Sentinel files
    return {k: v for k, v in mapped.items() if not k.startswith(tuple(incomplete))}


def settings(state: dict[str, Tensor]) -> dict[str, Any]:
    """Return the settings that a published file decides: only the parts that it holds are built."""
    mapped = _renamed(state)
    available = held(mapped)
    if not available >= {"s2", "fusion"}:
        available -= {"ctpe"}
    decided: dict[str, Any] = {"parts": tuple(p for p in PARTS if p in available) or ("hr",)}
    stem = mapped.get("net.patch_embed.projection.weight")
    if stem is not None and stem.shape[1] == 4:
        decided["in_channels"] = 4
    tables = [x for p in ("s2", "s1") if (x := mapped.get(f"{p}.pos_embed")) is not None]
    for rows in {table.shape[1] for table in tables}:
        side = math.isqrt(rows)
        decided |= {"vit_grid": side, "vit_class_token": side * side != rows}
    if _is_plus_plus(state):
        decided["eps"] = 1e-6  # of its configurations
    return decided


def trained_on(state: dict[str, Tensor]) -> tuple[str, ...]:
    """Return the datasets whose labels SkySense++ was trained on; () for SkySense's own files.

    Source: github:kang-wu/SkySensePlusPlus@cb0c6b7 README.md, configs/pretrain_skysensepp.yml.
    """
    seen = ("potsdam", "isaid", "dyna_pla", "dyna_s2", "dyna_mm", "pastis_mm")
    return seen if _is_plus_plus(state) else ()


def _is_plus_plus(state: dict[str, Tensor]) -> bool:
    """Whether a file is SkySense++'s: the same networks without annotations, by other names."""
    return any(".Wqkv." in key or "vocabulary_" in key for key in state)


def held(mapped: dict[str, Tensor]) -> set[str]:
    """Return the parts that a state dict with our keys holds."""
    return {part for part, (_, ours, mark) in PARTS.items() if ours + mark in mapped}


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map every key to ours, except other heads' and those that are computed."""
    bare = _only_part(state)
    mapped = {}
    for key, tensor in state.items():
        if key.startswith(PLUS_PLUS):
            key = PARTS["hr"][0] + key.removeprefix(PLUS_PLUS)
        part = next((p for p, (theirs, _, _) in PARTS.items() if key.startswith(theirs)), "")
        if key.endswith(REBUILT) or (not part and key.startswith("head")):
            continue
        if key.endswith("ctpe"):
            mapped["ctpe"] = tensor
            continue
        theirs, ours, _ = PARTS[part or bare]
        name = key.removeprefix(theirs).removeprefix("backbone.")
        for published, renamed in RENAMED:
            name = re.sub(published, renamed, name)
        mapped[ours + name] = tensor
    return mapped


def _only_part(state: dict[str, Tensor]) -> str:
    """Return the part that keys without a part's prefix belong to."""
    bare = {key.removeprefix("backbone."): tensor for key, tensor in state.items()}
    if "porj_linear.weight" in bare:
        return "fusion"
    kernel = bare.get("patch_embed.projection.weight")
    if kernel is None or "pos_embed" not in bare:
        return "hr"
    bands = {len(sensor.bands): sensor.name for sensor in CARD.inputs[1:]}
    return bands.get(kernel.shape[1], "hr")
