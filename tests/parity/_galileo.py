"""Galileo's goldens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skybench.baselines._networks.galileo import SPACE, SPACE_TIME, STATIC, TIME, BandGroup
from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native


def load(case: Mapping[str, Any], state: Mapping[str, Tensor] | Path) -> Model:
    """The adapter of the nano size."""
    return load_model("galileo", state)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """All groups at patch 4; Sentinel-2 and NDVI at patches 2, 4 and 8."""
    months = torch.tensor(case["meta"]["inputs"]["months"]["value"])
    space_time = native(case, "s_t_x").permute(0, 3, 4, 1, 2)  # [B, T, C, H, W]
    sentinel = _groups(space_time, SPACE_TIME, 2, months)
    others = {
        **_groups(native(case, "sp_x").permute(0, 3, 1, 2), SPACE, 1),
        **_groups(native(case, "t_x"), TIME, 2, months),
        **_groups(native(case, "st_x"), STATIC, 1),
    }
    everything = model.net({**sentinel, **others}, 4)
    tokens = torch.cat([t.values.flatten(1, -2) for t in everything.values()], 1)
    outputs = {"all_p4_pooled": tokens.mean(1), "all_p4_s_t": _stacked(model, everything)}
    del sentinel["S1"]
    for patch in (2, 4, 8):
        seen = model.net(sentinel, patch)
        features = model.average([seen])
        outputs[f"s2_p{patch}_s_t"] = _stacked(model, seen)
        outputs[f"s2_p{patch}_pooled"] = features.pooled
        outputs[f"s2_p{patch}_per_patch"] = features.pyramid[0].flatten(2).mT
    return outputs


def _groups(
    x: Tensor, kinds: Mapping[str, int], dim: int, months: Tensor | None = None
) -> dict[str, BandGroup]:
    parts = torch.split(x, list(kinds.values()), dim)
    return {name: BandGroup(part, months) for name, part in zip(kinds, parts, strict=True)}


def _stacked(model: Any, tokens: Mapping[str, Any]) -> Tensor:
    """[B, h, w, T, groups, D]; the official code leaves norm(0), its bias, at unseen groups."""
    like = tokens["NDVI"].values
    unseen = model.net.norm.bias.expand_as(like)
    stacked = [tokens[n].values if n in tokens else unseen for n in SPACE_TIME]
    return torch.stack(stacked, -2).permute(0, 2, 3, 1, 4, 5)


RUNNERS = {"galileo_nano": Runner(load, run)}
