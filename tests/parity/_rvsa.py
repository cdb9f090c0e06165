"""RVSA's goldens: the networks with windows, from files with the keys of pre-training as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, extras, native, value
from ._skysense import recorded

VARIANTS = {
    "ViT_Win_RVSA": "vit_b_rvsa",
    "ViT_Win_RVSA_KVDIFF": "vit_b_rvsa_kvdiff",
    "ViTAE_NC_Win_RVSA": "vitae_b_rvsa",
    "ViT_Win_RVSA_V3_WSZ7": "vit_b_rvsa_dense",
    "ViT_Win_RVSA_V3_KVDIFF_WSZ7": "vit_b_rvsa_kvdiff_dense",
    "ViTAE_NC_Win_RVSA_V3_WSZ7": "vitae_b_rvsa_dense",
}
NAMES = {"embed_dim": "dim", "depth": "depth", "num_heads": "heads"}


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """The class and sizes that the case names."""
    given = case["meta"]["constructor"]
    arch = {ours: given[theirs] for theirs, ours in NAMES.items() if theirs in given}
    if "out_indices" in given:
        arch["taken"] = tuple(given["out_indices"])
    file = {**state, **extras(case, state)}
    return load_model("rvsa", {"model": file}, VARIANTS[case["meta"]["class"]], **arch)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """Tokens after each block; pooled and classified, or four levels."""
    with recorded(model.net.blocks) as blocks:
        features = model.extract(native(case, "x"))
    outputs = {f"block{i}": tokens for i, tokens in enumerate(blocks)}
    outputs |= {f"stage{i}": level for i, level in enumerate(features.pyramid)}
    scale = case["meta"]["fill_scale"]
    head = [  # of the classifier, which is no part of the adapter
        value(key, tuple(entry["shape"]), torch.float32, scale)
        for key, entry in case["keys"].items()
        if key.startswith("head.")
    ]
    if head:
        outputs |= {"pooled": features.pooled, "logits": F.linear(features.pooled, *head)}
    return outputs


def _columns_for_rows(model: Any) -> None:
    for block in model.net.blocks:
        attn = block.attn
        attn.rel_pos_h, attn.rel_pos_w = attn.rel_pos_w, attn.rel_pos_h


def _without_leak(model: Any) -> None:
    for layer in model.modules():
        if isinstance(layer, nn.LeakyReLU):
            layer.negative_slope = 0.0


def _values_where_keys_are(model: Any) -> None:
    for block in model.net.blocks:
        if hasattr(block.attn, "suffixes"):
            block.attn.suffixes = ("_k", "_k")


def _with_gelu(model: Any) -> None:
    for block in model.net.blocks:
        block.PCM[2] = nn.GELU()


RUNNERS = {"rvsa": Runner(load, run)}
MISTAKES = [
    ("rvsa_vit_seg_tiny_sharp", _columns_for_rows),
    ("rvsa_vit_cls_tiny_sharp", _without_leak),
    ("rvsa_vit_cls_tiny_kvdiff_sharp", _values_where_keys_are),
    ("rvsa_vitae_seg_tiny_sharp", _with_gelu),
]
