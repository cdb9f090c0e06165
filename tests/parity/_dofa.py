"""DOFA's goldens: both orders of the numbers of a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native

TINY: dict[str, Any] = {"sensor": "s1", "image": 64, "dim": 64, "depth": 2, "heads": 4}


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from a file with entries of pre-training."""
    dim = state["cls_token"].shape[-1]
    others = {
        "mask_token": torch.zeros(1, 1, 512),
        "norm.weight": torch.full((dim,), 9.0),
        "norm.bias": torch.full((dim,), 9.0),
        "projector.weight": torch.zeros(dim, dim),
    }
    device = next(iter(state.values())).device
    content = {**state, **{key: tensor.to(device) for key, tensor in others.items()}}
    if case["meta"]["params"] > 50e6:
        return load_model("dofa", content)
    swapped = "NEWEST" in case["meta"]["note"]
    return load_model("dofa", content, "tiny", swapped=swapped, **TINY)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The patches, the tokens after every block, and their pooled vector."""
    images, waves = native(case, "x"), case["meta"]["inputs"]["wave_list"]["value"]
    blocks = {f"block{i}": tokens for i, tokens in enumerate(model.tokens(images, waves))}
    patches = model.patches(images, waves).flatten(2).mT
    return {**blocks, "patch_embed": patches, "pooled": model.extract(images, waves).pooled}


RUNNERS = {"dofa": Runner(load, run)}


def _with_the_kernels_of_the_other_generation(model: Any) -> None:
    model.net.patch_embed.swapped ^= True


def _in_nanometres(model: Any) -> None:
    patches = model.patches
    model.patches = lambda images, waves: patches(images, [w / 1000 for w in waves])


MISTAKES = [
    ("dofa_tiny", _with_the_kernels_of_the_other_generation),
    ("dofa_tiny_newlayout", _in_nanometres),
]
