"""SAMRS's goldens: the encoder alone or within the whole network that was saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native
from ._rsp import vitae_settings
from ._skysense import recorded


def whole(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The file of the whole network, with keys of a decoder and a head."""
    device = next(iter(state.values())).device
    others = ("decoder.fpn_bottleneck.conv.weight", "semseghead_1.1.bias")
    rest = {key: torch.zeros(4, device=device) for key in others}
    return {"state_dict": {**{f"encoder.{key}": t for key, t in state.items()}, **rest}}


def load_vitae(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """ViTAEv2; the reduced one by its settings."""
    if case["meta"]["constructor"].startswith("vitaev2_s()"):
        return load_model("samrs", whole(state))
    return load_model("samrs", {"state_dict": state}, "tiny", **vitae_settings(case))


def run_stages(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The four maps."""
    features = model.extract(native(case, "x"))
    return {f"stage{i + 1}": level for i, level in enumerate(features.pyramid)}


def load_rvsa(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """ViT with RVSA; the reduced one by its settings."""
    if len(case["keys"]) < 100:
        return load_model("samrs", whole(state), "tiny_vit_b_rvsa")
    return load_model("samrs", {"state_dict": state})


def run_rvsa(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The four maps, the tokens after each block, and the mean of the last."""
    with recorded(model.net.blocks) as blocks:
        features = model.extract(native(case, "x"))
    tokens = {f"block{i}": x for i, x in enumerate(blocks)}
    maps = {f"fpn{i + 1}": level for i, level in enumerate(features.pyramid)}
    return {**tokens, **maps, "pooled": features.pooled}


def load_swin(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Swin-T; the file tells that it is."""
    return load_model("samrs", whole(state))


RUNNERS = {
    "samrs_vitaev2": Runner(load_vitae, run_stages),
    "samrs_rvsa": Runner(load_rvsa, run_rvsa),
    "samrs_vit_b_rvsa": Runner(load_rvsa, run_rvsa),
    "samrs_swin_t": Runner(load_swin, run_stages),
}


def _with_windows_that_need_no_padding(model: Any) -> None:
    for stage in model.net.layers[:2]:
        for cell in stage.NC:
            cell.attn.window = 4


def _without_rolling_small_maps(model: Any) -> None:
    for block in model.net.layers[3].blocks:
        block.shift_small = False


MISTAKES: list[tuple[str, Callable[[Any], None]]] = [
    ("samrs_vitaev2_tiny_sharp", _with_windows_that_need_no_padding),
    ("samrs_swin_t", _without_rolling_small_maps),
]
