"""Boxes of many images in one file: arrays only, nothing that could run code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from skybench.core import Boxes


def save(path: Path, boxes: Sequence[Boxes]) -> None:
    """All boxes in a row, and where each image's begin."""
    np.savez(
        path,
        corners=torch.cat([b.corners for b in boxes]).numpy(),
        labels=torch.cat([b.labels for b in boxes]).numpy(),
        difficult=torch.cat([b.difficult for b in boxes]).numpy(),
        ends=np.cumsum([len(b.labels) for b in boxes]),
        sizes=np.array([b.size for b in boxes]),
    )


def load(path: Path) -> list[Boxes]:
    """What `save` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    cuts = arrays["ends"][:-1]
    parts = [
        [torch.from_numpy(part) for part in np.split(arrays[name], cuts)]
        for name in ("corners", "labels", "difficult")
    ]
    return [
        Boxes(corners, labels, difficult, (int(height), int(width)))
        for corners, labels, difficult, (height, width) in zip(*parts, arrays["sizes"], strict=True)
    ]
