"""TerraMind's goldens: Sentinel-2 alone, and with Sentinel-1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native

TINY: dict[str, Any] = {"image": 64, "dim": 96, "depth": 2, "heads": 4}


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """Load the model from the whole network's file, with a decoder and an unread source."""
    like = next(iter(state.values()))
    others = {
        key: torch.zeros(1, 1, 96, device=like.device)
        for key in (
            "decoder.0.self_attn.qkv.weight",
            "encoder_embeddings.tok_dem@224.mod_emb",
            "encoder_embeddings.untok_sen2l1c@224.mod_emb",
        )
    }
    if case["meta"]["params"] > 1e6:
        return load_model("terramind", {**state, **others})
    return load_model("terramind", {**state, **others}, "tiny", **TINY)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The tokens after every block, the last normed, and their mean."""
    images = {
        "s2": native(case, "untok_sen2l2a@224"),
        "s1": native(case, "untok_sen1grd@224"),
    }
    outputs: dict[str, Tensor] = {}
    for names in (("s2",), ("s2", "s1")):
        used = {name: images[name] for name in names}
        label = "".join(names)
        for i, tokens in enumerate(model.net.tokens(used)):
            outputs |= {f"{label}_block{i}": tokens, f"{label}_last": tokens}
        outputs[f"{label}_pooled"] = model.extract(used).pooled
    return outputs


RUNNERS = {"terramind": Runner(load, run)}


def _with_bands_first(model: Any) -> None:
    """Kernels as if the published ones had the band before row and column."""
    weight = model.net.embeddings["s2"].proj.weight
    stored = weight.data.permute(0, 2, 3, 1).flatten(1)
    weight.data = stored.unflatten(1, (-1, 16, 16))


def _with_gates_swapped(model: Any) -> None:
    for block in model.net.blocks:
        block.mlp.fc1_g, block.mlp.fc1_x = block.mlp.fc1_x, block.mlp.fc1_g


MISTAKES = [
    ("terramind_tiny", _with_bands_first),
    ("terramind_tiny", _with_gates_swapped),
]
