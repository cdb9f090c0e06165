"""DeCUR's goldens: one sensor's networks from their own files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from one sensor's file; the file tells sensor and network."""
    return load_model("decur", state)


def sensor(model: Any) -> Any:
    """The network of the one sensor that a model has."""
    (net,) = model.nets.values()
    return net


def run_resnet(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The four stages and their pooled vector."""
    features = sensor(model).extract(native(case, "x"))
    stages = {f"layer{i}": level for i, level in enumerate(features.pyramid, 1)}
    return {**stages, "pooled": features.pooled}


def run_attentive(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """Beside the stages, what attention adds to the last two, and the points of the first."""
    net = sensor(model)
    with recorded(net.attention) as (inputs, added):
        outputs = run_resnet(case, model)
    first = net.attention["layer3"]
    points = first.points(first.query(inputs["layer3"]))
    outputs["da_l3_pos"] = points.unflatten(0, (-1, first.groups))
    return {**outputs, "da_l3": added["layer3"], "da_l4": added["layer4"]}


def run_vit(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """All tokens after each block, and the pooled vector."""
    net, images = sensor(model), native(case, "x")
    blocks = {f"block{i}": tokens for i, tokens in enumerate(net.tokens(images))}
    return {**blocks, "pooled": net.extract(images).pooled}


@contextmanager
def recorded(modules: Any) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """The inputs and the outputs of modules by their names."""
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def keep(name: str, given: tuple[Tensor, ...], got: Tensor) -> None:
        (inputs[name],), outputs[name] = given, got

    hooks = [
        module.register_forward_hook(lambda _, given, got, name=name: keep(name, given, got))
        for name, module in modules.items()
    ]
    yield inputs, outputs
    for hook in hooks:
        hook.remove()


RUNNERS = {
    "decur_rn50": Runner(load, run_resnet),
    "decur_rn50_rda": Runner(load, run_attentive),
    "decur_vits16": Runner(load, run_vit),
}


def _with_points_in_the_wrong_order(model: Any) -> None:
    for attention in sensor(model).attention.values():
        offset = attention.offset[3]
        offset.weight.data = offset.weight.data.flip(0)


def _without_bias(model: Any) -> None:
    for attention in sensor(model).attention.values():
        torch.nn.init.zeros_(attention.table)


def _with_tanh(model: Any) -> None:
    for block in sensor(model).net.blocks:
        block.mlp.act = torch.nn.GELU("tanh")


MISTAKES = [
    ("decur_rn50_rda_s2", _with_points_in_the_wrong_order),
    ("decur_rn50_rda_s2", _without_bias),
    ("decur_vits16_s1", _with_tanh),
]
