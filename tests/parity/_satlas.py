"""SatLas's goldens, from the authors' files of the whole network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native

BACKBONES = {"SWINB": "swinb", "SWINT": "swint", "RESNET50": "resnet50"}


def variant(case: Mapping[str, Any]) -> str:
    """The network of a case: all are Sentinel-2's."""
    constructor = case["meta"]["constructor"]
    backbone = BACKBONES[re.findall(r"backbone=(\w+)", constructor)[0]]
    images = "mi" if "multi_image=True" in constructor else "si"
    bands = "ms" if "num_channels=9" in constructor else "rgb"
    return f"sentinel2_{backbone}_{images}_{bands}"


def load(case: Mapping[str, Any], state: Mapping[str, Tensor] | Path) -> Model:
    """The adapter with the encoder, the further parts and the heads of a file."""
    settings = {"fpn": True} if "fpn=True" in case["meta"]["constructor"] else {}
    if not isinstance(state, Path):
        device = next(iter(state.values())).device
        others = {
            "intermediates.1.layers.0.0.weight": torch.zeros(4, 4, 3, 3, device=device),
            "heads.0.layers.0.0.weight": torch.zeros(4, 4, 3, 3, device=device),
        }
        return load_model("satlas", {**state, **others}, variant(case), **cast(Any, settings))
    return load_model("satlas", state, variant(case), **cast(Any, settings))


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The four stages, the pooled vector, and the FPN's levels where there is one."""
    images = native(case, "x")  # [B, T * C, H, W]
    count, side = len(images), images.shape[-2:]
    images = images.view(count, -1, model.arch.channels, *side)
    seen = torch.ones(images.shape[:2], dtype=torch.bool)
    features = model.extract(images, seen)
    outputs = {"pooled": features.pooled}
    if model.fpn is not None:
        outputs |= {f"fpn{i + 1}": level for i, level in enumerate(features.pyramid)}
        fpn, model.fpn = model.fpn, None
        features = model.extract(images, seen)
        model.fpn = fpn
    return outputs | {f"stage{i + 1}": level for i, level in enumerate(features.pyramid)}


RUNNERS = {"satlas": Runner(load, run)}


def _without_shift(model: Any) -> None:
    model.net.features[1][1].attn.shift_size = [0, 0]


def _with_finer_epsilon(model: Any) -> None:
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.LayerNorm)):
        norm.eps = 1e-6


def _with_the_first_date_only(model: Any) -> None:
    whole = model.extract

    def extract(images: Tensor, seen: Tensor) -> Any:
        return whole(images, seen & (torch.arange(seen.shape[1]) < 1))

    model.extract = extract


MISTAKES = [
    ("satlas_swin_t_tiny", _without_shift),
    ("satlas_swin_t_tiny", _with_finer_epsilon),
    ("satlas_swin_t_mi_rgb", _with_the_first_date_only),
]
