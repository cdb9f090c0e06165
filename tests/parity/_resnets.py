"""Goldens of the models that are plain ResNets: GASSL, SeCo, TOV, CACo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, extras, native


def load_gassl(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from the authors' file with queue, momentum encoder and both heads."""
    return load_model("gassl", {"state_dict": {**state, **extras(case, state)}, "epoch": 200})


def load_seco(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from the authors' file; the file tells ResNet-18 from ResNet-50."""
    return load_model("seco", {"state_dict": {**state, **extras(case, state)}, "epoch": 200})


def load_tov(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from a file with a classifier."""
    classifier = {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    return load_model("tov", {"state_dict": {**state, **classifier}})


def load_caco(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from the flat file; it tells ResNet-18 from ResNet-50."""
    return load_model("caco", state)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The four stages and their pooled vector."""
    features = model.extract(native(case, "x"))
    stages = {f"layer{i}": level for i, level in enumerate(features.pyramid, 1)}
    return {**stages, "pooled": features.pooled}


RUNNERS = {
    "gassl": Runner(load_gassl, run),
    "seco": Runner(load_seco, run),
    "tov": Runner(load_tov, run),
    "caco": Runner(load_caco, run),
}


def _with_coarser_epsilon(model: Any) -> None:
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.eps = 1e-3


def _with_averages_in_the_stem(model: Any) -> None:
    model.net.maxpool = nn.AvgPool2d(3, 2, 1)


def _with_strides_where_the_first_resnets_had_them(model: Any) -> None:
    for stage in (model.net.layer2, model.net.layer3, model.net.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)


MISTAKES = [
    ("caco_resnet18_tiny", _with_coarser_epsilon),
    ("caco_resnet18_tiny", _with_averages_in_the_stem),
    ("gassl_resnet50", _with_strides_where_the_first_resnets_had_them),
]
