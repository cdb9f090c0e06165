"""Scale-MAE's goldens: two images of different ground sampling distances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native

TINY: dict[str, Any] = {"image": 64, "dim": 64, "depth": 4, "heads": 4}
# Entries of the published file that the encoder does not use, by the authors' patterns.
FURTHER = ("decoder_embed.weight", "fpn.0.fpn1.0.weight", "fcn_high.0.weight", "mask_token")


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from a pre-training file."""
    like = next(iter(state.values()))
    content = {"model": {**state, **{key: torch.zeros(8, device=like.device) for key in FURTHER}}}
    if case["meta"]["params"] > 50e6:
        return load_model("scale_mae", content)
    return load_model("scale_mae", content, "tiny", **TINY)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The tokens after every block, the pooled vector and the positions."""
    images = native(case, "x")
    model.gsd = torch.tensor(case["meta"]["inputs"]["input_res"]["value"])
    outputs = {f"block{i}": tokens for i, tokens in enumerate(model.tokens(images))}
    positions = model.positions(*(n // model.patch for n in images.shape[-2:]))
    return {**outputs, "pooled": model.extract(images).pooled, "pos_embed_used": positions}


RUNNERS = {"scalemae": Runner(load, run)}


def _rows_first(model: Any) -> None:
    positions, half = model.positions, model.net.embed_dim // 2
    model.positions = lambda height, width: positions(height, width).roll(half, -1)


def _one_distance_for_all(model: Any) -> None:
    positions = model.positions
    model.positions = lambda height, width: positions(height, width)[[0, 0]]


MISTAKES = [("scalemae_tiny", _rows_first), ("scalemae_tiny", _one_distance_for_all)]
