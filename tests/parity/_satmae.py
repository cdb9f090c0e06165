"""SatMAE's goldens: images, groups of bands, and three dates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, extras, native

NAMES = {
    "img_size": "image", "patch_size": "patch", "embed_dim": "dim", "depth": "depth",
    "num_heads": "heads",
}  # fmt: skip
TINY = {
    "GroupChannelsVisionTransformer": "tiny_multispectral",
    "models_vit.py": "tiny",
    "models_vit_temporal.py": "tiny_temporal",
}


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from a pre-training file with its decoder; the file tells its variant."""
    meta = case["meta"]
    content = {"model": {**state, **extras(case, state)}, "epoch": 199}
    if meta["params"] > 50e6:
        return load_model("satmae", content)
    tiny = TINY.get(meta["class"]) or TINY[meta["file"]]
    arch = {ours: meta["constructor"][theirs] for theirs, ours in NAMES.items()}
    if tiny != "tiny":
        arch["codes"] = meta["constructor"].get("channel_embed", 384)
    return load_model("satmae", content, tiny, **arch)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The tokens after every block, the normed class token and others, and their mean."""
    inputs, given = [native(case, "x")], case["meta"]["inputs"]
    if "timestamps" in given:
        inputs.append(torch.tensor(given["timestamps"]["values"]))
    blocks = list(model.tokens(*inputs))
    normed, pooled = model.net.norm(blocks[-1]), model.extract(*inputs).pooled
    outputs = {f"block{i}": tokens for i, tokens in enumerate(blocks)}
    return {**outputs, "cls": normed[:, 0], "tokens": normed[:, 1:], "pooled": pooled}


RUNNERS = {"satmae": Runner(load, run)}


def _groups_out_of_order(model: Any) -> None:
    model.net.channel_embed.data = model.net.channel_embed.flip(1)


def _class_token_without_position(model: Any) -> None:
    model.net.pos_embed.data[:, 0] = 0


def _with_coarser_epsilon(model: Any) -> None:
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.LayerNorm)):
        norm.eps = 1e-5


def _dates_out_of_order(model: Any) -> None:
    tokens = model.tokens
    model.tokens = lambda images, when: tokens(images, when.flip(2))


MISTAKES = [
    ("satmae_group_tiny", _groups_out_of_order),
    ("satmae_rgb_tiny", _class_token_without_position),
    ("satmae_rgb_tiny", _with_coarser_epsilon),
    ("satmae_temporal_tiny", _dates_out_of_order),
]
