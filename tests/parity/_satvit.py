"""SatViT's goldens, from flat files with the decoder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native

# Fifteen of those that the adapter knows: any will do, the goldens are of scaled channels.
CHANNELS = (
    *("s2:coastal", "s2:blue", "s2:green", "s2:red", "s2:rededge071", "s2:rededge075"),
    *("s2:rededge078", "s2:nir", "s2:nir08", "s2:swir16", "s2:swir22"),
    *("s1a:vv", "s1a:vh", "s1d:vv", "s1d:vh"),
)


def settings(case: Mapping[str, Any]) -> dict[str, int]:
    """The arguments of the authors' constructor."""
    return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", case["meta"]["constructor"])}


def arch(case: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of ours that they mean."""
    given = settings(case)
    side = case["meta"]["inputs"]["image"]["shape"][-1]
    return {
        "channels": CHANNELS,
        "image": side,
        "patch": side // int(given["num_patches"] ** 0.5),
        "dim": given["encoder_dim"],
        "depth": given["encoder_depth"],
        "heads": given["encoder_num_heads"],
    }


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """The golden's keys are the published file's, decoder and all."""
    if settings(case)["encoder_dim"] == 768:
        return load_model("satvit", state)  # the file tells the version
    return load_model("satvit", state, "tiny", **arch(case))


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """Tokens after some blocks, their norm and its mean, and the positions of a fresh network."""
    images = native(case, "image")
    blocks = list(model.tokens(images))
    features = model.extract(images)
    fresh: Any = load_model("satvit", "random", "tiny", **arch(case) | {"depth": 1})
    return {
        **{f"block{i}": tokens for i, tokens in enumerate(blocks)},
        "patch_encodings": features.pyramid[0].flatten(2).mT,
        "pooled": features.pooled,
        "constructed_pos_embed": fresh.net.pos_embed,
    }


RUNNERS = {"satvit": Runner(load, run)}


def _with_the_mean_before_the_norm(model: Any) -> None:
    model.pool = lambda net, tokens: net.norm(tokens[-1].mean(1))


def _with_patches_whose_channels_come_last(model: Any) -> None:
    kernel = model.net.patch_embed.proj.weight
    dim, channels, height, width = kernel.shape
    kernel.data = kernel.reshape(dim, height, width, channels).permute(0, 3, 1, 2)


MISTAKES = [
    ("satvit_tiny", _with_the_mean_before_the_norm),
    ("satvit_tiny", _with_patches_whose_channels_come_last),
]
