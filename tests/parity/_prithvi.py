"""Prithvi's goldens: series of images, with and without time and place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skybench.baselines._networks.prithvi import grid_codes
from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native

TINY: dict[str, Any] = {"image": 64, "frames": 3, "dim": 96, "depth": 2, "heads": 4}


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from the file of the whole autoencoder; the file tells its variant."""
    device = next(iter(state.values())).device
    decoder = {
        "decoder.mask_token": torch.zeros(1, 1, 512, device=device),
        "decoder.decoder_embed.bias": torch.zeros(512, device=device),
        "decoder.temporal_embed_dec.scale": torch.zeros(1, device=device),
    }
    if case["meta"]["params"] > 1e6:
        return load_model("prithvi", {**state, **decoder})
    return load_model("prithvi", {**state, **decoder}, "tiny_tl", **TINY)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The tokens after every block, the last ones normed, and the computed positions.

    The goldens were made with a table of positions that the rule had filled, too.
    """
    given = case["meta"]["inputs"]
    coordinates = [
        torch.tensor(given[name]["value"]) if name in given else None
        for name in ("temporal_coords", "location_coords")
    ]
    *blocks, last = model.net.tokens(native(case, "x"), *coordinates)
    normed = model.net.norm(last)
    dates, side = model.net.stored
    computed = grid_codes(dates, side, side, model.card.dim)
    outputs = {f"block{i}": tokens for i, tokens in enumerate(blocks)}
    return {**outputs, "last_norm": normed, "cls": normed[:, 0], "constructed_pos_embed": computed}


RUNNERS = {"prithvi": Runner(load, run)}


def _with_finer_epsilon(model: Any) -> None:
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.LayerNorm)):
        norm.eps = 1e-6


def _days_before_years(model: Any) -> None:
    encode = model.net.temporal_embed_enc.forward
    model.net.temporal_embed_enc.forward = lambda numbers: encode(numbers.flip(-1))


def _dates_out_of_order(model: Any) -> None:
    tokens = model.net.tokens
    model.net.tokens = lambda images, *coordinates: tokens(images.flip(2), *coordinates)


MISTAKES = [
    ("prithvi_tiny", _with_finer_epsilon),
    ("prithvi_tiny", _days_before_years),
    ("prithvi_tiny", _dates_out_of_order),
]
