"""A model and images that are their own features: for several tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.core import (
    UINT8,
    Batch,
    DatasetCard,
    Features,
    ModelCard,
    Sample,
    Sensor,
    folders,
    match,
)
from skybench.core.dataset import Samples, Split
from skybench.core.model import Model
from skybench.features.extractor import Extractor, extract

RGB = Sensor("hr", ("red", "green", "blue"), 0.5, UINT8)
BGR = Sensor("air", ("blue", "green", "red", "nir"), 0.5, UINT8)
CARD = ModelCard("toy", "Toy", "extra", (RGB,), 3, ((3, 1), (3, 2)), "ours", "ours", "none")
FOUND = match(CARD, (BGR,))


class Toy(Model):
    """A pyramid of the image itself; notes the size of every batch that it sees."""

    def __init__(self, gain: float = 1.0, most: int = 999, card: ModelCard = CARD) -> None:
        super().__init__(card)
        self.gain, self.most = gain, most
        self.calls: list[tuple[int, ...]] = []

    def forward(self, batch: Batch) -> Features:
        x = batch.images["hr"][:, 0]
        if len(x) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        self.calls.append(tuple(x.shape))
        return Features(self.gain * x.mean((2, 3)), (self.gain * x, F.avg_pool2d(self.gain * x, 2)))


class Noise(Samples):
    """Seeded images [1, 4, 8, 8] with a class id or a mask; one file beside."""

    card = DatasetCard("toy", "", (), (BGR,), ("a", "b", "c"), {}, "", "", "", "")
    split = Split("train", "ours", "", False)

    def __init__(self, count: int, masks: bool = False, files: Sequence[Path] = ()) -> None:
        self.keys = tuple(f"n{i}" for i in range(count))
        self.masks, self.files = masks, tuple(files)

    def read(self, index: int) -> Sample:
        rng = np.random.default_rng(abs(index))
        image = torch.from_numpy(rng.integers(0, 256, (1, 4, 8, 8)).astype(np.uint8))
        mask = rng.integers(0, 3, (8, 8)).astype(np.uint8)
        return Sample(self.keys[index], {"air": image}, mask if self.masks else index % 3)


def looking(model: Model, size: int = 0) -> Extractor:
    return Extractor(model, FOUND, "fuse", size, "cpu")


def entries() -> list[str]:
    folder = folders.cache() / "features"
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def parts() -> list[Path]:
    """The parts of all entries, and what else lies where parts do."""
    return sorted((folders.cache() / "features").glob("*/*"))


def gathered(model: Toy, samples: Samples) -> tuple[Tensor, list[Any]]:
    parts = list(extract(looking(model), samples))
    return torch.cat([f[0].pooled for f, _ in parts]), [t for _, ts in parts for t in ts]
