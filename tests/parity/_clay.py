"""Clay's goldens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native

TINY: dict[str, Any] = {"dim": 64, "depth": 2, "heads": 4}


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from the file of the whole autoencoder, with decoder and teacher."""
    like = next(iter(state.values()))
    others = {
        f"model.{key}": torch.zeros(64, device=like.device)
        for key in ("decoder.mask_patch", "decoder.transformer.norm.weight", "teacher.cls_token")
    }
    file = {"state_dict": {**state, **others}}
    if case["meta"]["params"] > 50e6:
        return load_model("clay", file)
    return load_model("clay", file, "tiny", **TINY)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The patches before positions, all normed tokens, the class token, the others' mean."""
    given, images = case["meta"]["inputs"], native(case, "pixels")
    about = torch.tensor(given["time"]["value"] + given["latlon"]["value"])[None]
    waves, gsd = given["waves"]["value"], given["gsd"]["value"]
    features = model.extract(images, about)
    return {
        "patch_embed": model.net.patch_embedding(images, waves).flatten(2).mT,
        "encoded": model.net(images, waves, gsd, about),
        "cls": features.pooled,
        "mean_patches": features.pyramid[0].mean((2, 3)),
    }


RUNNERS = {"clay": Runner(load, run)}


def _with_another_resolution(model: Any) -> None:
    model.platform = model.platform._replace(gsd=20.0)


def _with_bands_reversed(model: Any) -> None:
    embed = model.net.patch_embedding
    embed.forward = lambda images, waves: type(embed).forward(embed, images, waves[::-1])


MISTAKES = [
    ("clay_tiny", _with_another_resolution),
    ("clay_tiny", _with_bands_reversed),
]
