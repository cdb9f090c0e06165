"""Samples that count how often they are read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import torch

from skybench.core import UINT8, Boxes, DataError, DatasetCard, Sample, Sensor
from skybench.core.dataset import Samples, Split

SENSORS = (Sensor("hr", ("red",), 1.0, UINT8), Sensor("s2", ("red", "nir"), 10.0, UINT8))
SIDE = 8


class Counting(Samples):
    """Tiles of images with a mask of the number in the image's file, or with a known class."""

    card = DatasetCard("toy", "Toy", (), SENSORS, ("a", "b"), {}, "", "", "", "")
    split = Split("train", "ours", "", False)

    def __init__(self, folder: Path, images: int, tiles: int = 1, classes: bool = False) -> None:
        """folder: is made, with a file for the pixels and one for the mask of each image."""
        folder.mkdir(parents=True, exist_ok=True)
        self.names = [f"{folder.name}{i:03}" for i in range(images)]
        self.files = tuple(folder / name for name in self.names)
        self.label_files = () if classes else tuple(p.with_suffix(".mask") for p in self.files)
        for number, path in enumerate((*self.files, *self.label_files)):
            if not path.exists():
                path.write_bytes(bytes([number % images]))
        self.tiles = tiles
        self.keys = tuple(f"{name}_{t}" for name in self.names for t in range(tiles))
        self.groups = tuple(name for name in self.names for _ in range(tiles))
        self.labels = tuple(i % 2 for i in range(len(self.keys))) if classes else None
        self.damaged: set[str] = set()  # names of images
        self.reads, self.looks = Counter[str](), Counter[str]()

    def read(self, index: int) -> Sample:
        self.reads[self.keys[index]] += 1
        path, tile = self.files[index // self.tiles], index % self.tiles
        if path.name in self.damaged:
            raise DataError(f"{path} cannot be read; get it again")
        value = path.read_bytes()
        made = {
            "hr": torch.arange(SIDE * SIDE, dtype=torch.uint8).reshape(1, 1, SIDE, SIDE),
            "s2": torch.full((3, 2, 2, 2), 1000 * tile, dtype=torch.int32),
        }
        images = {name: x + value[0] for name, x in made.items() if self.needs(name)}
        days = {"s2": torch.tensor([1, 2, 3 + index])} if self.needs("s2") else {}
        return Sample(self.keys[index], images, self._target(index), days, (index, -0.5))

    def target(self, index: int) -> Any:
        self.looks[self.keys[index]] += 1
        return self._target(index)

    def _target(self, index: int) -> Any:
        if self.labels is not None:
            return self.labels[index]
        value = self.label_files[index // self.tiles].read_bytes()[0]  # type: ignore[index]
        return torch.full((SIDE, SIDE), value + index % self.tiles, dtype=torch.uint8)


def same(one: Sample, other: Sample) -> bool:
    """Whether two samples are equal, bit by bit."""

    def alike(a: Any, b: Any) -> bool:
        return bool(a.dtype == b.dtype and torch.equal(a, b))

    targets = (one.target, other.target)
    assert not any(isinstance(target, Boxes) for target in targets)
    return (
        one.key == other.key
        and one.lonlat == other.lonlat
        and one.images.keys() == other.images.keys()
        and one.days.keys() == other.days.keys()
        and all(alike(x, other.images[name]) for name, x in one.images.items())
        and all(alike(x, other.days[name]) for name, x in one.days.items())
        and (alike(*targets) if isinstance(one.target, torch.Tensor) else targets[0] == targets[1])
    )
