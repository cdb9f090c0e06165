"""AnySat's goldens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native


def load(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """The published network, or the authors' tiny one."""
    file = {"state_dict": dict(state)}
    if "'base'" in case["meta"]["constructor"]:
        return load_model("anysat", file)
    return load_model("anysat", file, "tiny", dim=256, depth=2, heads=4)


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """Sentinel-2 alone and with Sentinel-1 in patches of 20 m; aerial in patches of 40 m."""
    inputs = case["meta"]["inputs"]
    days = {n: torch.tensor([inputs[f"{n}_dates"]["value"]] * 2) for n in ("s2", "s1")}
    outputs = {}
    for names, patch in ((("s2",), 2), (("s2", "s1"), 2), (("aerial",), 4)):
        model.patch = patch
        found = model.extract(
            {n: native(case, n) for n in names}, {n: days[n] for n in names if n in days}
        )
        outputs["_".join((*names, "tile"))] = found.pooled
        outputs["_".join((*names, "patch"))] = found.pyramid[0].permute(0, 2, 3, 1)
    return outputs


RUNNERS = {"anysat": Runner(load, run)}


def _distances_forgotten(model: Any) -> None:
    model.net.blocks[-1].attn.distances.data.zero_()


def _in_norm_forgotten(model: Any) -> None:
    model.net.series["s2"].in_norm = torch.nn.Identity()


MISTAKES: list[tuple[str, Callable[[Any], None]]] = [
    ("anysat_tiny", _distances_forgotten),
    ("anysat_tiny", _in_norm_forgotten),
]
