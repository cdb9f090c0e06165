"""CROMA's goldens: each sensor alone, and both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from skybench.baselines._networks import croma
from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native

TINY: dict[str, Any] = {"dim": 64, "depth": 2}
PARTS = ("s1_encoder", "s1_GAP_FFN", "s2_encoder", "s2_GAP_FFN", "joint_encoder")


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from a dict of five state dicts, as published."""
    parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in state.items():
        part, _, rest = key.partition(".")
        assert part in PARTS
        parts[part][rest] = tensor
    if case["meta"]["params"] > 50e6:
        return load_model("croma", parts)
    return load_model("croma", parts, "tiny", **TINY)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """Encodings and pooled vectors of radar, optical and both; the bias of the attention."""
    images = {"s1": native(case, "SAR_images"), "s2": native(case, "optical_images")}
    outputs = {}
    for name, used in {"SAR": ("s1",), "optical": ("s2",), "joint": ("s1", "s2")}.items():
        features = model.extract({sensor: images[sensor] for sensor in used})
        outputs[f"{name}_GAP"] = features.pooled
        outputs[f"{name}_encodings"] = features.pyramid[0].flatten(2).mT
    side = images["s1"].shape[-1] // croma.PATCH
    return {**outputs, "attn_bias": croma.alibi_bias(side, side, images["s1"])}


RUNNERS = {"croma": Runner(load, run)}


def _sensors_swapped(model: Any) -> None:
    cross = model.net.joint_encoder
    cross.forward = lambda x, bias, context: type(cross).forward(cross, context, bias, x)


def _one_step_longer(model: Any) -> None:
    """The distance between patches, as a wrong stride would give it."""
    net = model.net
    encoder = net.s2_encoder
    encoder.forward = lambda images, bias: type(encoder).forward(encoder, images, 1.1 * bias)


MISTAKES = [
    ("croma_tiny_sharp", _sensors_swapped),
    ("croma_tiny", _one_step_longer),
]
