"""GFM's goldens; tokens of a Swin Transformer for RingMo's and CMID's as well."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skybench.core import Features
from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native


def swin(model: Any, images: Tensor) -> tuple[dict[str, Tensor], Features]:
    """The tokens [B, L, C] of the stem and after each stage's last block, and the features."""
    modules = {"patch_embed": model.net.patch_embed}
    modules |= {str(i): stage.blocks[-1] for i, stage in enumerate(model.net.layers)}
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        return lambda *call: found.update({name: call[-1].flatten(1, 2)})

    hooks = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    features = model.extract(images)
    for hook in hooks:
        hook.remove()
    return found, features


def load(case: Mapping[str, Any], state: Mapping[str, Tensor] | Path) -> Model:
    """The adapter with a pre-training file, which holds decoder, projector and teacher as well."""
    settings = _settings(case["meta"]["constructor"])
    if not isinstance(state, Path):
        device = next(iter(state.values())).device
        width = settings["embed_dim"]
        others = {
            "encoder.mask_token": torch.zeros(1, 1, width, device=device),
            "decoder.0.weight": torch.zeros(48, 8 * width, 1, 1, device=device),
            "projector.bias": torch.zeros(8 * width, device=device),
            "teacher.patch_embed.proj.weight": torch.zeros(width, 3, 4, 4, device=device),
            "teacher.norm.weight": torch.zeros(8 * width, device=device),
        }
        return load_model("gfm", {"model": {**state, **others}}, **settings)
    return load_model("gfm", state, **settings)


def _settings(constructor: str) -> dict[str, Any]:
    names = {"img_size": "image", "window_size": "window", "embed_dim": "embed_dim"}
    settings: dict[str, Any] = {
        ours: int(re.findall(rf"{theirs}=(\d+)", constructor)[0]) for theirs, ours in names.items()
    }
    for name in ("depths", "num_heads"):
        listed = re.findall(rf"{name}=\[([^]]+)]", constructor)[0]
        settings[name] = tuple(map(int, listed.split(",")))
    return settings


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The stem, the raw stages and the normed last one as tokens, and the pooled vector."""
    tokens, features = swin(model, native(case, "x"))
    stages = {f"stage{i + 1}": tokens[str(i)] for i in range(4)}
    normed = features.pyramid[-1].flatten(2).mT
    stem = tokens["patch_embed"]
    return {"patch_embed": stem, **stages, "norm": normed, "pooled": features.pooled}


RUNNERS = {"gfm": Runner(load, run)}


def _without_shift(model: Any) -> None:
    model.net.layers[0].blocks[1].shifted = False


def _with_finer_epsilon(model: Any) -> None:
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.LayerNorm)):
        norm.eps = 1e-6


def _with_larger_windows(model: Any) -> None:
    model.image //= 2


MISTAKES = [
    ("gfm_tiny", _without_shift),
    ("gfm_tiny", _with_finer_epsilon),
    ("gfm_tiny", _with_larger_windows),
]
