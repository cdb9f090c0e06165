"""Copernicus-FM's goldens: bands with and without place and time, and a variable with a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native

TINY: dict[str, Any] = {"image": 64, "dim": 64, "depth": 2, "heads": 4}
ABOUT = (12.0, 48.0, 18000.0, 4.8)  # as meta.inputs.meta_info says in words


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from a file with entries of pre-training."""
    device, dim = state["cls_token"].device, state["cls_token"].shape[-1]
    others = {
        key: torch.full((dim,), 9.0, device=device)
        for key in ("norm.weight", "norm.bias", "mask_token", "coord_fc_decoder.bias")
    }
    content = {"model": {**state, **others}, "epoch": 99}
    if case["meta"]["params"] > 50e6:
        return load_model("copernicus_fm", content)
    return load_model("copernicus_fm", content, "tiny", **TINY)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """Patches, and pooled vectors: with all metadata, without any, and of the variable."""
    given, images = case["meta"]["inputs"], native(case, "x")
    bands = (given["wave_list"]["value"], given["bandwidth"]["value"])
    about = torch.tensor(ABOUT).expand(len(images), 4)
    patches = model.net.patch_embed_spectral(images, model.codes(images, bands))
    named = model.net.patch_embed_variable(images[:, :1], native(case, "language_embed"))
    return {
        "patch_embed": patches.flatten(2).mT,
        "pooled_spectral": model.extract(images, bands, about).pooled,
        "pooled_spectral_nometa": model.extract(images, bands).pooled,
        "pooled_variable": model.features(named, model.context(named, about)).pooled,
    }


RUNNERS = {"copernicusfm": Runner(load, run)}


def _latitude_first(model: Any) -> None:
    context = model.context
    swap = [1, 0, 2, 3]
    model.context = lambda like, about: context(like, None if about is None else about[:, swap])


def _with_centres_for_widths(model: Any) -> None:
    codes = model.codes
    model.codes = lambda images, bands: codes(images, (bands[0], bands[0]))


MISTAKES = [
    ("copernicusfm_tiny", _latitude_first),
    ("copernicusfm_tiny", _with_centres_for_widths),
]
