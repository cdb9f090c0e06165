"""Panopticon's goldens: optical channels alone, and with radar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native

TINY: dict[str, Any] = {"grid": 4, "dim": 64, "depth": 2, "heads": 4, "inner": 96, "inner_heads": 4}


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from the published teacher."""
    if case["meta"]["params"] > 50e6:
        return load_model("panopticon", state)
    return load_model("panopticon", state, "tiny", **TINY)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The normed tokens after each block, and the pooled vector."""
    images, numbers = native(case, "imgs"), case["meta"]["inputs"]["chn_ids"]["value"]
    outputs = {"pooled": model.extract(images, numbers).pooled}
    for i, tokens in enumerate(model.tokens(images, numbers)):
        normed = model.net.norm(tokens)
        outputs |= {f"block{i}_cls": normed[:, 0], f"block{i}_patch": normed[:, 1:]}
    return outputs


RUNNERS = {"panopticon": Runner(load, run)}


def _with_channels_reversed(model: Any) -> None:
    embed = model.net.patch_embed
    embed.forward = lambda images, numbers: type(embed).forward(embed, images, numbers[::-1])


def _with_other_heads(model: Any) -> None:
    model.net.patch_embed.chnfus.heads *= 2


MISTAKES = [
    ("panopticon_tiny", _with_channels_reversed),
    ("panopticon_tiny", _with_other_heads),
]
