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
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skybench.core.model import Model

FOLDER = Path(os.environ.get("SKYBENCH_GOLDENS") or Path(__file__).parents[1] / "goldens")
TOLERANCE = 5e-5  # of the golden's standard deviation
Shapes = Mapping[str, tuple[tuple[int, ...], torch.dtype]]


class Runner(NamedTuple):
    """How the cases of a family are run."""

    # The adapter with a case's synthetic checkpoint (flat, published keys) or a published file.
    load: Callable[[Mapping[str, Any], Any], Model]
    # The outputs of the case by their names.
    run: Callable[[Mapping[str, Any], Any], dict[str, Tensor]]


def names() -> list[str]:
    """Every case in the folder."""
    return sorted(p.name.removesuffix(".keys.json") for p in FOLDER.glob("*.keys.json"))


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


def extras(case: Mapping[str, Any], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Zeros for the entries of the published file that the encoder does not use."""
    meta, device = case["meta"], next(iter(like.values())).device
    return {
        key: torch.zeros(entry["shape"], dtype=getattr(torch, entry["dtype"]), device=device)
        for listed in ("ckpt_only_keys", "mae_only_keys")
        for key, entry in meta.get(listed, {}).items()
    }


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
