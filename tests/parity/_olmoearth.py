"""OlmoEarth's golden."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from skybench.baselines._networks.olmoearth import Series
from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """The nano network, from a file with the decoder and the target encoder."""
    others = {
        key.replace("encoder.", part, 1): torch.zeros_like(tensor)
        for key, tensor in state.items()
        for part in ("decoder.", "target_encoder.")
    }
    return load_model("olmoearth", {**others, **state}, "v1_nano")


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """Sentinel-2 alone and with Sentinel-1, at patches 4 and 8."""
    months = torch.tensor([[m for _, m, _ in case["meta"]["inputs"]["timestamps"]["value"]]] * 2)
    s2, s1 = (
        Series(native(case, name).permute(0, 3, 4, 1, 2), months)
        for name in ("sentinel2_l2a", "sentinel1")
    )
    outputs = {}
    for name, sensors in {"s2": {"s2": s2}, "s2s1": {"s2": s2, "s1": s1}}.items():
        for patch in (4, 8):
            model.patch = patch
            tokens = model.net(sensors, patch)["s2"]  # [B, T, sets, h, w, D]
            outputs[f"{name}_p{patch}_s2_tokens"] = tokens.permute(0, 3, 4, 1, 2, 5)
            outputs[f"{name}_p{patch}_pooled"] = model.extract(sensors).pooled
    return outputs


RUNNERS = {"olmoearth": Runner(load, run)}


def _months_forgotten(model: Any) -> None:
    model.net.month_embed.weight.data.zero_()


def _sets_swapped(model: Any) -> None:
    model.net.channel_embed["s2"].data = model.net.channel_embed["s2"].data.flip(0)


MISTAKES: list[tuple[str, Callable[[Any], None]]] = [
    ("olmoearth_v1_nano", _months_forgotten),
    ("olmoearth_v1_nano", _sets_swapped),
]
