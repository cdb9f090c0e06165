"""DINO-MM's goldens, from the teacher's keys; one at another size than the positions'."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native

SETTINGS = {"img_size": "image", "patch_size": "patch", "embed_dim": "dim", "depth": "depth"}


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """With the student and the heads; the golden's keys are without their prefix."""
    teacher = {f"backbone.{key}": tensor for key, tensor in state.items()}
    teacher["head.mlp.0.weight"] = torch.zeros_like(state["norm.weight"])
    student = {f"module.{key}": tensor for key, tensor in teacher.items()}
    content = {"student": student, "teacher": teacher, "epoch": 100}
    constructor = case["meta"]["constructor"]
    if not constructor.startswith("VisionTransformer"):
        return load_model("dino_mm", content)
    given = {k: int(v) for k, v in re.findall(r"(\w+)=\[?(\d+)", constructor)}
    arch: dict[str, Any] = {ours: given[theirs] for theirs, ours in SETTINGS.items()}
    return load_model("dino_mm", content, "tiny", heads=given["num_heads"], **arch)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The normed tokens of the last four blocks, and their class tokens."""
    images = native(case, "x")
    last = [model.net.norm(tokens) for tokens in list(model.tokens(images))[-4:]]
    outputs = {f"last{4 - i}": tokens for i, tokens in enumerate(last)}
    features = model.extract(images)
    assert torch.equal(features.pyramid[0].flatten(2).mT, last[-1][:, 1:])
    return outputs | {"pooled": last[-1][:, 0], "linear_probe_feature": features.pooled}


RUNNERS = {"dinomm": Runner(load, run)}


def _with_positions_of_the_size_itself(model: Any) -> None:
    model.resized = lambda stored, size: F.interpolate(stored, size, mode="bicubic")


def _with_bands_of_radar_swapped(model: Any) -> None:
    kernel = model.net.patch_embed.proj.weight
    kernel.data = torch.cat((kernel[:, :12], kernel[:, 12:].flip(1)), 1)


MISTAKES = [
    ("dinomm_tiny", _with_positions_of_the_size_itself),
    ("dinomm_tiny", _with_bands_of_radar_swapped),
]
