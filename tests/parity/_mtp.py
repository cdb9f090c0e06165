"""MTP's goldens: the encoder from the file of the whole model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native
from ._skysense import recorded


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """The published sizes by their names, the small one as "tiny"."""
    name = case["meta"]["constructor"][:10]
    decoder = torch.zeros(2, device=next(iter(state.values())).device)
    file = {f"encoder.{key}": tensor for key, tensor in state.items()}
    file["semsegdecoder.conv_seg.bias"] = decoder
    variant = name if name in ("vit_b_rvsa", "vit_l_rvsa") else "tiny"
    return load_model("mtp", {"state_dict": file}, variant)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """Tokens after each block, the mean of the last ones, and four levels."""
    with recorded(model.net.blocks) as blocks:
        features = model.extract(native(case, "x"))
    levels = {f"fpn{i}": level for i, level in enumerate(features.pyramid, 1)}
    tokens = {f"block{i}": x for i, x in enumerate(blocks)}
    return {**levels, **tokens, "pooled": features.pooled}


def _last_block_at_all_levels(model: Any) -> None:
    model.net.settings = dataclasses.replace(model.net.settings, taken=(3, 3, 3, 3))


def _normed(model: Any) -> None:
    model.normed = True


RUNNERS = {"mtp": Runner(load, run)}
MISTAKES = [("mtp_rvsa_tiny", _last_block_at_all_levels), ("mtp_rvsa_tiny", _normed)]
