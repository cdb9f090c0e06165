"""SoftCon's goldens: the Vision Transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from the published encoder, which tells its network itself."""
    return load_model("softcon", state)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The normed class token, and the normed others of the last four blocks."""
    images = native(case, "x")
    blocks = list(model.tokens(images))[-4:]
    normed = {f"last{4 - i}_patch": model.net.norm(x)[:, 1:] for i, x in enumerate(blocks)}
    return {**normed, "pooled": model.extract(images).pooled}


RUNNERS = {"softcon": Runner(load, run)}


def _without_layer_scale(model: Any) -> None:
    for block in model.net.blocks:
        block.ls2.gamma.data.fill_(1)


MISTAKES = [("softcon_vit_small14_s2", _without_layer_scale)]
