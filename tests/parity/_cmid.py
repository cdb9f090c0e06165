"""CMID's goldens: the pre-training class from a full file, mmsegmentation's from a bare one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._gfm import swin
from ._golden import Runner, native

PREFIX = "online_encoder.model."


def full(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The full file that holds a backbone."""
    device = next(iter(state.values())).device
    others = {
        "online_encoder.projector.0.weight": torch.zeros(4, 4, device=device),
        "target_encoder.model.norm3.weight": torch.zeros(4, device=device),
        "target_encoder.model.conv1.weight": torch.zeros(4, 3, 7, 7, device=device),
    }
    return {"model": {f"{PREFIX}{key}": tensor for key, tensor in state.items()} | others}


def load_resnet(case: Mapping[str, Any], state: Mapping[str, Tensor] | Path) -> Model:
    """Load ResNet-50, identified by its keys."""
    return load_model("cmid", state if isinstance(state, Path) else full(state))


def run_resnet(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The four stages and the pooled vector."""
    features = model.extract(native(case, "x"))
    maps = {f"layer{i + 1}": level for i, level in enumerate(features.pyramid)}
    return {**maps, "pooled": features.pooled}


def _settings(case: Mapping[str, Any]) -> dict[str, Any]:
    constructor = case["meta"]["constructor"]
    arch = constructor.get("arch", constructor)
    if arch == "base":
        return {}
    sizes = {"embed_dim": arch.get("embed_dims", 128)}
    return sizes | {k: tuple(arch[k]) for k in ("depths", "num_heads") if k in arch}


def load_swin(case: Mapping[str, Any], state: Mapping[str, Tensor] | Path) -> Model:
    """The class of pre-training, which norms the last map only."""
    given = state if isinstance(state, Path) else full(state)
    return load_model("cmid", given, norms=(3,), **_settings(case))


def run_swin(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The raw stages as tokens, the normed last one, and the pooled vector."""
    tokens, features = swin(model, native(case, "x"))
    stages = {f"stage{i}_blocks": tokens[str(i)] for i in range(4)}
    return {**stages, "stage3": features.pyramid[-1], "pooled": features.pooled}


def load_seg(case: Mapping[str, Any], state: Mapping[str, Tensor] | Path) -> Model:
    """mmsegmentation's class, with the bare file."""
    given: Any = state if isinstance(state, Path) else dict(state)
    return load_model("cmid", given, shift_small=True, **_settings(case))


def run_seg(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The four normed maps."""
    features = model.extract(native(case, "x"))
    return {f"stage{i}": level for i, level in enumerate(features.pyramid)}


RUNNERS = {
    "cmid_resnet50": Runner(load_resnet, run_resnet),
    "cmid_swin": Runner(load_swin, run_swin),
    "cmid_swin_seg": Runner(load_seg, run_seg),
    "cmid_swinb_seg": Runner(load_seg, run_seg),
}


def _with_official_merging(model: Any) -> None:
    reduction = model.net.layers[0].downsample.reduction
    columns = reduction.weight.unflatten(-1, (2, 2, -1)).transpose(-1, -3).flatten(-3)
    reduction.weight.data = columns.contiguous()


def _shifting_small_maps(model: Any) -> None:
    for block in model.net.layers[3].blocks:
        block.shift_small = True


def _leaving_small_maps(model: Any) -> None:
    for block in model.net.layers[3].blocks:
        block.shift_small = False


MISTAKES = [
    ("cmid_swin_tiny", _with_official_merging),
    ("cmid_swin_tiny_sharp", _shifting_small_maps),
    ("cmid_swin_seg_tiny_sharp", _leaving_small_maps),
]
