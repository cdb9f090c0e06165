"""DINOv3's goldens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native

TINY: dict[str, Any] = {"dim": 64, "depth": 4, "heads": 4}
EPSILON = 1e-6  # of the norms: the cases were run with the class's default, not the hub's 1e-5


def constructed(key: str, like: Tensor) -> Tensor:
    """Entries of the constructor that the rule does not fill: periods and the key mask."""
    if key.endswith("periods"):
        return 100 ** (torch.arange(len(like)) / len(like)).to(like)
    ones = torch.ones_like(like)
    ones.chunk(3)[1].zero_()
    return ones


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from the authors' file."""
    content = {
        k: constructed(k, t) if k.endswith(("periods", "bias_mask")) else t
        for k, t in state.items()
    }
    if case["meta"]["params"] > 50e6:
        return load_model("dinov3", content, eps=EPSILON)
    return load_model("dinov3", content, "tiny", eps=EPSILON, **TINY)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The normed patch tokens after each block, and the pooled vector."""
    images = native(case, "x")
    blocks = {
        f"block{i}_patch": model.net.norm(tokens)[:, 5:]
        for i, tokens in enumerate(model.tokens(images))
    }
    return {**blocks, "pooled": model.extract(images).pooled}


RUNNERS = {"dinov3": Runner(load, run)}


def _without_registers(model: Any) -> None:
    model.net.reg_token.data.zero_()


def _with_longer_periods(model: Any) -> None:
    model.net.rope.periods.mul_(2)


MISTAKES = [
    ("dinov3_tiny", _without_registers),
    ("dinov3_tiny", _with_longer_periods),
]
