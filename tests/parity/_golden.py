"""Goldens: outputs of the authors' own code under parameters that a rule gives.

Every float entry of a published checkpoint is drawn from a generator seeded with the crc32 of its
key, so that a test needs no weights. A case is `<name>.keys.json` (keys, shapes, how it was run)
and `<name>.npz` (inputs' seeds, outputs at up to 4096 places); of some only the first is here.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skybench.model import Model
from skybench.nets.galileo import SPACE, SPACE_TIME, STATIC, TIME, Group
from skybench.weights import load_model

FOLDER = Path(os.environ.get("SKYBENCH_GOLDENS") or Path(__file__).parents[1] / "goldens")
TOLERANCE = 5e-5  # of the golden's standard deviation
Shapes = Mapping[str, tuple[tuple[int, ...], torch.dtype]]
Load = Callable[[Mapping[str, Tensor] | Path], Model]


def names() -> list[str]:
    """Every case in the folder."""
    found = {p.name.removesuffix(".keys.json") for p in FOLDER.glob("*.keys.json")}
    return sorted(found | {p.stem for p in FOLDER.glob("*.npz")})


def spec(name: str) -> dict[str, Any]:
    """The case's keys.json."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.keys.json").read_text())
    return content


def value(key: str, shape: tuple[int, ...], dtype: torch.dtype, scale: float) -> Tensor:
    """The rule: what a float entry of a published checkpoint holds."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
    if key.rsplit(".", 1)[-1] == "running_var":
        filled = 1 + 0.02 * noise.abs()
    elif len(shape) >= 2:
        filled = scale * noise
    else:
        filled = 0.02 * noise + (1 if key.endswith("weight") else 0)
    return filled.to(dtype)


def shapes(case: Mapping[str, Any]) -> Shapes:
    """Entries that the rule fills; the others are left as a constructor makes them."""
    return {
        key: (tuple(entry["shape"]), getattr(torch, entry["dtype"]))
        for key, entry in case["keys"].items()
        if entry["fill"] == "fill"
    }


def checkpoint(case: Mapping[str, Any]) -> dict[str, Tensor]:
    """The synthetic checkpoint, in the published layout, without its container."""
    scale = case["meta"].get("fill_scale", 0.02)
    return {k: value(k, shape, dtype, scale) for k, (shape, dtype) in shapes(case).items()}


def native(case: Mapping[str, Any], name: str) -> Tensor:
    """An input, already normalised."""
    given = case["meta"]["inputs"][name]
    return torch.randn(given["shape"], generator=torch.Generator().manual_seed(given["seed"]))


def difference(name: str, outputs: Mapping[str, Tensor]) -> dict[str, float]:
    """The largest difference of each output of the case, over the golden's standard deviation."""
    with np.load(FOLDER / f"{name}.npz") as golden:
        stored = {k: golden[k] for k in golden.files}
    found = {}
    for key in (k.removesuffix("__val") for k in stored if k.endswith("__val")):
        ours = outputs[key].float().numpy()
        assert ours.shape == tuple(stored[f"{key}__shape"]), key
        gap = np.abs(ours.reshape(-1)[stored[f"{key}__idx"]] - stored[f"{key}__val"]).max()
        found[key] = float(gap / stored[f"{key}__stat"][1])
    return found


def load_galileo(case: Mapping[str, Any], state: Mapping[str, Tensor] | Path) -> Model:
    """The adapter of the nano size."""
    return load_model("galileo", state)


def run_galileo(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
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
) -> dict[str, Group]:
    parts = torch.split(x, list(kinds.values()), dim)
    return {name: Group(part, months) for name, part in zip(kinds, parts, strict=True)}


def _stacked(model: Any, tokens: Mapping[str, Any]) -> Tensor:
    """[B, h, w, T, groups, D]; the official code leaves norm(0), its bias, at unseen groups."""
    like = tokens["NDVI"].values
    unseen = model.net.norm.bias.expand_as(like)
    stacked = [tokens[n].values if n in tokens else unseen for n in SPACE_TIME]
    return torch.stack(stacked, -2).permute(0, 2, 3, 1, 4, 5)
