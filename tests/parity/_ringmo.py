"""RingMo's goldens, as a converted pre-training file would be."""

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


def load(case: Mapping[str, Any], state: Mapping[str, Tensor] | Path) -> Model:
    """The adapter with an encoder and a decoder."""
    given = case["meta"]["constructor"]
    settings = {
        "embed_dim": given["embed_dim"],
        "depths": tuple(given["depths"]),
        "num_heads": tuple(given["num_heads"]),
        "image": given["image_size"],
        "window": given["window_size"],
    }
    if not isinstance(state, Path):
        device = next(iter(state.values())).device
        encoder = {f"encoder.{key}": tensor for key, tensor in state.items()}
        decoder = {"decoder.norm.weight": torch.zeros(8, device=device)}
        return load_model("ringmo", {"model": {**encoder, **decoder}}, **settings)
    return load_model("ringmo", state, **settings)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The stem, the raw stages and the normed last one as tokens, and the pooled vector."""
    tokens, features = swin(model, native(case, "x"))
    stages = {f"layer{i}_blocks": tokens[str(i)] for i in range(4)}
    normed = features.pyramid[-1].flatten(2).mT
    stem = tokens["patch_embed"]
    return {"patch_embed": stem, **stages, "norm": normed, "pooled": features.pooled}


RUNNERS = {"ringmo": Runner(load, run)}


def _with_shifted_last_stage(model: Any) -> None:
    model.net.layers[3].blocks[1].shift_small = True


def _with_one_epsilon(model: Any) -> None:
    for stage in model.net.layers[:-1]:
        stage.downsample.norm.eps = 1e-6


MISTAKES = [
    ("ringmo_swin_tiny", _with_shifted_last_stage),
    ("ringmo_swin_tiny", _with_one_epsilon),
]
