"""RSP's goldens: three networks under the published keys, with the classifier's and "module."."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native
from ._skysense import recorded

SETTINGS = {
    "embed_dims": "embed_dims", "token_dims": "token_dims", "NC_depth": "depths",
    "RC_heads": "rc_heads", "NC_heads": "nc_heads", "RC_group": "rc_groups",
    "NC_group": "nc_groups", "window_size": "window",
}  # fmt: skip


def vitae_settings(case: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a reduced ViTAEv2 from the text of its constructor."""
    found = re.findall(r"(\w+)=(\d+|\[[\d, ]+\])", case["meta"]["constructor"])
    values = {SETTINGS[name]: ast.literal_eval(text) for name, text in found if name in SETTINGS}
    return {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}


def load_vitae(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """ViTAEv2; the reduced one by its settings."""
    settings = vitae_settings(case)
    if "embed_dims" not in settings:
        return load_model("rsp", {"model": state})
    return load_model("rsp", {"model": state}, "tiny", **settings)


def run_vitae(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """Tokens after each reduction cell and after each stage, and their mean."""
    cells = [stage.RC for stage in model.net.layers]
    with recorded(cells) as reduced:
        features = model.extract(native(case, "x"))
    outputs = {"pooled": features.pooled}
    for i, level in enumerate(features.pyramid):
        outputs[f"stage{i + 1}"] = level.flatten(2).mT
        outputs[f"stage{i + 1}_RC"] = reduced[i].flatten(1, 2)
    return outputs


def load_named(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Swin or ResNet; its file tells which, also if saved in parallel training."""
    return load_model("rsp", {"model": {f"module.{k}": t for k, t in state.items()}})


def run_swin(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """Tokens of the stem and of the stages before and after the last norm, and their mean."""
    ends = [stage.blocks[-1] for stage in model.net.layers]
    with recorded([model.net.patch_embed, *ends]) as tokens:
        features = model.extract(native(case, "x"))
    outputs = {f"stage{i}": x.flatten(1, 2) for i, x in enumerate(tokens)}
    outputs["patch_embed"] = outputs.pop("stage0")
    return {**outputs, "norm": features.pyramid[-1].flatten(2).mT, "pooled": features.pooled}


def run_resnet(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The four stages and the mean of the last."""
    features = model.extract(native(case, "x"))
    stages = {f"layer{i + 1}": level for i, level in enumerate(features.pyramid)}
    return {**stages, "pooled": features.pooled}


RUNNERS = {
    "rsp_vitaev2": Runner(load_vitae, run_vitae),
    "rsp_swin_t": Runner(load_named, run_swin),
    "rsp_resnet50": Runner(load_named, run_resnet),
}


def _without_values(model: Any) -> None:
    model.net.layers[2].RC.attn.attn.add_values = False


def _with_coarser_epsilon(model: Any) -> None:
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.LayerNorm)):
        norm.eps = 1e-5


def _dilations_swapped(model: Any) -> None:
    model.net.layers[0].RC.PRM.convs = model.net.layers[0].RC.PRM.convs[::-1]


MISTAKES = [
    ("rsp_vitaev2_tiny", _without_values),
    ("rsp_vitaev2_tiny", _with_coarser_epsilon),
    ("rsp_vitaev2_tiny", _dilations_swapped),
]
